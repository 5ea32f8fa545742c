import assert from 'node:assert/strict'
import { test } from 'node:test'
import { median, percentile, roundTo } from './statistics.ts'

test('the median is the middle value, or the mean of the middle two', () => {
  assert.equal(median([9, 1, 5]), 5)
  assert.equal(median([4, 1, 3, 2]), 2.5)
  assert.throws(() => median([]), RangeError)
})

test('a percentile is a value that was measured, by nearest rank', () => {
  const hundred = Array.from({ length: 100 }, (_, index) => index + 1)
  assert.equal(percentile(hundred, 0.99), 99)
  assert.equal(percentile(hundred, 0.5), 50)
  assert.equal(percentile([7], 0.99), 7)
  assert.throws(() => percentile([], 0.5), RangeError)
})

test('a rounded figure keeps the digits that count', () => {
  assert.equal(roundTo(0.56789, 2), 0.57)
  assert.equal(roundTo(38_123, 3), 38_100)
})
