import assert from 'node:assert/strict'
import { test } from 'node:test'

import fc from 'fast-check'

import { emptyLatencyCounts, LATENCY_BOUNDS_MS, latencyPercentile, latencyStep } from './latency-counts.ts'

const countsOf = (latencies: readonly number[]): number[] => {
  const counts = emptyLatencyCounts()
  for (const ms of latencies) counts[latencyStep(ms)]! += 1
  return counts
}

test('a latency belongs to the first bound that is not below it', () => {
  assert.deepEqual([0, 1, 1.1, 10, 79_999, 80_000, 80_001].map(latencyStep), [0, 0, 1, 10, 49, 49, 50])
  assert.deepEqual([...LATENCY_BOUNDS_MS].sort((a, b) => a - b), LATENCY_BOUNDS_MS) // prettier-ignore
})

test('a percentile is right to a quarter of its value', () => {
  fc.assert(
    fc.property(
      fc.array(fc.integer({ min: 2, max: 80_000 }), { minLength: 1, maxLength: 300 }),
      fc.constantFrom(0.5, 0.9, 0.99),
      (latencies, share) => {
        const exact = latencies.toSorted((a, b) => a - b)[Math.ceil(share * latencies.length) - 1]!
        const told = latencyPercentile(countsOf(latencies), share)!
        assert.ok(told <= exact * 1.29 && told >= exact / 1.29, `${told} for ${exact}`)
      },
    ),
  )
})

test('nothing counted has no percentile, and what is above the last bound counts as that', () => {
  assert.equal(latencyPercentile(emptyLatencyCounts(), 0.5), undefined)
  assert.equal(latencyPercentile(countsOf([500_000]), 0.99), 80_000)
})
