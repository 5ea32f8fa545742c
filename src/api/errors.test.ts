import assert from 'node:assert/strict'
import { test } from 'node:test'

import { fastify } from 'fastify'

import { errorCatalogue, WaypostError, type ErrorCode } from '#platform/errors'
import { createLogLines } from '#platform/log-lines'

import { addErrorAnswers, RequestError } from './errors.ts'

type ErrorBody = {
  readonly error: { code: string; message: string; detail?: string; path?: string; is_retryable: boolean }
}

async function answerTo(error: unknown): Promise<{ status: number; body: ErrorBody; retryAfter: unknown }> {
  const server = fastify()
  addErrorAnswers(server, createLogLines('test', 'silent'))
  server.get('/', () => Promise.reject(error as Error))
  const response = await server.inject('/')
  await server.close()
  return { status: response.statusCode, body: response.json(), retryAfter: response.headers['retry-after'] }
}

for (const code of Object.keys(errorCatalogue) as ErrorCode[])
  test(`answers ${code} with its status and words`, async () => {
    const { status, body, retryAfter } = await answerTo(new WaypostError(code, 'This one.'))
    const { message, is_retryable } = errorCatalogue[code]
    assert.deepEqual(
      [status, body],
      [errorCatalogue[code].status, { error: { code, message, detail: 'This one.', is_retryable } }],
    )
    assert.equal(retryAfter, status === 503 || status === 429 ? '2' : undefined)
  })

test('names the parameter that an error is about', async () => {
  const { body } = await answerTo(new RequestError('request_invalid', 'it is wrong', 'from'))
  assert.deepEqual([body.error.path, body.error.detail], ['from', 'it is wrong'])
})

test('tells an engine that is away and a question that takes too long from a mistake of ours', async () => {
  const withCode = (code: string): Error => Object.assign(new Error('secret details'), { code })
  for (const [code, expected] of [
    ['ECONNREFUSED', 'database_unavailable'],
    ['57P01', 'database_unavailable'],
    ['57014', 'query_too_expensive'],
    ['23505', 'internal'],
  ])
    // prettier-ignore
    assert.equal((await answerTo(withCode(code!))).body.error.code, expected)
})

test('keeps to itself what went wrong inside', async () => {
  const { status, body } = await answerTo(new Error('password=hunter2'))
  assert.equal(status, 500)
  assert.ok(!JSON.stringify(body).includes('hunter2'))
})

test('a mistyped parameter is refused with the one that was probably meant', async () => {
  const server = fastify({ ajv: { customOptions: { removeAdditional: false } } })
  addErrorAnswers(server, createLogLines('test', 'silent'))
  const querystring = { type: 'object', properties: { country: {}, metrics: {} }, additionalProperties: false }
  server.get('/', { schema: { querystring } }, () => 'answer')
  const detailOf = async (query: string) => (await server.inject(`/?${query}`)).json<ErrorBody>().error.detail
  assert.equal(await detailOf('contry=DE'), 'there is no parameter "contry"; did you mean "country"?')
  assert.equal(await detailOf('whatever_it_is=1'), 'there is no parameter "whatever_it_is"')
  await server.close()
})
