import assert from 'node:assert/strict'
import { createHmac, randomBytes } from 'node:crypto'
import { test } from 'node:test'
import { createSigningKey, hmacSha256 } from './hmac.ts'

test('signs as node:crypto does, keys and messages of all lengths, bytes and texts', () => {
  for (let length = 0; length <= 64; length += 1) {
    const key = randomBytes(length)
    const signing = createSigningKey(key)
    for (const content of ['', 'a', 'ö€😀\ud800'.repeat(length), 'x'.repeat(length * 997), randomBytes(length * 311)]) {
      const expected = createHmac('sha256', key).update(content)
      assert.equal(hmacSha256(signing, [content], 'hex'), expected.digest('hex'))
    }
  }
})

test('gives the digits of RFC 4231', () => {
  const key = createSigningKey(Buffer.from('Jefe'))
  const digits = '5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843'
  assert.equal(hmacSha256(key, ['what do ya ', Buffer.from('want '), 'for nothing?'], 'hex'), digits)
  assert.equal(
    hmacSha256(key, ['what do ya want for nothing?'], 'base64'),
    Buffer.from(digits, 'hex').toString('base64'),
  )
})

test('a key longer than a block is refused', () => {
  assert.throws(() => createSigningKey(Buffer.alloc(65)), RangeError)
})
