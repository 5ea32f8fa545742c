import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { FRAME_HEADER_BYTES, PAYLOAD_BYTES_MAX, readFrame, writeFrame } from './frame.ts'

const SALT = 0x1234abcd
const payloads = fc.uint8Array({ minLength: 1, maxLength: 500 }).map((bytes) => Buffer.from(bytes))
const integers = fc.integer({ min: 0, max: Number.MAX_SAFE_INTEGER })

function frameOf(offset: number, appendedAt: number, payload: Buffer, salt = SALT): Buffer {
  const bytes = Buffer.alloc(FRAME_HEADER_BYTES + payload.length)
  assert.equal(writeFrame(bytes, 0, salt, offset, appendedAt, payload), bytes.length)
  return bytes
}

test('a frame gives back its offset, time and payload', () => {
  fc.assert(
    fc.property(integers, integers, payloads, (offset, appendedAt, payload) => {
      const bytes = frameOf(offset, appendedAt, payload)
      const expected = { kind: 'frame', frame: { offset, appendedAt, payload }, end: bytes.length }
      assert.deepEqual(readFrame(bytes, 0, SALT), expected)
    }),
  )
})

test('a frame with any byte changed is not read as a record', () => {
  const changes = fc.record({ at: fc.nat(), xor: fc.integer({ min: 1, max: 255 }) })
  fc.assert(
    fc.property(payloads, changes, (payload, { at, xor }) => {
      const bytes = frameOf(7, 1_000, payload)
      bytes[at % bytes.length]! ^= xor
      assert.notEqual(readFrame(bytes, 0, SALT).kind, 'frame')
    }),
  )
})

test('random bytes are never a record and never throw', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 100 }), fc.nat(100), (bytes, position) => {
      assert.notEqual(readFrame(Buffer.from(bytes), position, SALT).kind, 'frame')
    }),
  )
})

test('a whole frame of another salt is no record: a sender cannot plant one in a payload', () => {
  assert.deepEqual(readFrame(frameOf(7, 1_000, Buffer.from('planted'), 0x99), 0, SALT), { kind: 'invalid' })
})

test('a cut frame says how many bytes it needs', () => {
  const bytes = frameOf(7, 1_000, Buffer.alloc(50, 'x'))
  assert.deepEqual(readFrame(bytes.subarray(0, 20), 0, SALT), { kind: 'cut', bytesNeeded: FRAME_HEADER_BYTES })
  assert.deepEqual(readFrame(bytes.subarray(0, 40), 0, SALT), { kind: 'cut', bytesNeeded: FRAME_HEADER_BYTES + 50 })
})

test('a length of zero or over 16 MiB is damage, not a record to wait for', () => {
  for (const length of [0, PAYLOAD_BYTES_MAX + 1]) {
    const bytes = frameOf(7, 1_000, Buffer.from('x'))
    bytes.writeUInt32LE(length, 8)
    assert.deepEqual(readFrame(bytes, 0, SALT), { kind: 'invalid' })
  }
})
