import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import type { PostbackEndpoint } from '#routing'
import { classifyAnswer, compileAnswerRules, validateAnswerRules, type Answer } from './judge-answer.ts'

type Success = NonNullable<PostbackEndpoint['success']>

const classOf = (answer: Answer, success?: Success, final_statuses?: readonly string[]) =>
  classifyAnswer(answer, compileAnswerRules({ ...(success && { success }), ...(final_statuses && { final_statuses }) }))
const ok = (body: string): Answer => ({ status: 200, body, isBodyWhole: true })

test('without rules the status alone decides', () => {
  const classes = [200, 204, 299, 302, 404, 408, 410, 429, 500].map((status) => classOf({ status }))
  assert.deepEqual(classes, ['success', 'success', 'success', 'retry_briefly', 'retry_briefly', 'retry', 'gone', 'retry', 'retry']) // prettier-ignore
})

test('an endpoint may name the statuses that are a success; another 2xx is none then', () => {
  const success = { statuses: ['200', '302-303', '404'] }
  assert.deepEqual([200, 302, 303, 404].map((status) => classOf({ status }, success)), Array(4).fill('success')) // prettier-ignore
  assert.equal(classOf({ status: 204 }, success), 'retry')
  assert.equal(classOf({ status: 301 }, success), 'retry_briefly')
})

test('200 with "error" in it is a failure where the endpoint says so', () => {
  const success: Success = { body: { not_contains: ['error', 'invalid'] } }
  assert.equal(classOf(ok('OK'), success), 'success')
  assert.equal(classOf(ok('ERROR: unknown click'), success), 'retry')
  assert.equal(classOf(ok('Invalid token'), { ...success, otherwise: 'retry_briefly' }), 'retry_briefly')
  assert.equal(classOf(ok('Invalid token'), { ...success, otherwise: 'give_up' }), 'final')
})

test('one of the words of contains must be there, whatever its case', () => {
  const success: Success = { body: { contains: ['ok', 'accepted'] } }
  assert.equal(classOf(ok('Status=OK'), success), 'success')
  assert.equal(classOf(ok('ACCEPTED'), success), 'success')
  assert.equal(classOf(ok('duplicate'), success), 'retry')
  assert.equal(classOf({ status: 204 }, success), 'retry')
})

test('a pattern is found anywhere in the body, and takes time linear to it', () => {
  const success: Success = { body: { matches: '^(ok|success)\\b' } }
  assert.equal(classOf(ok('Success: 1'), success), 'success')
  assert.equal(classOf(ok('no success'), success), 'retry')
  const startedAt = performance.now()
  assert.equal(classOf(ok('a'.repeat(65_536)), { body: { matches: '^(a+)+$b' } }), 'retry')
  assert.ok(performance.now() - startedAt < 2_000)
})

test('a value of a JSON answer is compared as it looks', () => {
  const json = (path: string, equals: string): Success => ({ json: { path, equals } })
  assert.equal(classOf(ok('{"status":"ok"}'), json('status', 'ok')), 'success')
  assert.equal(classOf(ok('{"data":{"items":[{"code":1}]}}'), json('data.items.0.code', '1')), 'success')
  assert.equal(classOf(ok('{"success":true}'), json('success', 'true')), 'success')
  assert.equal(classOf(ok('{"error":null}'), json('error', 'null')), 'success')
  for (const body of ['{"status":"error"}', '{"status":{}}', '{}', 'ok', '', '[]', 'null'])
    assert.equal(classOf(ok(body), json('status', 'ok')), 'retry', body)
  assert.equal(classOf(ok('{}'), json('constructor.name', 'Object')), 'retry')
})

test('all that is asked must hold', () => {
  const success: Success = { body: { contains: ['ok'], not_contains: ['error'] }, json: { path: 'n', equals: '2' } }
  assert.equal(classOf(ok('{"n":2,"s":"ok"}'), success), 'success')
  assert.equal(classOf(ok('{"n":2,"s":"ok error"}'), success), 'retry')
  assert.equal(classOf(ok('{"n":3,"s":"ok"}'), success), 'retry')
})

test('a body that broke off cannot be judged: it is tried again, also where a refusal would be final', () => {
  const success: Success = { body: { not_contains: ['error'] }, otherwise: 'give_up' }
  assert.equal(classOf({ status: 200, body: 'O', isBodyWhole: false }, success), 'retry')
  assert.equal(classOf({ status: 200, isBodyWhole: false }), 'success')
})

test('final statuses come before everything but success', () => {
  assert.equal(classOf({ status: 503 }, undefined, ['503']), 'final')
  assert.equal(classOf({ status: 410 }, undefined, ['410']), 'final')
  assert.equal(classOf({ status: 200 }, undefined, ['200']), 'success')
})

test('abort-message ends what is no success', () => {
  assert.equal(classOf({ status: 200, isAborted: true }), 'success')
  assert.equal(classOf({ status: 503, isAborted: true }), 'aborted')
  assert.equal(classOf({ ...ok('error'), isAborted: true }, { body: { contains: ['ok'] } }), 'aborted')
})

test('mistakes in the rules are named', () => {
  const keys = (success: Success, final_statuses: readonly string[] = []) =>
    validateAnswerRules({ success, final_statuses }).map(({ key }) => key)
  assert.deepEqual(keys({ statuses: ['200-299', '202', '499'] }, ['406', '500-599']), [])
  assert.deepEqual(keys({ statuses: ['299-200', '1', '500', 'ok', '200-'] }), Array(5).fill('statuses'))
  assert.deepEqual(keys({}, ['600', '']), ['final_statuses', 'final_statuses'])
  assert.deepEqual(keys({ body: { matches: '(' } }), ['matches'])
  assert.deepEqual(keys({ json: { path: 'a.'.repeat(30), equals: '1' } }), ['json'])
})

test('whatever is answered, it has a class', () => {
  const success: Success = { body: { contains: ['a'], matches: 'b+' }, json: { path: 'x.y', equals: '1' } }
  fc.assert(
    fc.property(fc.integer({ min: 200, max: 599 }), fc.string(), fc.boolean(), (status, body, isBodyWhole) => {
      assert.ok(classOf({ status, body, isBodyWhole }, success).length > 0)
    }),
  )
})
