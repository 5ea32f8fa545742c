import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Arrivals } from './arrivals.ts'

test('each message is counted once, what came again is counted as doubled, and the first time stands', () => {
  const arrivals = new Arrivals()
  arrivals.note(0, 10)
  arrivals.note(2, 20)
  arrivals.note(0, 30)
  arrivals.note(0, 40)
  assert.deepEqual(arrivals.report(), { different: 2, doubled: 2, strange: 0 })
  assert.deepEqual([...arrivals.firstArrivals(0, 3)], [10, Number.NaN, 20])
})

test('a request that is no message is strange and nothing else', () => {
  const arrivals = new Arrivals()
  arrivals.note(undefined, 1)
  assert.deepEqual(arrivals.report(), { different: 0, doubled: 0, strange: 1 })
})

test('numbers far beyond the first array are kept, and asked for beyond the last they are missing', () => {
  const arrivals = new Arrivals()
  arrivals.note(5, 1)
  arrivals.note(1_024, 2)
  arrivals.note(70_000, 3)
  assert.deepEqual(arrivals.report(), { different: 3, doubled: 0, strange: 0 })
  assert.deepEqual([...arrivals.firstArrivals(70_000, 70_001)], [3])
  assert.deepEqual([...arrivals.firstArrivals(5, 6)], [1])
  assert.ok(Number.isNaN(arrivals.firstArrivals(10_000_000, 10_000_001)[0]))
})

test('what was forgotten counts as new when it comes again', () => {
  const arrivals = new Arrivals()
  arrivals.note(3, 1)
  arrivals.forget()
  assert.ok(Number.isNaN(arrivals.firstArrivals(3, 4)[0]))
  arrivals.note(3, 9)
  assert.deepEqual(arrivals.report(), { different: 1, doubled: 0, strange: 0 })
  assert.deepEqual([...arrivals.firstArrivals(3, 4)], [9])
})
