import assert from 'node:assert/strict'
import { test } from 'node:test'
import { newClickId } from '#platform/ids'
import { createMemoryCaps } from './cap-states/memory.ts'
import { compileCaps } from './compile-caps.ts'
import { dryCaps, liveCaps } from './counters.ts'

const NOW = Date.parse('2026-05-10T12:00:00Z')
const cap = { cap_id: 'a', metric: 'clicks', period: 'day', limit: 1, mode: 'hard' } as const
const unexpected = (error: unknown): never => assert.fail(String(error))
const keys = compileCaps([cap], 'UTC').keysOfClick({}, NOW)

test('a click that is sent on takes its room, one that is explained does not', () => {
  const counters = createMemoryCaps()
  const [live, dry] = [liveCaps(counters, unexpected), dryCaps(counters)]
  const ask = (caps: typeof live) => caps.reserve(newClickId(NOW), NOW, keys)
  assert.deepEqual([dry, dry, live, dry, live].map(ask), [
    { kind: 'reserved' },
    { kind: 'reserved' },
    { kind: 'reserved' },
    { kind: 'full', index: 0 },
    { kind: 'full', index: 0 },
  ])
})

test('a click is told that the caps are unavailable where they cannot be written, and the operator why', () => {
  const failure = new Error('full disk')
  const heard: unknown[] = []
  const reserve = (): never => {
    throw failure
  }
  const caps = liveCaps({ reserve }, (error) => heard.push(error))
  assert.deepEqual(caps.reserve(newClickId(NOW), NOW, keys), { kind: 'unavailable' })
  assert.deepEqual(heard, [failure])
})

test('an offer without caps asks nothing of the counters', () => {
  const caps = liveCaps({ reserve: () => assert.fail() }, unexpected)
  assert.deepEqual(caps.reserve(newClickId(NOW), NOW, []), { kind: 'reserved' })
})
