import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'

import { newClickId } from '#platform/ids'
import type { ClickRecord, EventRecord, PostbackRecord, RefusalReason } from '#records'
import type { ConversionStatus, Offer, Price } from '#routing'

import {
  decideConversions,
  judgeEvent,
  judgePostback,
  judgeTransition,
  mapStatus,
  offersById,
  priceConversion,
  type Conversion,
  type ConversionRequest,
  type Sale,
} from './index.ts'

const AT = Date.UTC(2026, 5, 1)
const DAY_MS = 86_400_000

const leadPrice: Price = { type: 'lead', payout_micros: 4_000_000, revenue_micros: 6_000_000, status: 'pending' }
const salePrice: Price = { type: 'sale', payout_micros: 40_000_000, revenue_micros: 60_000_000, status: 'approved' }

const offerWith = (changes: Partial<Offer> = {}): Offer => ({
  offer_id: 'casino',
  advertiser_id: 'acme',
  name: 'Casino',
  status: 'active',
  model: 'cpa',
  currency: 'USD',
  prices: [leadPrice, salePrice],
  hold_days: 0,
  landings: [],
  event_map: { reg: 'lead', lead: 'lead', deposit: 'sale', sale: 'sale' },
  custom_events: [],
  status_map: {},
  postback: { secrets: ['s'], hmac_secrets: [], allowed_addresses: [] },
  unique_ttl_hours: 24,
  click_lifetime_days: 0,
  ...changes,
})

const clickWith = (changes: Partial<ClickRecord> = {}): ClickRecord => ({
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
  ...changes,
})

const saleOf = (changes: Partial<Sale> = {}): Sale => ({
  type: 'sale',
  goal: 'deposit',
  affiliateId: 'pat',
  amountMicros: undefined,
  saleAmountMicros: undefined,
  currency: undefined,
  status: undefined,
  ...changes,
})

function worthOf(offer: Offer, sale: Sale): readonly [bigint, bigint, bigint] {
  const priced = priceConversion(offer, sale)
  assert.equal(priced.kind, 'priced')
  const { payoutMicros, revenueMicros, saleAmountMicros } = priced.worth
  return [payoutMicros, revenueMicros, saleAmountMicros]
}

// ── words ──

test('a status word is read in any case and keeps no spaces', () => {
  assert.deepEqual(mapStatus(offerWith(), { raw_status: ' Approved ' }), {
    kind: 'mapped',
    type: undefined,
    status: 'approved',
    goal: undefined,
  })
})

test("the offer's own map goes before event names and default words", () => {
  const offer = offerWith({ status_map: { approved: { type: 'lead', status: 'pending' }, '1': { type: 'sale' } } })
  assert.deepEqual(mapStatus(offer, { raw_status: 'APPROVED' }), {
    kind: 'mapped',
    type: 'lead',
    status: 'pending',
    goal: undefined,
  })
  assert.deepEqual(mapStatus(offer, { raw_status: '1' }), {
    kind: 'mapped',
    type: 'sale',
    status: undefined,
    goal: undefined,
  })
})

test('a word that means different things to different networks is unmapped until the offer says', () => {
  for (const raw_status of ['1', '2', 'hold', 'accepted', 'subscribe', 'constructor', '__proto__'])
    assert.deepEqual(mapStatus(offerWith(), { raw_status }), { kind: 'refused', reason: 'status_unmapped' }, raw_status)
})

test('an event name is a status and a goal too', () => {
  const mapped = { kind: 'mapped', type: 'sale', status: undefined, goal: 'deposit' }
  assert.deepEqual(mapStatus(offerWith(), { raw_status: 'deposit' }), mapped)
  assert.deepEqual(mapStatus(offerWith(), { raw_goal: 'Deposit' }), mapped)
})

test('a known status decides although the goal is unknown, an unknown goal alone is unmapped', () => {
  assert.deepEqual(mapStatus(offerWith(), { raw_status: 'rejected', raw_goal: '77' }), {
    kind: 'mapped',
    type: undefined,
    status: 'rejected',
    goal: '77',
  })
  assert.deepEqual(mapStatus(offerWith(), { raw_goal: '77' }), { kind: 'refused', reason: 'status_unmapped' })
})

