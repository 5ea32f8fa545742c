import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'

import { newClickId, newUuidV7 } from '#platform/ids'
import { encodeRecord, type ClickRecord, type LoggedRecord } from '#records'

import { readSound } from './sound-record.ts'

const AT = Date.UTC(2026, 5, 1)

const click: ClickRecord = {
  kind: 'click',
  click_id: newClickId(AT),
  at: AT,
  class: 'click',
  outcome: 'redirected',
  ip: '192.0.2.1',
  config_version: 1,
  trace: '',
}

test('an ordinary payload is taken as it is, without a copy', () => {
  const payload = encodeRecord({ ...click, sub1: 'Şişli "Ø" \\ \n 😀' })
  const sound = readSound(payload)
  assert.equal(sound?.payload, payload)
})

test('zero characters and half surrogates become replacement characters, also in keys', () => {
  const sound = readSound(encodeRecord({ ...click, sub1: 'a\0', sub2: '\udc00', sub2_keys: { 'k\0': 'v\ud800' } }))
  assert.deepEqual(sound?.record, { ...click, sub1: 'a\uFFFD', sub2: '\uFFFD', sub2_keys: { 'k\uFFFD': 'v\uFFFD' } })
  assert.ok(!sound!.payload.includes('\\u'))
})

const broken: readonly (readonly [string, object])[] = [
  ['a time in seconds', { ...click, at: AT / 1000 }],
  ['a time that is no integer', { ...click, at: 1.5 }],
  ['a time far away', { ...click, at: 9e15 }],
  ['a click id that is none', { ...click, click_id: 'x' }],
  ['a click id in upper case', { ...click, click_id: click.click_id.toUpperCase() }],
  ['an address that is none', { ...click, ip: '1.2.3' }],
  ['a cost that is no integer', { ...click, cost_micros: 0.5 }],
  ['an ASN below zero', { ...click, asn: -1 }],
  ['an event without a type', { kind: 'event', at: AT, ip: '192.0.2.1', event_id: 'e' }],
  ['a postback whose id is none', { kind: 'postback', at: AT, ip: '192.0.2.1', postback_id: 'p', raw: '' }],
  ['a kind that is none', { kind: 'wish', at: AT, ip: '192.0.2.1' }],
]
for (const [name, record] of broken)
  test(`refuses ${name}`, () => {
    const tag = { click: 'C', event: 'E', postback: 'P' }[(record as LoggedRecord).kind] ?? 'C'
    assert.equal(readSound(Buffer.from(tag + JSON.stringify(record))), undefined)
  })

test('whatever the bytes, reading never throws', () => {
  fc.assert(
    fc.property(fc.uint8Array(), fc.constantFrom('', 'C', 'E', 'P', 'C{', 'C[]', 'Cnull', 'C1'), (bytes, start) => {
      readSound(Buffer.concat([Buffer.from(start), Buffer.from(bytes)]))
    }),
  )
})

test('whatever a visitor writes, what is read back has no character that a database refuses', () => {
  fc.assert(
    fc.property(fc.string({ unit: 'binary' }), (text) => {
      const sound = readSound(
        encodeRecord({
          kind: 'postback',
          postback_id: newUuidV7(AT),
          at: AT,
          ip: '192.0.2.1',
          via: 'postback',
          raw: text,
        }),
      )
      const { raw } = sound!.record as { raw: string }
      assert.ok(raw.isWellFormed() && !raw.includes('\0'))
    }),
  )
})
