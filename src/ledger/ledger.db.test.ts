import assert from 'node:assert/strict'
import { test } from 'node:test'

import type { Pool, Tx } from '#platform/postgres'
import { withDatabase, withTx } from '#test-kit'

import { book, settle, target, type Booking, type Entry, type Settlement } from './index.ts'

const at = Date.UTC(2026, 0, 1)
const payable = target({ status: 'approved', isHoldReleased: true, payoutMicros: 40n, revenueMicros: 60n })

const booking = (key: string, entries: readonly Entry[] = payable): Booking => ({
  key,
  advertiserId: 'acme',
  affiliateId: 'ann',
  conversionId: undefined,
  currency: 'USD',
  description: 'test',
  at,
  entries,
})

const BALANCES = `
  SELECT a.owner || '/' || a.kind AS account, sum(e.amount_micros)::bigint AS balance
  FROM ledger_entries e JOIN ledger_accounts a USING (account_id) GROUP BY 1 ORDER BY 1`

async function balances(db: Pool | Tx): Promise<Record<string, bigint>> {
  const { rows } = await db.query<{ account: string; balance: bigint }>(BALANCES)
  return Object.fromEntries(rows.map(({ account, balance }) => [account, balance]))
}

test('books several transactions by one call and sums them to balances', async (t) => {
  const tx = await withTx(t)
  assert.deepEqual([...(await book(tx, [booking('a'), booking('b')]))].sort(), ['a', 'b'])
  assert.deepEqual(await balances(tx), {
    'advertiser/spend': 120n,
    'affiliate/approved': -80n,
    'platform/payout_cost': 80n,
    'platform/revenue': -120n,
  })
})

test('a key that was booked is not booked again', async (t) => {
  const tx = await withTx(t)
  await book(tx, [booking('a')])
  const before = await balances(tx)
  assert.deepEqual(await book(tx, [booking('a'), booking('c', [])]), [])
  assert.deepEqual(await balances(tx), before)
})

test('the database refuses entries that do not sum to zero', async (t) => {
  const tx = await withTx(t)
  const wrong = booking('a', [{ account: 'advertiser/spend', amountMicros: 1n }])
  await assert.rejects(book(tx, [wrong]), { code: '23514' })
})

test('the database refuses to change or remove an entry', async (t) => {
  const tx = await withTx(t)
  await book(tx, [booking('a')])
  await tx.query('SAVEPOINT here')
  await assert.rejects(tx.query('UPDATE ledger_entries SET amount_micros = 1'), { code: '23001' })
  await tx.query('ROLLBACK TO here')
  await assert.rejects(tx.query('DELETE FROM ledger_transactions'), { code: '23001' })
})

const settlement = (changes: Partial<Settlement> = {}): Settlement => ({
  affiliateId: 'ann',
  advertiserId: 'acme',
  currency: 'USD',
  amountMicros: 30n,
  key: 'pay-1',
  at,
  ...changes,
})

test('a settlement moves approved payouts to paid, once, and never more than there are', async (t) => {
  const { pool } = await withDatabase(t)
  const tx = await pool.connect()
  await book(tx, [booking('a')])
  tx.release()
  assert.deepEqual(await settle(pool, settlement()), { kind: 'settled' })
  assert.deepEqual(await settle(pool, settlement()), { kind: 'repeated' })
  assert.deepEqual(await settle(pool, settlement({ amountMicros: 5n })), { kind: 'key_taken' })
  assert.deepEqual(await settle(pool, settlement({ key: 'pay-2' })), { kind: 'not_enough', approvedMicros: 10n })
  assert.deepEqual(await settle(pool, settlement({ key: 'pay-2', affiliateId: 'bob' })), {
    kind: 'not_enough',
    approvedMicros: 0n,
  })
  const after = await balances(pool)
  assert.equal(after['affiliate/approved'], -10n)
  assert.equal(after['affiliate/paid'], -30n)
})

test('settlements that run at the same time do not pay the same money twice', async (t) => {
  const { pool } = await withDatabase(t)
  const tx = await pool.connect()
  await book(tx, [booking('a')])
  tx.release()
  const results = await Promise.all(
    ['1', '2', '3', '4'].map((key) => settle(pool, settlement({ key, amountMicros: 25n }))),
  )
  assert.deepEqual(results.map(({ kind }) => kind).sort(), ['not_enough', 'not_enough', 'not_enough', 'settled'])
})

test('a settlement of nothing is a programmer error', async (t) => {
  const { pool } = await withDatabase(t)
  await assert.rejects(settle(pool, settlement({ amountMicros: 0n })), RangeError)
})
