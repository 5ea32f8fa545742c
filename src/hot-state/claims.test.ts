import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { decodeHolders, encodeHolders, HOLDERS_MAX, judgeClaim, type Holder } from './claims.ts'
import type { Claim, ClaimRequest } from './hot-state.ts'

const PLAIN = { noNullPrototype: true } as const
const KEY = Buffer.from('k')
const request = (offset: number, at: number, ttlMs = 100): ClaimRequest => ({
  key: KEY,
  origin: { partition: 'edge-0', offset },
  at,
  ttlMs,
})

/** Judges requests for one key in order, as a batch does. */
function judgeAll(
  holders: readonly Holder[],
  requests: readonly ClaimRequest[],
): { answers: readonly Claim[]; holders: readonly Holder[] } {
  let kept = holders
  const answers = requests.map((one) => {
    const judged = judgeClaim(kept, one)
    kept = judged.holders ?? kept
    return judged.claim
  })
  return { answers, holders: kept }
}

const kinds = (answers: readonly Claim[]): readonly string[] => answers.map((answer) => answer.kind)

test('the first record holds the key until its claim lapses, then the next takes it over', () => {
  const { answers } = judgeAll([], [request(0, 0), request(1, 50), request(2, 100), request(3, 101), request(4, 110)])
  assert.deepEqual(answers, [
    { kind: 'first' },
    { kind: 'taken', by: { partition: 'edge-0', offset: 0 }, at: 0 },
    { kind: 'taken', by: { partition: 'edge-0', offset: 0 }, at: 0 },
    { kind: 'first' },
    { kind: 'taken', by: { partition: 'edge-0', offset: 3 }, at: 101 },
  ])
})

test('a claim without an end never lapses', () => {
  const { answers } = judgeAll([], [request(0, 0, Infinity), request(1, Number.MAX_SAFE_INTEGER)])
  assert.deepEqual(kinds(answers), ['first', 'taken'])
})

test('equal offsets of two partitions are two records', () => {
  const other = { ...request(0, 1), origin: { partition: 'edge-1', offset: 0 } }
  assert.deepEqual(kinds(judgeAll([], [request(0, 0), other]).answers), ['first', 'taken'])
})

const batches = fc.array(
  fc.record({
    partition: fc.constantFrom('edge-0', 'edge-1'),
    at: fc.integer({ min: 0, max: 2_000 }),
    ttlMs: fc.constantFrom(1, 100, 500, Infinity),
  }),
  { maxLength: HOLDERS_MAX },
)

test('a batch that is replayed, wholly or in part and however often, gets the same answers', () => {
  fc.assert(
    fc.property(batches, fc.nat(), (items, from) => {
      const requests = items.map(({ partition, at, ttlMs }, offset) => ({
        key: KEY,
        origin: { partition, offset },
        at,
        ttlMs,
      }))
      const once = judgeAll([], requests)
      const again = judgeAll(once.holders, requests)
      assert.deepEqual(again, once)
      const partly = judgeAll(once.holders, requests.slice(from % (requests.length + 1)))
      assert.deepEqual(partly.answers, once.answers.slice(from % (requests.length + 1)))
    }),
  )
})

test('at any time at most one record is first without the claim before it having lapsed', () => {
  fc.assert(
    fc.property(batches, (items) => {
      const requests = items.map(({ at, ttlMs }, offset) => request(offset, at, ttlMs))
      const { holders } = judgeAll([], requests)
      for (const [index, holder] of holders.entries()) {
        assert.ok(holders.slice(0, index).every((earlier) => earlier.expiresAt < holder.at))
      }
    }),
  )
})

test('a key remembers its last 32 holders', () => {
  const requests = Array.from({ length: HOLDERS_MAX + 1 }, (_, index) => request(index, index * 1_000))
  const { holders } = judgeAll([], requests)
  assert.equal(holders.length, 32)
  assert.equal(holders[0]?.origin.offset, 1)
})

test('holders come back from their bytes', () => {
  const origin = fc.record({ partition: fc.string({ maxLength: 60 }), offset: fc.nat() }, PLAIN)
  const expiresAt = fc.oneof(fc.nat(), fc.constant(Infinity))
  const holder = fc.record({ origin, at: fc.nat(), expiresAt }, PLAIN)
  fc.assert(
    fc.property(fc.array(holder, { maxLength: 5 }), (holders) => {
      assert.deepEqual(decodeHolders(encodeHolders(holders)), holders)
    }),
  )
})
