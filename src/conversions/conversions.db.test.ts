import assert from 'node:assert/strict'
import { test, type TestContext } from 'node:test'

import { newClickId, newUuidV7 } from '#platform/ids'
import { inTransaction, type Pool } from '#platform/postgres'
import type { ClickRecord, PostbackRecord } from '#records'
import type { Offer, Snapshot } from '#routing'
import { withDatabase } from '#test-kit'

import {
  changeStatus,
  correctAmounts,
  decideConversions,
  lockByClick,
  recordRevisions,
  releaseHolds,
  replayInboundPostbacks,
  storeConversions,
  storeInbound,
  type ConversionRequest,
} from './index.ts'

const AT = Date.UTC(2026, 5, 1)
const DAY_MS = 86_400_000

const offer: Offer = {
  offer_id: 'casino',
  advertiser_id: 'acme',
  name: 'Casino',
  status: 'active',
  model: 'cpa',
  currency: 'USD',
  prices: [{ type: 'lead', payout_micros: 4, revenue_micros: 6, status: 'pending' }],
  hold_days: 7,
  landings: [],
  event_map: { reg: 'lead' },
  custom_events: [],
  status_map: {},
  postback: { secrets: [], hmac_secrets: [], allowed_addresses: [] },
  unique_ttl_hours: 24,
  click_lifetime_days: 0,
}

const snapshotWith = (changes: Partial<Offer> = {}): Snapshot => ({
  version: 1,
  created_at: '2026-01-01T00:00:00.000Z',
  advertisers: [],
  affiliates: [],
  offers: [{ ...offer, ...changes }],
  campaigns: [],
  links: [],
  endpoints: [
    {
      endpoint_id: 'tracker',
      name: 'Tracker',
      status: 'active',
      scope: {},
      triggers: ['lead', 'status_changed', 'rejected', 'hold_released'],
      method: 'GET',
      url: 'https://tracker.example/?c={click_id}&s={status}',
      timeout_ms: 1_000,
      max_concurrency: 1,
      max_attempts: 1,
      expires_hours: 120,
      allow_private_address: false,
    },
  ],
})
const snapshot = snapshotWith()

const makeClick = (): ClickRecord => ({
  kind: 'click',
  click_id: newClickId(AT),
  at: AT,
  class: 'click',
  outcome: 'redirected',
  ip: '192.0.2.1',
  config_version: 1,
  trace: '',
  advertiser_id: 'acme',
  campaign_id: 'spring',
  offer_id: 'casino',
  affiliate_id: 'ann',
})

const leadOf = (click: ClickRecord): ConversionRequest => ({
  cause: 'event',
  click,
  offer,
  type: 'lead',
  goal: 'reg',
  txid: undefined,
  status: undefined,
  rawStatus: undefined,
  amountMicros: undefined,
  saleAmountMicros: undefined,
  currency: undefined,
  at: AT,
})

/** Stores a pending lead. @returns its id */
async function storeLead(pool: Pool): Promise<string> {
  const { revisions } = decideConversions([], [leadOf(makeClick())])
  await inTransaction(pool, async (tx) => {
    await storeConversions(tx, revisions)
    await recordRevisions(tx, revisions, snapshot)
  })
  return revisions[0]!.after.conversionId
}

async function readBalances(pool: Pool): Promise<Record<string, bigint>> {
  const { rows } = await pool.query<{ account: string; balance: bigint }>(`
    SELECT owner || '/' || kind AS account, sum(amount_micros)::bigint AS balance
    FROM ledger_entries JOIN ledger_accounts USING (account_id) GROUP BY 1 HAVING sum(amount_micros) <> 0 ORDER BY 1`)
  return Object.fromEntries(rows.map(({ account, balance }) => [account, balance]))
}

async function countRows(pool: Pool, table: string): Promise<number> {
  const { rows } = await pool.query<{ n: bigint }>(`SELECT count(*) AS n FROM ${table}`)
  return Number(rows[0]!.n)
}

const change = (conversionId: string, status: 'approved' | 'rejected' | 'pending', changes: object = {}) => ({
  conversionId,
  status,
  by: 'someone',
  at: AT + DAY_MS,
  ...changes,
})