test('a postback without words has no status', () => {
  assert.deepEqual(mapStatus(offerWith(), { raw_status: ' ' }), { kind: 'refused', reason: 'status_missing' })
})

test('a word that the offer ignores is ignored', () => {
  const offer = offerWith({ status_map: { duplicate: { status: 'ignore' } } })
  assert.deepEqual(mapStatus(offer, { raw_status: 'Duplicate' }), { kind: 'refused', reason: 'status_ignored' })
})

// ── prices ──

test('cpa pays leads and sales as priced', () => {
  assert.deepEqual(worthOf(offerWith(), saleOf()), [40_000_000n, 60_000_000n, 0n])
  assert.deepEqual(worthOf(offerWith(), saleOf({ type: 'lead', goal: 'reg' })), [4_000_000n, 6_000_000n, 0n])
})

test('cpl pays leads only and cps sales only', () => {
  assert.deepEqual(worthOf(offerWith({ model: 'cpl' }), saleOf()), [0n, 0n, 0n])
  assert.deepEqual(worthOf(offerWith({ model: 'cps' }), saleOf({ type: 'lead', goal: 'reg' })), [0n, 0n, 0n])
})

test('a price for a goal goes before the price of the type, wherever it stands', () => {
  const kyc: Price = { ...leadPrice, goal: 'kyc', payout_micros: 9 }
  const offer = offerWith({ prices: [leadPrice, kyc] })
  assert.equal(worthOf(offer, saleOf({ type: 'lead', goal: 'kyc' }))[0], 9n)
  assert.equal(worthOf(offer, saleOf({ type: 'lead', goal: 'reg' }))[0], 4_000_000n)
})

test("without a fixed revenue the sender's amount is the revenue", () => {
  const offer = offerWith({ prices: [{ ...salePrice, revenue_micros: 0 }] })
  assert.deepEqual(worthOf(offer, saleOf({ amountMicros: 75_000_000n })), [40_000_000n, 75_000_000n, 0n])
  assert.deepEqual(worthOf(offerWith(), saleOf({ amountMicros: 75_000_000n })), [40_000_000n, 60_000_000n, 0n])
})

test('revshare pays shares of the sale, rounded half away from zero', () => {
  const offer = offerWith({
    model: 'revshare',
    prices: [{ ...salePrice, payout_share_bp: 3_000, revenue_share_bp: 4_500 }],
  })
  assert.deepEqual(worthOf(offer, saleOf({ saleAmountMicros: 100_000_001n })), [30_000_000n, 45_000_000n, 100_000_001n])
  assert.deepEqual(worthOf(offer, saleOf({ amountMicros: 10_000_000n })), [3_000_000n, 4_500_000n, 10_000_000n])
})

test('an amount in another currency never sets a price', () => {
  const share = offerWith({ model: 'revshare', prices: [{ ...salePrice, payout_share_bp: 3_000 }] })
  const euros = saleOf({ saleAmountMicros: 5n, currency: 'EUR' })
  assert.deepEqual(priceConversion(share, euros), { kind: 'refused', reason: 'currency_differs' })
  assert.deepEqual(worthOf(offerWith(), euros), [40_000_000n, 60_000_000n, 0n])
})

const revshare = offerWith({
  model: 'revshare',
  prices: [
    { ...leadPrice, payout_micros: 1_000_000 },
    { ...salePrice, payout_share_bp: 3_000 },
  ],
})

test('a share of a sale of unknown size is refused, a fixed price and a rejection need no amount', () => {
  const missing = { kind: 'refused', reason: 'amount_missing' }
  assert.deepEqual(priceConversion(revshare, saleOf()), missing)
  const ofRevenue = offerWith({ model: 'revshare', prices: [{ ...salePrice, revenue_share_bp: 4_500 }] })
  assert.deepEqual(priceConversion(ofRevenue, saleOf({ status: 'approved' })), missing)
  assert.deepEqual(worthOf(revshare, saleOf({ saleAmountMicros: 0n })), [0n, 60_000_000n, 0n])
  assert.deepEqual(worthOf(revshare, saleOf({ type: 'lead', goal: 'reg' })), [1_000_000n, 6_000_000n, 0n])
  assert.equal(priceConversion(revshare, saleOf({ status: 'rejected' })).kind, 'priced')
})

