import assert from 'node:assert/strict'
import { test } from 'node:test'

import { printTrySeries, printWaitingSeries } from './delivery-series.ts'
import { EndpointCounts, OTHER, SERIES_MAX, triesOf } from './endpoint-counts.ts'
import type { Completion } from '../queue/queue.ts'

type Counted = Pick<Completion, 'outcome' | 'totalMs' | 'error'>

const tryOf = (endpointId: string, over: Partial<Counted> = {}) => ({
  claimed: { endpointId },
  outcome: 'delivered' as const,
  totalMs: 20,
  error: undefined,
  ...over,
})

const countMany = (counts: EndpointCounts, endpointId: string, times: number): void => {
  for (let index = 0; index < times; index++) counts.count(tryOf(endpointId))
}
const triesBy = (counts: EndpointCounts) =>
  Object.fromEntries([...counts.series].map(([endpointId, item]) => [endpointId, triesOf(item)]))

test('endpoints beyond the limit are counted together', () => {
  const counts = new EndpointCounts(2)
  for (const endpointId of ['a', 'b', 'c', 'd', OTHER]) countMany(counts, endpointId, 1)
  assert.deepEqual(triesBy(counts), { other: 3, a: 1, b: 1 })
})

test('an endpoint that became much more active takes the series of the least active one', () => {
  const counts = new EndpointCounts(2)
  countMany(counts, 'a', 5)
  countMany(counts, 'b', 3)
  countMany(counts, 'c', 6)
  counts.review()
  assert.deepEqual(triesBy(counts), { other: 6, a: 5, b: 3 }, 'twice as active is not enough')
  countMany(counts, 'a', 5)
  countMany(counts, 'b', 1)
  countMany(counts, 'c', 3)
  counts.review()
  assert.deepEqual(triesBy(counts), { other: 9, a: 10, c: 0 })
  countMany(counts, 'b', 1)
  countMany(counts, 'c', 1)
  assert.deepEqual(triesBy(counts), { other: 10, a: 10, c: 1 })
})

test('the number of series is bounded whatever the number of endpoints', () => {
  const counts = new EndpointCounts()
  for (let index = 0; index < 3 * SERIES_MAX; index++) counts.count(tryOf(`e${index}`))
  counts.review()
  assert.equal(counts.series.size, SERIES_MAX + 1)
})

test('tries are printed by endpoint and outcome with their latencies', () => {
  const counts = new EndpointCounts()
  counts.count(tryOf('a"\\\n', { totalMs: 20 }))
  counts.count(tryOf('a"\\\n', { outcome: 'retry', totalMs: 3_000 }))
  counts.count(tryOf('a"\\\n', { outcome: 'gave_up', totalMs: 99_000 }))
  counts.count(tryOf('b', { outcome: 'gave_up', error: 'destination_refused', totalMs: 0 }))
  const text = printTrySeries(counts.series)
  const a = String.raw`endpoint="a\"\\\n"`
  for (const line of [
    `waypost_delivery_attempts_total{${a},outcome="delivered"} 1`,
    `waypost_delivery_attempts_total{${a},outcome="gave_up"} 1`,
    `waypost_delivery_attempt_seconds_bucket{${a},le="0.01"} 0`,
    `waypost_delivery_attempt_seconds_bucket{${a},le="0.025"} 1`,
    `waypost_delivery_attempt_seconds_bucket{${a},le="5"} 2`,
    `waypost_delivery_attempt_seconds_bucket{${a},le="25"} 2`,
    `waypost_delivery_attempt_seconds_bucket{${a},le="+Inf"} 3`,
    `waypost_delivery_attempt_seconds_count{${a}} 3`,
    'waypost_delivery_attempt_seconds_count{endpoint="b"} 0',
  ])
    assert.ok(text.includes(`${line}\n`), `${line}\n${text}`)
  assert.doesNotMatch(text, /undefined|NaN/)
})

test('the longest queues are printed by themselves, the others together', () => {
  const rows = Array.from({ length: SERIES_MAX + 2 }, (_, index) => ({
    endpoint_id: `e${index}`,
    ready: 5,
    deferred: 1,
    held: 2,
    oldest_at: new Date(1_000 * index),
  }))
  const sample = { at: new Date(0), endpoints: new Map(rows.map((row) => [row.endpoint_id, row])) }
  const text = printWaitingSeries(sample, 1_000_000)
  for (const line of [
    'waypost_delivery_waiting{endpoint="e0",state="ready"} 5',
    'waypost_delivery_waiting{endpoint="e0",state="deferred"} 1',
    'waypost_delivery_waiting{endpoint="e0",state="held"} 2',
    'waypost_delivery_waiting{endpoint="other",state="held"} 4',
    'waypost_delivery_oldest_seconds{endpoint="e0"} 1000',
    'waypost_delivery_waiting{endpoint="other",state="ready"} 10',
    'waypost_delivery_oldest_seconds{endpoint="other"} 800',
  ])
    assert.ok(text.includes(`${line}\n`), line)
})
