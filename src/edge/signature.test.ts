import assert from 'node:assert/strict'
import { test } from 'node:test'

import {
  createSignatureMemory,
  isTimely,
  parseSignature,
  parseTimestamp,
  querySigned,
  signPostback,
} from './signature.ts'

test('the documented example gives the documented signature', () => {
  const message = {
    timestamp: '1768478400',
    query: 'clickid=0196a1b2-0000-7000-8000-000000000001&status=sale&ts=1768478400',
    body: '',
  }
  assert.equal(
    signPostback('signing-secret', message),
    '7ace0793fc9c1845bfb2dbfcff74f95b3bcdd58ea3f7d02155fa77a1f567b303',
  )
})

test('a signature is 64 hex digits in either case, with or without the name of the hash', () => {
  const digits = 'ab'.repeat(32)
  assert.equal(parseSignature(digits.toUpperCase()), digits)
  assert.equal(parseSignature(`sha256=${digits}`), digits)
  for (const text of ['', digits.slice(1), `${digits}0`, `x${digits.slice(1)}`])
    assert.equal(parseSignature(text), undefined)
})

test('a timestamp is in seconds or milliseconds', () => {
  assert.equal(parseTimestamp('1768478400'), 1_768_478_400_000)
  assert.equal(parseTimestamp('1768478400123'), 1_768_478_400_123)
  for (const text of [undefined, '', '12', 'now', '-1768478400']) assert.equal(parseTimestamp(text), undefined)
})

test('a signature is timely for five minutes before and after', () => {
  assert.ok(isTimely(1_000_000, 1_300_000))
  assert.ok(isTimely(1_300_000, 1_000_000))
  assert.ok(!isTimely(1_000_000, 1_300_001))
  assert.ok(!isTimely(1_300_001, 1_000_000))
})

test('the signed query is the one sent, without the signature itself', () => {
  assert.equal(querySigned('a=1&sig=x&b=2'), 'a=1&b=2')
  assert.equal(querySigned('sig=x&a=%20'), 'a=%20')
  assert.equal(querySigned('design=1'), 'design=1')
})

test('a signature is remembered for as long as it is timely, and not for ever', () => {
  const memory = createSignatureMemory()
  const start = 1_768_478_400_000
  assert.equal(memory.remember('a', start), true)
  assert.equal(memory.remember('a', start + 599_000), false)
  assert.equal(memory.remember('b', start + 601_000), true)
  assert.equal(memory.remember('a', start + 602_000), false)
  assert.equal(memory.remember('c', start + 1_300_000), true)
  assert.equal(memory.remember('a', start + 1_300_001), true)
})

test('the memory of signatures has a limit', () => {
  const memory = createSignatureMemory(2)
  for (const digest of ['a', 'b', 'c', 'd', 'e']) memory.remember(digest, 1)
  assert.equal(memory.remember('a', 1), true)
  assert.equal(memory.remember('e', 1), false)
})

test('a forgotten signature may come again', () => {
  const memory = createSignatureMemory()
  memory.remember('a', 1)
  memory.forget('a')
  assert.equal(memory.remember('a', 2), true)
})
