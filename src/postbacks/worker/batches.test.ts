import assert from 'node:assert/strict'
import { test } from 'node:test'
import { givenSecretKeys, secretKeys, useSecretKeys } from '#secrets'
import type { PostbackBatch } from '#routing'
import { batchIdOf, countForRequest, putTogether } from './batches.ts'
import type { Claimed } from '../queue/queue.ts'
import { sampleEndpoint } from '../test-causes.ts'

const limits: PostbackBatch = {
  ...{ max_events: 10, max_wait_ms: 1_000, max_bytes: 1_000 },
  ...{ format: 'json_array', wrapper_key: 'events' },
}
const message = (number: number, over: Partial<Claimed> = {}): Claimed => ({
  ...{ place: '(0,1)', runAtMicros: 0, deliveryId: number, createdAt: new Date(0), endpointId: 'tracker' },
  ...{ attempts: 0, probes: 0, eventId: `01890a5d-ac96-774b-bcce-00000000000${number}`, method: 'POST' },
  ...{ url: 'https://a.example/', contentType: 'application/json', headers: null, body: `{"n":${number}}` },
  ...over,
})

test('messages of another address, other headers or another kind go in a request of their own', () => {
  const others = [
    { url: 'https://b.example/' },
    { headers: { 'x-a': '1' } },
    { body: null },
    { method: 'GET' },
  ] as const
  for (const over of others) {
    assert.equal(countForRequest([message(1), message(2), message(3, over), message(4)], 0, 9, limits), 2)
    assert.equal(countForRequest([message(1, over), message(2)], 0, 9, limits), 1)
  }
  assert.equal(countForRequest([message(1), message(2), message(3)], 1, 9, limits), 2)
  assert.equal(countForRequest([message(1), message(2), message(3)], 0, 2, limits), 2)
})

test('the same headers sealed twice are the same; those whose key is not here go alone', () => {
  useSecretKeys(givenSecretKeys([Buffer.alloc(32, 'one').toString('base64')]))
  const seal = (value: string): string => secretKeys().seal(JSON.stringify({ authorization: value }))
  const [first, again, other] = [seal('a'), seal('a'), seal('b')]
  const messages = [first, again, other].map((headers, index) => message(index, { headers }))
  assert.notEqual(first, again)
  assert.equal(countForRequest(messages, 0, 9, limits), 2)
  useSecretKeys(givenSecretKeys([Buffer.alloc(32, 'two').toString('base64')]))
  const unknown = [seal('c'), seal('c')]
  useSecretKeys(givenSecretKeys([Buffer.alloc(32, 'one').toString('base64')]))
  assert.equal(countForRequest(unknown.map((headers, index) => message(index, { headers })), 0, 9, limits), 1) // prettier-ignore
})

test('the same messages give the same id and the same bytes, in whatever order they come due; others give others', () => {
  const endpoint = sampleEndpoint({ batch: limits })
  const once = putTogether([message(1), message(2), message(3)], endpoint)
  assert.deepEqual(putTogether([message(3), message(1), message(2)], endpoint), once)
  assert.equal(once.body, '[{"n":1},{"n":2},{"n":3}]')
  assert.notEqual(putTogether([message(1), message(2)], endpoint).eventId, once.eventId)
})

test('the id of a request is a UUID of version 8: 16 bytes of the SHA-256 of its event ids, a line each', () => {
  // printf 'a\nb' | sha256sum
  assert.equal(batchIdOf(['a', 'b']), '7e18f737-311b-8dc3-b2f2-69dd78396b03')
})
