import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import type { PostbackBatch } from '#routing'
import { composeBatch } from './compose-batch.ts'

const batch = (over: Partial<PostbackBatch> = {}): PostbackBatch => ({
  max_events: 100,
  max_wait_ms: 1_000,
  max_bytes: 10_000,
  format: 'json_array',
  wrapper_key: 'events',
  ...over,
})
const BODIES = ['{"a":1}', '{"a":"x\\ny"}', '{\n  "a": 3\n}']

test('messages stand in an array, in lines, or under a key, in their order', () => {
  const values = [{ a: 1 }, { a: 'x\ny' }, { a: 3 }]
  const array = composeBatch(BODIES, batch())
  assert.deepEqual(JSON.parse(array.body), values)
  assert.deepEqual([array.contentType, array.count], ['application/json', 3])
  const wrapped = composeBatch(BODIES, batch({ format: 'wrapped', wrapper_key: 'da"ta' }))
  assert.deepEqual(JSON.parse(wrapped.body), { 'da"ta': values })
  const lines = composeBatch(BODIES, batch({ format: 'ndjson' }))
  assert.equal(lines.body, '{"a":1}\n{"a":"x\\ny"}\n{ "a": 3 }\n')
  assert.equal(lines.contentType, 'application/x-ndjson')
})

test('as many as fit are taken, and one alone whatever its size', () => {
  assert.equal(composeBatch(BODIES, batch({ max_events: 2 })).body, '[{"a":1},{"a":"x\\ny"}]')
  const two = Buffer.byteLength('[{"a":1},{"a":"x\\ny"}]')
  assert.equal(composeBatch(BODIES, batch({ max_bytes: two })).count, 2)
  assert.equal(composeBatch(BODIES, batch({ max_bytes: two - 1 })).count, 1)
  assert.deepEqual(composeBatch(BODIES, batch({ max_bytes: 1 })), {
    body: '[{"a":1}]',
    contentType: 'application/json',
    count: 1,
  })
  assert.equal(composeBatch(['"é"', '"é"'], batch({ max_bytes: 10 })).count, 1)
  assert.equal(composeBatch(['"é"', '"é"'], batch({ max_bytes: 11 })).count, 2)
})

test('no message is a mistake of the caller', () => {
  assert.throws(() => composeBatch([], batch()), RangeError)
})

test('batch after batch every message arrives once, in order and within the limits', () => {
  const formats = fc.constantFrom<PostbackBatch['format']>('json_array', 'ndjson', 'wrapped')
  fc.assert(
    fc.property(
      fc.array(fc.jsonValue(), { minLength: 1, maxLength: 30 }),
      formats,
      fc.integer({ min: 1, max: 8 }),
      fc.integer({ min: 1, max: 300 }),
      (values, format, max_events, max_bytes) => {
        const bodies = values.map((value) => JSON.stringify(value))
        const arrived: string[] = []
        for (let from = 0; from < bodies.length;) {
          const { body, count } = composeBatch(bodies.slice(from), batch({ format, max_events, max_bytes }))
          assert.ok(count >= 1 && count <= max_events)
          assert.ok(count === 1 || Buffer.byteLength(body) <= max_bytes)
          const parsed: unknown[] = format === 'ndjson' ? body.trimEnd().split('\n').map((line) => JSON.parse(line)) : format === 'wrapped' ? JSON.parse(body).events : JSON.parse(body) // prettier-ignore
          arrived.push(...parsed.map((value) => JSON.stringify(value)))
          from += count
        }
        assert.deepEqual(arrived, bodies.map((body) => JSON.stringify(JSON.parse(body)))) // prettier-ignore
      },
    ),
  )
})
