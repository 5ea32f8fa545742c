import assert from 'node:assert/strict'
import { test } from 'node:test'

import { RANGE_DAYS_MAX } from '../time-range.ts'
import { decodeLogCursor, encodeLogCursor } from './index.ts'

const DAY_MS = 86_400_000
const place = { atMs: 1, id: 'a', partition: '', offset: '0' }
const cursorOf = (fromMs: number, toMs: number): string =>
  encodeLogCursor({ log: 'clicks', range: { fromMs, toMs }, order: 'newest', place })

test('a cursor is read back, none of another log, and none of a longer range than a question may have', () => {
  assert.equal(decodeLogCursor('events', cursorOf(0, 1)), undefined)
  assert.deepEqual(decodeLogCursor('clicks', cursorOf(0, RANGE_DAYS_MAX * DAY_MS))?.place, place)
  assert.equal(decodeLogCursor('clicks', cursorOf(0, RANGE_DAYS_MAX * DAY_MS + 1)), undefined)
  assert.equal(decodeLogCursor('clicks', cursorOf(0, 0)), undefined)
})
