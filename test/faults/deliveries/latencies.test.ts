import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Arrival } from './journal-receiver.ts'
import { latenciesBetween, percentileOf } from './latencies.ts'

const arrival = (txid: string, at: number, endpointId = 'one'): Arrival => ({
  endpointId,
  txid,
  at,
  webhookId: '',
  address: '',
  isSigned: true,
  status: 204,
  answeredAt: undefined,
})

test('counts from the commit to the first arrival at the endpoints asked for', () => {
  const production = { unknown: [], next: 4, failures: 0, committedAt: new Map([[0, 100], [1, 110], [2, 120], [3, 300]]) } // prettier-ignore
  const arrivals = [
    arrival('0', 105),
    arrival('0', 190),
    arrival('1', 150, 'two'),
    arrival('2', 127),
    arrival('3', 301),
  ]
  assert.deepEqual(
    latenciesBetween(production, arrivals, (id) => id === 'one', 0, 300),
    [5, 7],
  )
})

test('the percentile is a value that was seen; of nothing it is none', () => {
  assert.equal(percentileOf([4, 1, 3, 2], 0.5), 2)
  assert.equal(percentileOf([1], 0.99), 1)
  assert.ok(Number.isNaN(percentileOf([], 0.5)))
})
