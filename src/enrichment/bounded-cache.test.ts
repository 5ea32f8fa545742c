import assert from 'node:assert/strict'
import { test } from 'node:test'
import { BoundedCache } from './bounded-cache.ts'

test('never holds more than twice its size', () => {
  const cache = new BoundedCache<string, number>(10)
  for (let n = 0; n < 1_000; n += 1) cache.set(String(n), n)
  assert.ok(cache.count <= 20)
})

test('keeps what is asked for while others pass', () => {
  const cache = new BoundedCache<string, number>(10)
  cache.set('kept', 1)
  for (let n = 0; n < 1_000; n += 1) {
    cache.set(String(n), n)
    if (n % 9 === 0) assert.equal(cache.get('kept'), 1)
  }
  assert.equal(cache.get('3'), undefined)
})