test('a negative amount is refused', () => {
  assert.deepEqual(priceConversion(offerWith(), saleOf({ saleAmountMicros: -1n })), {
    kind: 'refused',
    reason: 'amount_invalid',
  })
})

test('where nobody is to be paid there is no payout', () => {
  assert.deepEqual(worthOf(offerWith(), saleOf({ affiliateId: undefined })), [0n, 60_000_000n, 0n])
})

test("an affiliate's own price goes before the offer's, for what it prices", () => {
  const own = { type: 'sale', payout_micros: 44_000_000, revenue_micros: 70_000_000, status: 'approved' } as const
  const offer = offerWith({ affiliates: { pat: { prices: [own] } } })
  assert.deepEqual(worthOf(offer, saleOf()).slice(0, 2), [44_000_000n, 70_000_000n])
  assert.deepEqual(worthOf(offer, saleOf({ affiliateId: 'ann' })), worthOf(offerWith(), saleOf()))
  const lead = saleOf({ type: 'lead', goal: 'reg' })
  assert.deepEqual(worthOf(offer, lead), worthOf(offerWith(), lead))
})

test('without a price a conversion is worth nothing and waits', () => {
  const priced = priceConversion(offerWith({ prices: [] }), saleOf())
  assert.deepEqual(priced.kind === 'priced' && priced.worth, {
    payoutMicros: 0n,
    revenueMicros: 0n,
    saleAmountMicros: 0n,
    status: 'pending',
  })
})

// ── judging ──

const eventWith = (changes: Partial<EventRecord> = {}): EventRecord => ({
  kind: 'event',
  event_id: '0f8fad5b-d9cb-469f-a165-70867728950e',
  at: AT + 1_000,
  ip: '192.0.2.1',
  type: 'deposit',
  ...changes,
})

const postbackWith = (changes: Partial<PostbackRecord> = {}): PostbackRecord => ({
  kind: 'postback',
  postback_id: '0f8fad5b-d9cb-469f-a165-70867728950e',
  at: AT + 1_000,
  via: 'postback',
  ip: '192.0.2.1',
  click_id: newClickId(AT),
  authenticated_offer_ids: ['casino'],
  raw_status: 'sale',
  raw: '',
  ...changes,
})

const offers = offersById([offerWith()])

const refusedEvents: readonly (readonly [
  RefusalReason,
  Partial<EventRecord>,
  ClickRecord | undefined,
  Partial<Offer>,
])[] = [
  ['sub2_invalid', { refusal: 'sub2_invalid' }, clickWith(), {}],
  ['click_unknown', {}, undefined, {}],
  ['click_refused', {}, clickWith({ refusal: 'offer_paused' }), {}],
  ['offer_unknown', {}, clickWith({ offer_id: 'gone' }), {}],
  ['type_unknown', { type: 'kyc' }, clickWith(), {}],
  ['click_expired', { at: AT + 3 * DAY_MS + 1 }, clickWith(), { click_lifetime_days: 3 }],
  ['amount_invalid', { amount_micros: -1 }, clickWith(), {}],
  ['amount_missing', {}, clickWith(), { model: 'revshare', prices: [{ ...salePrice, payout_share_bp: 1 }] }],
  [
    'currency_differs',
    { amount_micros: 1, currency: 'EUR' },
    clickWith(),
    { model: 'revshare', prices: [{ ...salePrice, payout_share_bp: 1 }] },
  ],
]
for (const [reason, event, click, offer] of refusedEvents)
  test(`refuses an event as ${reason}`, () => {
    assert.deepEqual(judgeEvent(eventWith(event), click, offersById([offerWith(offer)])), { kind: 'refused', reason })
  })

