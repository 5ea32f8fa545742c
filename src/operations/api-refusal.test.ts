import assert from 'node:assert/strict'
import { test } from 'node:test'

import { readRefusal } from './api-refusal.ts'

const answer = (error: object, more: object = {}): string => JSON.stringify({ error, ...more })
const invalid = { code: 'request_invalid', message: 'The request does not fit the schema.', is_retryable: false }

test('what is wrong with an argument is told with the option that it came from', () => {
  const text = answer({ ...invalid, detail: '"999.1.1.1" is no IPv4 or IPv6 address', path: 'visitor.ip' })
  const { message, exitCode } = readRefusal(400, text, { 'visitor.ip': '--ip' })
  assert.equal(message, 'The request does not fit the schema. "999.1.1.1" is no IPv4 or IPv6 address. Correct --ip.')
  assert.equal(exitCode, 2)
  assert.match(readRefusal(400, text, {}).message, /Correct visitor\.ip\.$/)
})

test('mistakes of a file are told with their places', () => {
  const issues = [{ line: 3, column: 5, path: 'offers.x', code: 'key_missing', message: '"prices" is missing.' }]
  const error = { code: 'configuration_invalid', message: 'The configuration is not valid; nothing was applied.' }
  const { message, exitCode } = readRefusal(422, answer(error, { issues }), {}, 'new.yaml')
  assert.deepEqual(message.split('\n'), [
    'The configuration is not valid; nothing was applied.',
    'new.yaml:3:5: offers.x: "prices" is missing. [key_missing]',
    '1 mistake; nothing was applied.',
  ])
  assert.equal(exitCode, 1)
})

test('what may be done another time, or with another key, says so', () => {
  const running = { code: 'simulation_running', message: 'A simulation is under way.', is_retryable: true }
  assert.equal(readRefusal(409, answer(running), {}).message, 'A simulation is under way. Try again in a moment.')
  const forbidden = { code: 'forbidden', message: 'This API key may not do that.', is_retryable: false }
  assert.match(readRefusal(403, answer(forbidden), {}).message, /may not do that\. Set WAYPOST_API_KEY to a key/)
})

test('an answer of something else is shown as it is', () => {
  for (const text of ['<h1>Bad gateway</h1>', 'null', '{"error":"no"}'])
    assert.equal(readRefusal(502, text, {}).message, `The API answered 502: ${text}`)
})
