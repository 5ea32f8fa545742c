import assert from 'node:assert/strict'
import { test } from 'node:test'
import { compileEndpoints } from './compile-endpoints.ts'
import { eventIdOf } from './delivery-causes.ts'
import { compileHeaders, fillHeaders, headerProblems, maskHeaders } from './headers.ts'
import { postbackLimits } from '../limits.ts'
import { macroFactsOf, prepareDeliveries } from './prepare-deliveries.ts'
import { sampleCause, sampleEndpoint, sampleSnapshot } from '../test-causes.ts'

const endpoints = compileEndpoints(sampleSnapshot([]))
const cause = (sub1: string) => sampleCause({}, { sub1 })
const fill = (headers: Readonly<Record<string, string>>, sub1 = 'a') =>
  fillHeaders(compileHeaders(headers), macroFactsOf(cause(sub1), eventIdOf(cause(sub1)), endpoints))
const messagesOf = (headers: Readonly<Record<string, string>>) =>
  headerProblems(headers, false).map(({ name, code }) => `${name}: ${code}`)

test('headers are filled under their names in lower case, and those without a value are left out', () => {
  const headers = { Authorization: 'Bearer abc', 'X-Status': '{status:sale=2}', 'X-Sub': '{sub7}', 'X-City': '{city}' }
  assert.deepEqual(fill(headers), {
    kind: 'filled',
    headers: { authorization: 'Bearer abc', 'x-status': '2', 'x-city': 'Mu%C4%9Fla' },
  })
  assert.deepEqual(fill({}), { kind: 'filled', headers: undefined })
})

for (const [what, value] of [
  ['a line break', 'a\r\nX-Admin: 1'],
  ['a line feed', 'a\nb'],
  ['a zero', 'a\0b'],
  ['another control character', 'a\u0085b'],
] as const)
  test(`a message whose value has ${what} is not sent, escaped or raw`, () => {
    assert.deepEqual(fill({ 'X-A': '{sub1}' }, value), { kind: 'header_invalid', detail: 'x-a: sub1' })
    assert.deepEqual(fill({ 'X-A': '{_sub1}' }, value), { kind: 'header_invalid', detail: 'x-a: sub1' })
    const endpoint = sampleEndpoint({ headers: { 'X-A': '{_sub1:trim}' } })
    const { deliveries, whyNot } = prepareDeliveries([cause(value)], sampleSnapshot([endpoint]))
    assert.deepEqual([deliveries.length, whyNot[0]?.reason, whyNot[0]?.detail], [0, 'header_invalid', 'x-a: sub1'])
  })

test('letters beyond Latin-1 are escaped, and raw they are a reason not to send', () => {
  assert.deepEqual(fill({ 'X-A': '{sub1}' }, 'ž'), { kind: 'filled', headers: { 'x-a': '%C5%BE' } })
  assert.deepEqual(fill({ 'X-A': '{_sub1}' }, 'ž'), { kind: 'header_invalid', detail: 'x-a' })
  assert.deepEqual(fill({ 'X-A': '{_sub1}' }, 'é'), { kind: 'filled', headers: { 'x-a': 'é' } })
})

test('a required macro without a value keeps the message back', () => {
  assert.deepEqual(fill({ 'X-A': '{sub9!}' }), { kind: 'macro_empty', detail: 'x-a: sub9' })
})

test('all headers together have a limit', () => {
  const long = 'x'.repeat(postbackLimits.headerTemplateCharactersMax)
  const names = ['x-a', 'x-b', 'x-c', 'x-d'] as const
  assert.equal(fill(Object.fromEntries(names.slice(1).map((name) => [name, long]))).kind, 'filled')
  assert.deepEqual(fill(Object.fromEntries(names.map((name) => [name, long]))), {
    kind: 'request_too_large',
    detail: 'headers',
  })
})

test('names that are no names, ours or those of the connection are refused, and values that no header may have', () => {
  for (const name of [
    'webhook-id',
    'Webhook-Signature',
    'Host',
    'Content-Length',
    'content-type',
    'Connection',
    'Transfer-Encoding',
    'TE',
    'Upgrade',
    'Expect',
    'a b',
    'a:b',
    'é',
    '',
    'x'.repeat(65),
  ])
    // prettier-ignore
    assert.deepEqual(messagesOf({ [name]: '1' }), [`${name}: header_invalid`])
  assert.deepEqual(messagesOf({ 'X-A': '1', 'x-a': '2' }), ['x-a: header_invalid'])
  for (const value of ['a\nb', 'a\rb', 'a\0b', 'ž', 'x'.repeat(postbackLimits.headerTemplateCharactersMax + 1)])
    assert.deepEqual(messagesOf({ 'X-A': value }), ['X-A: header_invalid'])
  assert.deepEqual(messagesOf({ 'X-A': '{sig}' }), ['X-A: macro_misplaced'])
  assert.deepEqual(messagesOf({ 'User-Agent': 'us', Accept: 'text/plain', 'X-A': 'x'.repeat(postbackLimits.headerTemplateCharactersMax) }), []) // prettier-ignore
})

test('what may be a secret is masked', () => {
  const headers = { authorization: 'Bearer a', 'x-api-key': 'b', cookie: 'c', 'x-status': 'sale' }
  assert.deepEqual(maskHeaders(headers), {
    authorization: '(secret)',
    'x-api-key': '(secret)',
    cookie: '(secret)',
    'x-status': 'sale',
  })
})
