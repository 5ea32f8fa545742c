import fc from 'fast-check'
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { isUuid, newClickId, newUuidV7, parseClickId, uuidV7Time } from './ids.ts'

const VERSION_7 = /^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/

test('a new id is a UUIDv7 that tells its time', () => {
  fc.assert(
    fc.property(fc.integer({ min: 0, max: 2 ** 48 - 1 }), (nowMs) => {
      const id = newUuidV7(nowMs)
      assert.match(id, VERSION_7)
      assert.equal(uuidV7Time(id), nowMs)
    }),
  )
})

test('ids of one millisecond differ, also past the end of the random pool', () => {
  const ids = new Set(Array.from({ length: 10_000 }, () => newClickId(1_700_000_000_000)))
  assert.equal(ids.size, 10_000)
})

test('later ids sort after earlier ones', () => {
  assert.ok(newUuidV7(1_700_000_000_000) < newUuidV7(1_700_000_000_001))
})

test("takes a caller's UUID of any version and case, lower-cased, and nothing else", () => {
  assert.equal(parseClickId('F47AC10B-58CC-4372-A567-0E02B2C3D479'), 'f47ac10b-58cc-4372-a567-0e02b2c3d479')
  for (const text of [undefined, '', '{clickid}', 'f47ac10b58cc4372a5670e02b2c3d479', `${newUuidV7(0)}0`])
    assert.equal(parseClickId(text), undefined)
})

test('takes neither the nil nor the max UUID, which stand for no id', () => {
  for (const digit of ['0', 'f', 'F'])
    assert.equal(parseClickId('12345678-1234-1234-1234-123456789012'.replaceAll(/\d/g, digit)), undefined)
  assert.notEqual(parseClickId('00000000-0000-0000-0000-000000000001'), undefined)
})

test('the time of another version is unknown', () => {
  assert.equal(uuidV7Time('f47ac10b-58cc-4372-a567-0e02b2c3d479'), undefined)
  assert.ok(isUuid('f47ac10b-58cc-4372-a567-0e02b2c3d479'))
})