test('a change of status by hand books, is a revision and tells partners', async (t) => {
  const { pool } = await withDatabase(t)
  const id = await storeLead(pool)
  const result = await changeStatus(pool, snapshot, change(id, 'approved'))
  assert.equal(result.kind, 'changed')
  assert.deepEqual(result.conversion.holdUntil, new Date(AT + 8 * DAY_MS))
  assert.deepEqual(await readBalances(pool), {
    'advertiser/spend': 6n,
    'affiliate/hold': -4n,
    'platform/payout_cost': 4n,
    'platform/revenue': -6n,
  })
  const { rows } = await pool.query('SELECT cause, revised_by, status FROM conversion_revisions ORDER BY seq')
  assert.deepEqual(rows, [
    { cause: 'event', revised_by: '', status: 'pending' },
    { cause: 'api', revised_by: 'someone', status: 'approved' },
  ])
  assert.equal(await countRows(pool, 'deliveries'), 2)
})

const correction = (conversionId: string, payout: bigint | undefined, revenue?: bigint) => ({
  ...{ conversionId, payoutMicros: payout, revenueMicros: revenue },
  ...{ reason: 'the rate of May', by: 'eva', at: AT + DAY_MS },
})

/** An endpoint that hears of money, and of nothing else. */
const withMoneyListener = (changes: Partial<Offer> = {}): Snapshot => {
  const { endpoints, ...rest } = snapshotWith(changes)
  return { ...rest, endpoints: endpoints.map((endpoint) => ({ ...endpoint, triggers: ['payout_changed'] })) }
}

test('a correction by hand books the difference, says why and by whom, and tells partners', async (t) => {
  const { pool } = await withDatabase(t)
  const id = await storeLead(pool)
  const listened = withMoneyListener()
  const result = await correctAmounts(pool, listened, correction(id, 5n, 9n))
  assert.equal(result.kind, 'corrected')
  assert.deepEqual(await readBalances(pool), {
    'advertiser/hold': 9n,
    'affiliate/hold': -5n,
    'platform/payout_cost': 5n,
    'platform/revenue': -9n,
  })
  const { rows } = await pool.query('SELECT revision, cause, revised_by, reason FROM conversion_revisions ORDER BY seq')
  assert.deepEqual(rows, [
    { revision: 1, cause: 'event', revised_by: '', reason: '' },
    { revision: 2, cause: 'correction', revised_by: 'eva', reason: 'the rate of May' },
  ])
  const bookings = await pool.query('SELECT booking_key, description FROM ledger_transactions ORDER BY transaction_id')
  assert.deepEqual(bookings.rows[1], {
    booking_key: `conversion:${id}:2`,
    description: 'lead pending by correction',
  })
  const told = await pool.query("SELECT cause, conversion_revision FROM deliveries WHERE cause = 'payout_changed'")
  assert.deepEqual(told.rows, [{ cause: 'payout_changed', conversion_revision: 2 }])
  assert.deepEqual(await correctAmounts(pool, listened, correction(id, 5n)), { kind: 'refused', reason: 'duplicate' })
  await changeStatus(pool, snapshot, change(id, 'approved'))
  assert.equal((await readBalances(pool))['affiliate/hold'], -5n)
})

test('a correction of what is rejected, of nobody’s payout, or of nothing is refused', async (t) => {
  const { pool } = await withDatabase(t)
  const id = await storeLead(pool)
  assert.deepEqual(await correctAmounts(pool, snapshot, correction(newUuidV7(AT), 1n)), { kind: 'not_found' })
  await pool.query('UPDATE conversions SET affiliate_id = NULL')
  assert.deepEqual(await correctAmounts(pool, snapshot, correction(id, 5n)), {
    kind: 'refused',
    reason: 'no_affiliate',
  })
  await pool.query("UPDATE conversions SET affiliate_id = 'anna'")
  await changeStatus(pool, snapshot, change(id, 'rejected'))
  assert.deepEqual(await correctAmounts(pool, snapshot, correction(id, 5n)), { kind: 'refused', reason: 'rejected' })
  assert.deepEqual(await readBalances(pool), {})
})