test('an event that the offer maps to nothing is accepted without a conversion', () => {
  assert.equal(judgeEvent(eventWith({ type: 'open' }), clickWith(), offers).kind, 'accepted')
  const declares = offersById([offerWith({ custom_events: ['kyc'] })])
  assert.equal(judgeEvent(eventWith({ type: 'kyc' }), clickWith(), declares).kind, 'accepted')
})

test("a page's amount is the size of a sale, never our revenue", () => {
  const judged = judgeEvent(eventWith({ amount_micros: 5 }), clickWith(), offers)
  assert.equal(judged.kind, 'conversion')
  assert.equal(judged.request.amountMicros, undefined)
  assert.equal(judged.request.saleAmountMicros, 5n)
})

const refusedPostbacks: readonly (readonly [RefusalReason, Partial<PostbackRecord>, ClickRecord | undefined])[] = [
  ['literal_macro', { refusal: 'literal_macro' }, clickWith()],
  ['secret_wrong', { refusal: 'secret_wrong' }, clickWith()],
  ['click_unknown', {}, undefined],
  ['click_refused', {}, clickWith({ offer_id: undefined as never })],
  ['offer_unknown', {}, clickWith({ offer_id: 'gone' })],
  ['secret_wrong', { authenticated_offer_ids: ['other'] }, clickWith()],
  ['status_unmapped', { raw_status: '1' }, clickWith()],
]
for (const [reason, postback, click] of refusedPostbacks)
  test(`refuses a postback as ${reason} (${Object.keys(postback)[0] ?? 'its click'})`, () => {
    assert.deepEqual(judgePostback(postbackWith(postback), click, offers), { kind: 'refused', reason })
  })

test('refuses a postback that no door let in, by the kind of door', () => {
  const { authenticated_offer_ids: _, ...unproven } = postbackWith()
  assert.deepEqual(judgePostback(unproven, clickWith(), offers), { kind: 'refused', reason: 'secret_missing' })
  const open = offersById([
    offerWith({ postback: { secrets: [], hmac_secrets: [], allowed_addresses: ['192.0.2.9'] } }),
  ])
  assert.deepEqual(judgePostback(unproven, clickWith(), open), { kind: 'refused', reason: 'address_not_allowed' })
})

test('refuses a postback without a click id', () => {
  const { click_id: _, ...nameless } = postbackWith()
  assert.deepEqual(judgePostback(nameless, undefined, offers), { kind: 'refused', reason: 'click_id_missing' })
})

test('what the edge refused for the configuration of that moment is judged again', () => {
  for (const refusal of ['status_unmapped', 'amount_missing'] as const)
    assert.equal(judgePostback(postbackWith({ refusal }), clickWith(), offers).kind, 'conversion', refusal)
})

// ── decisions ──

const statuses: readonly ConversionStatus[] = ['pending', 'approved', 'rejected']

test('only pending → approved, pending → rejected and approved → rejected are legal', () => {
  const legal = statuses.flatMap((from) =>
    statuses.filter((to) => judgeTransition(from, to) === 'legal').map((to) => `${from} → ${to}`),
  )
  assert.deepEqual(legal, ['pending → approved', 'pending → rejected', 'approved → rejected'])
  for (const status of statuses) assert.equal(judgeTransition(status, status), 'duplicate')
})

const click = clickWith()
const requestWith = (changes: Partial<ConversionRequest> = {}): ConversionRequest => ({
  cause: 'postback',
  click,
  offer: offerWith(),
  type: 'lead',
  goal: undefined,
  txid: undefined,
  status: undefined,
  rawStatus: undefined,
  amountMicros: undefined,
  saleAmountMicros: undefined,
  currency: undefined,
  at: AT + 1_000,
  ...changes,
})

const outcomesOf = (requests: readonly ConversionRequest[], existing: readonly Conversion[] = []): readonly string[] =>
  decideConversions(existing, requests).outcomes.map((one) => (one.kind === 'refused' ? one.reason : one.kind))

