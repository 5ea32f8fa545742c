import assert from 'node:assert/strict'
import { test } from 'node:test'
import { verdictOf } from './fault-test.ts'

test('a run that saw everything and found nothing is green', () => {
  assert.deepEqual(verdictOf({ did: [], seen: { kills: 3 }, findings: [] }), [])
})

test('a run that did not see what it is for is red', () => {
  const [blind, ...others] = verdictOf({ did: [], seen: { kills: 0, retries: 1 }, findings: [] })
  assert.match(blind!, /^blind: .*"kills"/)
  assert.deepEqual(others, [])
})