test('with corrections, repeats and statuses at the same moment the books say what the last revision says', async (t) => {
  const { pool } = await withDatabase(t)
  const prices = [{ type: 'sale', payout_micros: 4, revenue_micros: 0, status: 'pending' }] as const
  const sold = snapshotWith({ prices })
  const click = makeClick()
  /** As the pipeline does it. */
  const send = (amount: number, at: number): Promise<void> =>
    inTransaction(pool, async (tx) => {
      const existing = await lockByClick(tx, [click.click_id])
      const request = { ...leadOf(click), offer: sold.offers[0]!, cause: 'postback', type: 'sale', txid: 'T' } as const
      const { revisions } = decideConversions(existing, [{ ...request, amountMicros: BigInt(amount), at }])
      await storeConversions(tx, revisions)
      await recordRevisions(tx, revisions, sold)
    })
  await send(10, AT)
  const { rows } = await pool.query<{ id: string }>('SELECT conversion_id AS id FROM conversions')
  const id = rows[0]!.id
  await Promise.all([
    ...Array.from({ length: 12 }, (_, index) => send(11 + (index % 3), AT + 1 + index)),
    changeStatus(pool, sold, change(id, 'approved')),
  ])
  await Promise.all([
    ...[3n, 5n, 3n].map((payout) => correctAmounts(pool, sold, correction(id, payout))),
    ...Array.from({ length: 4 }, (_, index) => send(20 + index, AT + 2 * DAY_MS)),
  ])
  const { rows: last } = await pool.query('SELECT payout_micros, revenue_micros, revision FROM conversions')
  const { payout_micros: payout, revenue_micros: revenue, revision } = last[0]! as Record<string, bigint>
  assert.deepEqual(await readBalances(pool), {
    'advertiser/spend': revenue,
    'affiliate/hold': -payout!,
    'platform/payout_cost': payout,
    'platform/revenue': -revenue!,
  })
  assert.ok(payout === 3n || payout === 5n)
  assert.equal(await countRows(pool, 'conversion_revisions'), Number(revision))
  assert.equal(await countRows(pool, 'conversions'), 1)
})

test('refuses a status that is there already, and one that cannot follow', async (t) => {
  const { pool } = await withDatabase(t)
  const id = await storeLead(pool)
  assert.deepEqual(await changeStatus(pool, snapshot, change(id, 'pending')), { kind: 'refused', reason: 'duplicate' })
  await changeStatus(pool, snapshot, change(id, 'rejected'))
  assert.deepEqual(await readBalances(pool), {})
  assert.deepEqual(await changeStatus(pool, snapshot, change(id, 'approved')), {
    kind: 'refused',
    reason: 'transition_illegal',
  })
})

test('a conversion that is unknown or of another advertiser is not found', async (t) => {
  const { pool } = await withDatabase(t)
  const id = await storeLead(pool)
  assert.deepEqual(await changeStatus(pool, snapshot, change(newUuidV7(AT), 'approved')), { kind: 'not_found' })
  assert.deepEqual(await changeStatus(pool, snapshot, change(id, 'approved', { advertiserId: 'other' })), {
    kind: 'not_found',
  })
})

test('of two changes at the same time one counts', async (t) => {
  const { pool } = await withDatabase(t)
  const id = await storeLead(pool)
  const results = await Promise.all([1, 2, 3].map(() => changeStatus(pool, snapshot, change(id, 'approved'))))
  assert.deepEqual(results.map(({ kind }) => kind).sort(), ['changed', 'refused', 'refused'])
  assert.equal(await countRows(pool, 'conversion_revisions'), 2)
})

test('a hold that is over makes the payout payable, once', async (t) => {
  const { pool } = await withDatabase(t)
  const id = await storeLead(pool)
  await changeStatus(pool, snapshot, change(id, 'approved'))
  assert.equal(await releaseHolds(pool, snapshot, AT + 8 * DAY_MS - 1), 0)
  const released = await Promise.all([1, 2].map(() => releaseHolds(pool, snapshot, AT + 8 * DAY_MS)))
  assert.equal(released[0]! + released[1]!, 1)
  assert.equal(await releaseHolds(pool, snapshot, AT + 9 * DAY_MS), 0)
  const balances = await readBalances(pool)
  assert.equal(balances['affiliate/approved'], -4n)
  assert.equal(balances['affiliate/hold'], undefined)
  const { rows } = await pool.query(`SELECT cause FROM deliveries ORDER BY delivery_id`)
  assert.deepEqual(
    rows.map(({ cause }) => cause),
    ['lead', 'status_changed', 'hold_released'],
  )
})

test('a conversion that somebody else made meanwhile is not overwritten', async (t) => {
  const { pool } = await withDatabase(t)
  const request = leadOf(makeClick())
  const mine = decideConversions([], [request])
  const theirs = decideConversions([], [request])
  await inTransaction(pool, (tx) => storeConversions(tx, theirs.revisions))
  await assert.rejects(
    inTransaction(pool, (tx) => storeConversions(tx, mine.revisions)),
    /changed meanwhile/,
  )
})