test('the same conversion again is a duplicate, another transaction id an upsell', () => {
  assert.deepEqual(outcomesOf([requestWith(), requestWith(), requestWith({ txid: 'T2' })]), [
    'converted',
    'duplicate',
    'converted',
  ])
})

test('a registration and a lead are the same lead, a goal that the offer knows is another', () => {
  const offer = offerWith({ custom_events: ['kyc'] })
  assert.deepEqual(
    outcomesOf([
      requestWith({ offer, goal: 'reg' }),
      requestWith({ offer, goal: 'lead' }),
      requestWith({ offer, goal: 'kyc' }),
      requestWith({ offer, goal: 'unheard-of' }),
    ]),
    ['converted', 'duplicate', 'converted', 'duplicate'],
  )
})

test('a status without a type means the conversion of that transaction, a sale before a lead', () => {
  const { revisions } = decideConversions(
    [],
    [
      requestWith({ txid: 'T', offer: offerWith({ prices: [leadPrice, { ...salePrice, status: 'pending' }] }) }),
      requestWith({
        txid: 'T',
        type: 'sale',
        offer: offerWith({ prices: [leadPrice, { ...salePrice, status: 'pending' }] }),
      }),
      requestWith({ txid: 'T', type: undefined, status: 'approved' }),
      requestWith({ txid: 'T', type: undefined, status: 'rejected' }),
    ],
  )
  assert.deepEqual(
    revisions.map(({ after }) => `${after.type} ${after.status} ${after.revision}`),
    ['lead pending 1', 'sale pending 1', 'sale approved 2', 'sale rejected 3'],
  )
})

test('a status without type and transaction means the only conversion of the click', () => {
  assert.deepEqual(outcomesOf([requestWith({ txid: 'T' }), requestWith({ type: undefined, status: 'approved' })]), [
    'converted',
    'updated',
  ])
})

test('a status without a type makes what the offer pays for where the click has no conversion', () => {
  const typeMade = (changes: Partial<Offer>, status: ConversionStatus): string =>
    decideConversions([], [requestWith({ type: undefined, status, offer: offerWith(changes) })]).revisions[0]!.after
      .type
  assert.equal(typeMade({ model: 'cpl' }, 'approved'), 'lead')
  assert.equal(typeMade({ model: 'cps' }, 'pending'), 'sale')
  assert.equal(typeMade({ model: 'revshare' }, 'pending'), 'sale')
  assert.equal(typeMade({ prices: [leadPrice] }, 'approved'), 'lead')
  assert.equal(typeMade({}, 'approved'), 'sale')
  assert.equal(typeMade({}, 'pending'), 'lead')
})

test('a sale of unknown size holds no transaction id against the same one with its amount', () => {
  const sale = { offer: revshare, type: 'sale', txid: 'T' } as const
  const { outcomes, revisions } = decideConversions(
    [],
    [requestWith(sale), requestWith({ ...sale, saleAmountMicros: 100_000_000n })],
  )
  assert.deepEqual(outcomes[0], { kind: 'refused', reason: 'amount_missing' })
  assert.deepEqual(
    revisions.map(({ after }) => after.payoutMicros),
    [30_000_000n],
  )
  // A rejection that overtakes its sale must still hold it.
  assert.deepEqual(outcomesOf([requestWith({ ...sale, status: 'rejected' }), requestWith({ ...sale, status: 'approved' })]), ['converted', 'transition_illegal']) // prettier-ignore
})

/** A sale whose revenue is what the partner says. */
const openPrice = { ...salePrice, revenue_micros: 0 }
const sold = (amount: number, changes: Partial<ConversionRequest> = {}): ConversionRequest =>
  requestWith({
    ...{ offer: offerWith({ prices: [openPrice] }), type: 'sale', txid: 'T', status: 'approved' },
    amountMicros: BigInt(amount),
    ...changes,
  })
const revenuesOf = (requests: readonly ConversionRequest[]): readonly bigint[] =>
  decideConversions([], requests).revisions.map(({ after }) => after.revenueMicros)

