import assert from 'node:assert/strict'
import { test } from 'node:test'

import { newClickId } from '#platform/ids'
import { testCapCounters } from '../cap-state.conformance.ts'
import { compileCaps } from '../compile-caps.ts'
import { createMemoryCaps } from './memory.ts'

testCapCounters({ name: 'memory', open: () => createMemoryCaps() })

const HOUR = 3_600_000
const NOW = Date.UTC(2026, 4, 10, 12)
const compiled = compileCaps(
  [
    { cap_id: 'clicks', metric: 'clicks', period: 'hour', limit: 2, mode: 'hard' },
    { cap_id: 'held', metric: 'conversions', period: 'day', limit: 2, mode: 'hard', hold_minutes: 32 },
  ],
  'UTC',
)

test('takes what a click was given, also where there is no room, and forgets periods that are over and holds that have lapsed', () => {
  const caps = createMemoryCaps()
  const keys = compiled.keysOfClick({}, NOW)
  for (let click = 0; click < 3; click += 1) caps.take(newClickId(NOW), NOW, keys)
  const levels = (at: number) => caps.read(keys, at).map(({ used, held }) => [used, held])
  assert.deepEqual(levels(NOW), [[3, 0], [0, 3]]) // prettier-ignore
  caps.forget(NOW + HOUR - 1)
  assert.deepEqual(levels(NOW)[0], [3, 0])
  caps.forget(NOW + HOUR)
  assert.deepEqual(levels(NOW), [[0, 0], [0, 0]]) // prettier-ignore
})
