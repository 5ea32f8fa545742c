import fc from 'fast-check'
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { newClickId } from '#platform/ids'
import { decodeClick, decodeRecord, encodeRecord, eventIdentity, isClickPayload } from './codec.ts'
import type { ClickRecord, EventRecord, PostbackRecord } from './records.ts'

const AT = 1_800_000_000_000
const click: ClickRecord = {
  kind: 'click',
  click_id: newClickId(AT),
  at: AT,
  class: 'click',
  outcome: 'redirected',
  ip: '203.0.113.7',
  sub1: 'Žluťoučký 🐎',
  config_version: 3,
  trace: 't',
}
const event: EventRecord = { kind: 'event', event_id: newClickId(AT), at: AT, type: 'reg', ip: '::1' }
const postback: PostbackRecord = {
  kind: 'postback',
  postback_id: newClickId(AT),
  at: AT,
  via: 'pixel',
  ip: '::1',
  raw: 'cid=1',
}

test('every kind of record comes back as it was written', () => {
  for (const record of [click, event, postback]) assert.deepEqual(decodeRecord(encodeRecord(record)), record)
  assert.deepEqual(decodeClick(encodeRecord(click)), click)
})

test('payloads hold the JSON of their records, of any length and script, side by side', () => {
  const text = fc.oneof(fc.string({ unit: 'binary' }), fc.constantFrom('€'.repeat(30_000), 'x'.repeat(70_000)))
  fc.assert(
    fc.property(fc.array(text, { minLength: 2, maxLength: 20 }), (texts) => {
      const payloads = texts.map((sub1) => encodeRecord({ ...click, sub1 }))
      for (const [index, sub1] of texts.entries())
        assert.equal(payloads[index]!.toString(), `C${JSON.stringify({ ...click, sub1 })}`)
    }),
  )
})

test('a click is told from the others by its first byte', () => {
  assert.ok(isClickPayload(encodeRecord(click)))
  assert.ok(!isClickPayload(encodeRecord(event)))
  assert.ok(!isClickPayload(encodeRecord(postback)))
})

test('bytes that are no record give undefined and never throw', () => {
  fc.assert(
    fc.property(fc.uint8Array(), fc.constantFrom('', 'C', 'E', 'P'), (bytes, tag) => {
      const payload = Buffer.concat([Buffer.from(tag), bytes])
      const record = decodeRecord(payload)
      assert.ok(record === undefined || tag !== '' || 'CEP'.includes(String.fromCharCode(payload[0]!)))
    }),
  )
  for (const damaged of ['C', 'C{', 'E{"kind":', 'X{}', '']) assert.equal(decodeRecord(Buffer.from(damaged)), undefined)
})

test('events without a transaction id share one identity per click and type', () => {
  assert.equal(eventIdentity('c', 'reg', undefined), eventIdentity('c', 'reg', '-'))
  assert.notEqual(eventIdentity('c', 'reg', undefined), eventIdentity('c', 'deposit', undefined))
  assert.notEqual(eventIdentity('c', 'sale', '1'), eventIdentity('c', 'sale', '2'))
})
