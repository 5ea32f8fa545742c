import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'

import { entriesBetween, target, type BookedState, type Entry } from './target.ts'

const amount = fc.bigInt({ min: 0n, max: 9_000_000_000_000_000n })
const state: fc.Arbitrary<BookedState> = fc
  .record({
    status: fc.constantFrom('pending', 'approved', 'rejected'),
    isHoldReleased: fc.boolean(),
    payoutMicros: amount,
    revenueMicros: amount,
  })
  .map((any) => ({ ...any, isHoldReleased: any.status === 'approved' && any.isHoldReleased }))

const sum = (entries: readonly Entry[]): bigint => entries.reduce((total, { amountMicros }) => total + amountMicros, 0n)

function balances(entries: readonly Entry[]): Record<string, bigint> {
  const totals: Record<string, bigint> = {}
  for (const { account, amountMicros } of entries) totals[account] = (totals[account] ?? 0n) + amountMicros
  return Object.fromEntries(Object.entries(totals).filter(([, total]) => total !== 0n))
}

const worth = { payoutMicros: 40_000_000n, revenueMicros: 60_000_000n }

test('a pending conversion waits in hold on both sides', () => {
  assert.deepEqual(balances(target({ status: 'pending', isHoldReleased: false, ...worth })), {
    'advertiser/hold': 60_000_000n,
    'platform/revenue': -60_000_000n,
    'affiliate/hold': -40_000_000n,
    'platform/payout_cost': 40_000_000n,
  })
})

test('an approved conversion in hold is spent by the advertiser and not yet payable', () => {
  assert.deepEqual(balances(target({ status: 'approved', isHoldReleased: false, ...worth })), {
    'advertiser/spend': 60_000_000n,
    'platform/revenue': -60_000_000n,
    'affiliate/hold': -40_000_000n,
    'platform/payout_cost': 40_000_000n,
  })
})

test('an approved conversion whose hold is over is payable', () => {
  assert.equal(
    balances(target({ status: 'approved', isHoldReleased: true, ...worth }))['affiliate/approved'],
    -40_000_000n,
  )
})

test('a rejected conversion leaves no balance', () => {
  assert.deepEqual(target({ status: 'rejected', isHoldReleased: false, ...worth }), [])
})

test('every transaction balances', () => {
  fc.assert(
    fc.property(fc.option(state, { nil: undefined }), fc.option(state, { nil: undefined }), (before, after) => {
      assert.equal(sum(entriesBetween(before, after)), 0n)
    }),
  )
})

test('any sequence of states ends with the balances of the last one', () => {
  fc.assert(
    fc.property(fc.array(state, { minLength: 1, maxLength: 8 }), (states) => {
      const entries = states.flatMap((after, index) => entriesBetween(states[index - 1], after))
      assert.deepEqual(balances(entries), balances(target(states.at(-1))))
    }),
  )
})

test('a state that repeats books nothing', () => {
  fc.assert(fc.property(state, (same) => assert.deepEqual(entriesBetween(same, same), [])))
})