test('what a partner says again with another amount corrects the conversion, and the same again is a duplicate', () => {
  const requests = [sold(10), sold(10), sold(12), sold(12, { status: undefined }), sold(12, { type: undefined })]
  assert.deepEqual(outcomesOf(requests), ['converted', 'duplicate', 'updated', 'duplicate', 'duplicate'])
  const { revisions } = decideConversions([], requests)
  assert.deepEqual(
    revisions.map(({ after }) => [after.revision, after.status, after.revenueMicros, after.payoutMicros]),
    [
      [1, 'approved', 10n, 40_000_000n],
      [2, 'approved', 12n, 40_000_000n],
    ],
  )
})

test('a repeated share follows the size of its sale, for the affiliate too', () => {
  const sale = { offer: revshare, type: 'sale', txid: 'T' } as const
  const requests = [100n, 250n].map((saleAmountMicros) => requestWith({ ...sale, saleAmountMicros }))
  const { revisions } = decideConversions([], requests)
  assert.deepEqual(
    revisions.map(({ after }) => [after.payoutMicros, after.saleAmountMicros]),
    [
      [30n, 100n],
      [75n, 250n],
    ],
  )
})

test('another amount changes nothing where it may not', () => {
  const fixed = { offer: offerWith() }
  const closed = { offer: offerWith({ prices: [openPrice], postback: { secrets: ['s'], hmac_secrets: [], allowed_addresses: [], repeated_amounts: 'refuse' } }) } // prettier-ignore
  const cases: readonly (readonly [string, Partial<ConversionRequest>])[] = [
    ['the price is the offer’s own', fixed],
    ['the offer refuses it', closed],
    ['there is no transaction id: it may be another sale', { txid: undefined }],
    ['a page says it', { cause: 'event' }],
  ]
  for (const [why, changes] of cases)
    assert.deepEqual(outcomesOf([sold(10, changes), sold(12, changes)]), ['converted', 'duplicate'], why)
  assert.deepEqual(revenuesOf([sold(10), sold(12), sold(10, { at: AT })]), [10n, 12n], 'a repeat that comes late')
  assert.deepEqual(outcomesOf([sold(10), sold(10, { status: 'rejected' }), sold(12, { status: 'rejected' })]), ['converted', 'updated', 'duplicate']) // prettier-ignore
  assert.deepEqual(outcomesOf([sold(10), sold(12, { currency: 'EUR' })]), ['converted', 'currency_differs'])
  assert.deepEqual(outcomesOf([sold(10), sold(-12)]), ['converted', 'amount_invalid'])
})

test('what a person corrected is not undone by a repeat, nor by a later status', () => {
  const [{ after }] = decideConversions([], [sold(10, { status: 'pending' })]).revisions as never as [
    { after: Conversion },
  ]
  const corrected = { ...after, revenueMicros: 7n, isCorrected: true }
  assert.deepEqual(outcomesOf([sold(12, { status: 'pending' })], [corrected]), ['duplicate'])
  const approved = decideConversions([corrected], [sold(12)]).revisions[0]!.after
  assert.deepEqual([approved.status, approved.revenueMicros], ['approved', 7n])
})

test('what was rejected stays rejected', () => {
  assert.deepEqual(
    outcomesOf([
      requestWith(),
      requestWith({ status: 'rejected' }),
      requestWith({ status: 'rejected' }),
      requestWith({ status: 'approved' }),
    ]),
    ['converted', 'updated', 'duplicate', 'transition_illegal'],
  )
})

test('an old click makes no conversion, and the status of one that exists may still change', () => {
  const offer = offerWith({ click_lifetime_days: 1 })
  const late = AT + DAY_MS + 1
  assert.deepEqual(outcomesOf([requestWith({ offer, at: late })]), ['click_expired'])
  assert.deepEqual(outcomesOf([requestWith({ offer }), requestWith({ offer, at: late, status: 'approved' })]), [
    'converted',
    'updated',
  ])
})

