import assert from 'node:assert/strict'
import { test } from 'node:test'
import { MESSAGE_BYTES, messageOf, messageTemplate, numberOf, txidOf } from './message.ts'

test('every message has 600 bytes, is JSON and tells its number', () => {
  for (const number of [0, 7, 999_999, 12_345_678]) {
    for (const affiliateId of ['a0', 'a499']) {
      const message = Buffer.from(messageOf(number, affiliateId))
      assert.equal(message.length, MESSAGE_BYTES)
      assert.equal((JSON.parse(message.toString()) as { affiliate_id: string }).affiliate_id, affiliateId)
      assert.equal(numberOf(message), number)
    }
  }
})

test('the template with its one macro filled is the message', () => {
  assert.equal(messageTemplate('a42').replace('{txid}', txidOf(31)), messageOf(31, 'a42'))
})

test('anything else has no number', () => {
  assert.equal(numberOf(Buffer.alloc(0)), undefined)
  assert.equal(numberOf(Buffer.alloc(MESSAGE_BYTES, 'x')), undefined)
  assert.equal(numberOf(Buffer.from(`${messageOf(1, 'a1')} `)), undefined)
})