test('a state that was changed meanwhile is not overwritten', async (t) => {
  const { pool } = await withDatabase(t)
  const request = leadOf(makeClick())
  const { revisions } = decideConversions([], [request])
  await inTransaction(pool, async (tx) => {
    await storeConversions(tx, revisions)
    await recordRevisions(tx, revisions, snapshot)
  })
  const standing = await inTransaction(pool, (tx) => lockByClick(tx, [request.click.click_id]))
  assert.deepEqual(standing, [{ ...revisions[0]!.after }])
  const approved = decideConversions(standing, [{ ...request, cause: 'postback', status: 'approved' }])
  await changeStatus(pool, snapshot, change(standing[0]!.conversionId, 'rejected'))
  await assert.rejects(
    inTransaction(pool, (tx) => storeConversions(tx, approved.revisions)),
    /changed meanwhile/,
  )
})

const refusedPostback = (click: ClickRecord, changes: Partial<PostbackRecord> = {}): PostbackRecord => ({
  kind: 'postback',
  postback_id: newUuidV7(AT),
  at: AT,
  via: 'postback',
  ip: '192.0.2.1',
  click_id: click.click_id,
  authenticated_offer_ids: ['casino'],
  raw_status: '7',
  raw: '',
  ...changes,
})

async function storeRefused(t: TestContext, count: number) {
  const { pool } = await withDatabase(t)
  const clicks = new Map<string, ClickRecord>()
  const inbound = Array.from({ length: count }, (_, index) => {
    const click = makeClick()
    clicks.set(click.click_id, click)
    const record = refusedPostback(click, index === 0 ? { refusal: 'secret_wrong' } : {})
    const reason = record.refusal ?? 'status_unmapped'
    return { record, click, outcome: { kind: 'refused', reason } as const }
  })
  await inTransaction(pool, (tx) => storeInbound(tx, inbound))
  return { pool, findClick: (clickId: string) => clicks.get(clickId) }
}

test('refused postbacks are judged again after their word was mapped, each once', async (t) => {
  const { pool, findClick } = await storeRefused(t, 1_200)
  const mended = snapshotWith({ status_map: { '7': { type: 'lead', status: 'approved' } } })
  const filter = { advertiserId: 'acme', offerId: 'casino' }
  assert.deepEqual(await replayInboundPostbacks(pool, mended, findClick, filter), {
    converted: 1_199,
    updated: 0,
    refused: 1,
  })
  assert.deepEqual(await replayInboundPostbacks(pool, mended, findClick, filter), {
    converted: 0,
    updated: 0,
    refused: 1,
  })
  assert.equal(await countRows(pool, 'conversions'), 1_199)
  const { rows } = await pool.query('SELECT DISTINCT outcome, reason FROM inbound_postbacks ORDER BY outcome')
  assert.deepEqual(rows, [
    { outcome: 'converted', reason: null },
    { outcome: 'refused', reason: 'secret_wrong' },
  ])
})

test('a postback refused for its missing amount is judged again once the offer has a fixed price', async (t) => {
  const { pool } = await withDatabase(t)
  const click = makeClick()
  const record = refusedPostback(click, { raw_status: 'sale' })
  await inTransaction(pool, (tx) =>
    storeInbound(tx, [{ record, click, outcome: { kind: 'refused', reason: 'amount_missing' } }]),
  )
  const replayWith = (changes: Partial<Offer>) =>
    replayInboundPostbacks(pool, snapshotWith(changes), () => click, { reason: 'amount_missing' })
  const price = { type: 'sale', payout_micros: 0, revenue_micros: 0, status: 'approved' } as const
  const byShare = { model: 'revshare', prices: [{ ...price, payout_share_bp: 3_000 }] } as const
  assert.deepEqual(await replayWith(byShare), { converted: 0, updated: 0, refused: 1 })
  assert.deepEqual(await replayWith({ prices: [{ ...price, payout_micros: 5_000_000 }] }), {
    ...{ converted: 1, updated: 0, refused: 0 },
  })
})

test('a replay touches only what its filter names', async (t) => {
  const { pool, findClick } = await storeRefused(t, 3)
  const mended = snapshotWith({ status_map: { '7': { type: 'lead' } } })
  const nothing = { converted: 0, updated: 0, refused: 0 }
  for (const filter of [
    { offerId: 'other' },
    { reason: 'click_unknown' },
    { receivedFrom: new Date(AT + 1) },
    { postbackIds: [] },
  ])
    assert.deepEqual(await replayInboundPostbacks(pool, mended, findClick, filter), nothing)
  assert.deepEqual(await replayInboundPostbacks(pool, mended, findClick, { reason: 'status_unmapped' }), {
    ...nothing,
    converted: 2,
  })
})