test('an approved payout waits in hold from its approval', () => {
  const offer = offerWith({ hold_days: 7 })
  const { revisions } = decideConversions(
    [],
    [requestWith({ offer }), requestWith({ offer, status: 'approved', at: AT + DAY_MS })],
  )
  assert.equal(revisions[0]!.after.holdUntil, undefined)
  assert.deepEqual(revisions[1]!.after.holdUntil, new Date(AT + 8 * DAY_MS))
  assert.equal(revisions[1]!.after.isHoldReleased, false)
})

test('without hold days an approved payout is payable at once', () => {
  const [revision] = decideConversions([], [requestWith({ status: 'approved' })]).revisions
  assert.equal(revision!.after.isHoldReleased, true)
})

test('a status that brings an amount is priced anew only where the amount sets the price', () => {
  const byAmount = offerWith({ prices: [{ ...leadPrice, revenue_micros: 0 }] })
  const dearer = offerWith({ prices: [{ ...leadPrice, payout_micros: 99 }] })
  const revenue = (offer: Offer, later: Offer): readonly bigint[] => {
    const { revisions } = decideConversions(
      [],
      [requestWith({ offer }), requestWith({ offer: later, status: 'approved', amountMicros: 8n })],
    )
    return [revisions[1]!.after.revenueMicros, revisions[1]!.after.payoutMicros]
  }
  assert.deepEqual(revenue(byAmount, byAmount), [8n, 4_000_000n])
  assert.deepEqual(revenue(offerWith(), dearer), [6_000_000n, 4_000_000n])
})

test("the partner's raw word is kept, and the last one given stays", () => {
  const { revisions } = decideConversions(
    [],
    [requestWith({ rawStatus: 'Nouveau' }), requestWith({ status: 'approved', rawStatus: undefined })],
  )
  assert.deepEqual(
    revisions.map(({ after }) => after.rawStatus),
    ['Nouveau', 'Nouveau'],
  )
})

const anyRequest: fc.Arbitrary<ConversionRequest> = fc
  .record({
    cause: fc.constantFrom('event', 'postback'),
    type: fc.constantFrom('lead', 'sale', undefined),
    txid: fc.constantFrom('A', 'B', undefined),
    status: fc.constantFrom('pending', 'approved', 'rejected', undefined),
    goal: fc.constantFrom('reg', 'deposit', 'other', undefined),
  })
  .map((any) =>
    requestWith({ ...any, ...(any.cause === 'event' ? { type: any.type ?? 'lead', status: undefined } : {}) }),
  )

test('whatever comes, revisions count from one without gaps and a batch may be cut anywhere', () => {
  fc.assert(
    fc.property(fc.array(anyRequest, { maxLength: 12 }), fc.nat(12), (requests, cut) => {
      const whole = decideConversions([], requests)
      const lastRevisions = new Map<string, number>()
      for (const { before, after } of whole.revisions) {
        assert.equal(after.revision, (lastRevisions.get(after.conversionId) ?? 0) + 1)
        assert.equal(before?.revision ?? 0, after.revision - 1)
        lastRevisions.set(after.conversionId, after.revision)
      }
      const head = decideConversions([], requests.slice(0, cut))
      const standing = new Map(head.revisions.map(({ after }) => [after.conversionId, after]))
      const tail = decideConversions([...standing.values()], requests.slice(cut))
      const kinds = (outcomes: typeof whole.outcomes): readonly string[] => outcomes.map(({ kind }) => kind)
      assert.deepEqual([...kinds(head.outcomes), ...kinds(tail.outcomes)], kinds(whole.outcomes))
    }),
  )
})

test('deciding the same requests again on top of their result makes no new conversion', () => {
  fc.assert(
    fc.property(
      fc.array(
        // Words that were mapped name a type or a status.
        anyRequest.filter(({ type, status }) => type !== undefined && status === undefined),
        { maxLength: 8 },
      ),
      (requests) => {
        const { revisions } = decideConversions([], requests)
        assert.deepEqual(
          decideConversions(
            revisions.map(({ after }) => after),
            requests,
          ).revisions,
          [],
        )
      },
    ),
  )
})
