import assert from 'node:assert/strict'
import { test } from 'node:test'

import fc from 'fast-check'

import { createMemoryCaps } from '#caps'
import { openEnricher } from '#enrichment'
import { newClickId } from '#platform/ids'
import { decodeRecord, encodeRecord, type ClickRecord } from '#records'
import type { PastConversion } from '#reports'
import { applyLearnedWeights, compileSnapshot, type LearnedOverlay, type Offer, type Snapshot } from '#routing'
import { affiliate, campaign, flow, landing, offer, snapshot, TEST_TIME } from '#routing/test-snapshots'

import type { CapHistory } from './cap-replay.ts'
import { decideHypothetical } from './explain-click.ts'
import { createReplay } from './replay.ts'
import type { Tally } from './tally.ts'

const MINUTE = 60_000
const HOUR = 60 * MINUTE

type Caps = NonNullable<Offer['caps']>
type Visit = {
  readonly afterMs: number
  readonly parameters: Readonly<Record<string, string>>
  readonly country: string | undefined
  readonly cookie: string
  readonly agent: string
  /** Of the click, whatever offer it goes to; undefined: it converts nowhere. */
  readonly convertsAfterMs: number | undefined
  readonly isRejected: boolean
}
type World = {
  readonly snapshot: Snapshot
  readonly weights: readonly LearnedOverlay[]
  readonly visits: readonly Visit[]
}
type Past = { readonly clicks: readonly ClickRecord[]; readonly conversions: readonly PastConversion[] }

const enricher = openEnricher({ geoFiles: [] })

/** The clicks of a world as its edges decided them, with caps that count and conversions that settle. */
function live({ snapshot: world, weights, visits }: World): Past {
  const caps = createMemoryCaps()
  const explainer = {
    ...{ enricher, sub2AllowedKeys: new Set<string>(), clickOf: () => undefined },
    caps: { peek: caps.reserve },
  }
  const configured = compileSnapshot(world)
  const compiled = [configured, ...weights.map((learned) => applyLearnedWeights(configured, learned))]
  const clicks: ClickRecord[] = []
  const conversions: PastConversion[] = []
  const due: PastConversion[] = []
  const byId = new Map<string, ClickRecord>()
  let at = TEST_TIME
  visits.forEach((visit, index) => {
    at += visit.afterMs
    for (const one of due.sort((a, b) => a.revisedAt - b.revisedAt).splice(0, due.filter(({ revisedAt }) => revisedAt <= at).length)) {
      const keys = configured.offers.get(one.offerId)!.caps?.keysOfConversion(byId.get(one.clickId)!, one.at, one) ?? []
      caps.settle([{ ...one, keys, counts: !one.isRejected, whenOver: 'count' }])
      conversions.push(one)
    }
    const config = compiled[Math.floor((index / visits.length) * compiled.length)]!
    const decided = decideHypothetical(explainer, config, {
      url: '/click',
      parameters: { clickid: newClickId(at), c: 'summer', ...visit.parameters },
      visitor: { ip: '192.0.2.1', ...(visit.country !== undefined && { country: visit.country }) },
      headers: { 'user-agent': visit.agent, cookie: visit.cookie },
      at,
    })
    assert.ok(decided.kind === 'decided')
    const click = decodeRecord(encodeRecord(decided.click.record)) as ClickRecord
    clicks.push(click)
    byId.set(click.click_id, click)
    if (visit.convertsAfterMs === undefined || click.outcome !== 'redirected' || click.offer_id === undefined) return
    const times = { at: at + visit.convertsAfterMs, revisedAt: at + visit.convertsAfterMs, clickAt: at }
    const worth = { payoutMicros: 10_000_000, revenueMicros: 15_000_000 }
    due.push({ conversionId: `of ${click.click_id}`, clickId: click.click_id, revision: 1, offerId: click.offer_id, isRejected: visit.isRejected, ...times, ...worth }) // prettier-ignore
  }) // prettier-ignore
  return { clicks, conversions }
}

async function replayed(
  { snapshot: world, weights }: World,
  { clicks, conversions }: Past,
  candidate: Snapshot,
  { from = 0, habits = {} }: { readonly from?: number; readonly habits?: CapHistory['habits'] } = {},
): Promise<Tally> {
  const replay = createReplay({
    ...{ candidate, fromMs: TEST_TIME + from, countedFromMs: TEST_TIME, toMs: Infinity },
    history: { conversions, habits, sample: 1 },
    versionOf: async () => world,
    weightsOf: async (version) => weights.find((one) => one.version === version),
  })
  for (const click of clicks) await replay.decide(click)
  return replay.tally
}

const capOf = (parts: Partial<Caps[number]> = {}): Caps[number] => ({ cap_id: 'one', metric: 'clicks', period: 'day', limit: 10, mode: 'hard', ...parts }) // prettier-ignore

const anyCap: fc.Arbitrary<Caps[number]> = fc
  .record({
    metric: fc.constantFrom('clicks' as const, 'conversions' as const, 'payout' as const),
    period: fc.constantFrom('hour' as const, 'day' as const, 'total' as const),
    limit: fc.nat({ max: 12 }),
    per: fc.constantFrom([], ['affiliate' as const], ['country' as const, 'sub1' as const]),
    mode: fc.constantFrom('hard' as const, 'soft' as const),
    hold_minutes: fc.constantFrom(5, 60),
    isForGermans: fc.boolean(),
  })
  .map(({ isForGermans, limit, ...cap }) => ({
    ...capOf(cap),
    limit: cap.metric === 'payout' ? limit * 10_000_000 : limit,
    ...(isForGermans && { rule: { field: 'country', op: 'is', value: 'DE' } as const }),
  }))
const anyCaps = fc
  .array(anyCap, { maxLength: 2 })
  .map((caps) => caps.map((cap, at) => ({ ...cap, cap_id: `cap${at}` })))

const anyVisit: fc.Arbitrary<Visit> = fc.record({
  afterMs: fc.integer({ min: 0, max: 4 * MINUTE }),
  parameters: fc.record({ a: fc.constantFrom('ann', 'bob'), sub1: fc.constantFrom('x', 'a text that is no plain value') }, { requiredKeys: [] }), // prettier-ignore
  country: fc.constantFrom('DE', 'US', undefined),
  cookie: fc.constantFrom('', '', 'wp_b=summer|f2|zzzzzzz|o1|zzzzzzz||'),
  agent: fc.constantFrom('test', 'curl/8.5.0'),
  convertsAfterMs: fc.option(fc.integer({ min: 0, max: 3 * HOUR }), { nil: undefined }),
  isRejected: fc.boolean(),
}) // prettier-ignore

const weightsOf = (version: number, share: number): LearnedOverlay => ({
  version,
  weights: {
    'flows:summer': { f1: share, f2: 10_000 - share },
    'offers:f2': { o1: share, o2: 9_000 - share * 0.9, o3: 1_000 + share * -0.1 },
    'landings:f1:o1': { l1: 10_000 - share, l2: share },
  },
})

/** Offers with caps and fallbacks, sticky visitors, fraud thresholds, and weights that are learned meanwhile. */
const anyWorld: fc.Arbitrary<World> = fc
  .record({
    mode: fc.constantFrom('on' as const, 'watch' as const, 'off' as const),
    shares: fc.array(fc.integer({ min: 0, max: 10_000 }), { maxLength: 2 }),
    caps: fc.tuple(anyCaps, anyCaps, anyCaps),
    fallbacks: fc.constantFrom([], ['o2'], ['o3', 'o2']),
    binds: fc.boolean(),
    thresholds: fc.constantFrom(undefined, { divert: 40 }, { refuse: 40 }, { mark: 40 }),
    visits: fc.array(anyVisit, { minLength: 20, maxLength: 60, size: 'max' }),
  })
  .map(({ mode, shares, caps: [first, second, third], fallbacks, binds, thresholds, visits }) => ({
    weights: shares.map((share, at) => weightsOf(at + 1, share)),
    visits,
    snapshot: snapshot({
      affiliates: [affiliate(), affiliate({ affiliate_id: 'bob' })],
      offers: [
        offer('o1', { caps: first, cap_fallbacks: fallbacks, landings: [landing('l1'), landing('l2')] }),
        offer('o2', { caps: second }),
        offer('o3', { caps: third }),
      ],
      ...(thresholds && { fraud: { thresholds, divert_to: { offer_id: 'o3' } } }),
      campaigns: [
        campaign({
          ...(binds && { bind: { flow_hours: 9, offer_hours: 9, landing_hours: 9 } }),
          optimize: { mode, goal: 'cr', window_days: 30, weights: ['flows', 'offers', 'landings'] },
          flows: [
            flow('f1', { weight: 3 }),
            flow('f2', { weight: 5, offers: ['o1', 'o2', 'o3'].map((offer_id) => ({ offer_id, weight: 2 })) }),
          ],
        }),
      ],
    }),
  }))

test('a configuration that changes nothing moves nothing, whatever of the past is known', async () => {
  const seen = { clicks: 0, asked: 0, shifted: 0, learned: 0, full: 0 }
  await fc.assert(
    fc.asyncProperty(anyWorld, fc.constantFrom(0, 0, HOUR), fc.constantFrom(1, 1, 2), async (world, from, every) => {
      const past = live(world)
      const known = {
        clicks: every === 1 ? past.clicks : past.clicks.slice(5),
        conversions: past.conversions.filter((_, index) => index % every === 0),
      }
      // Weights of today that would draw otherwise.
      const candidate = { ...world.snapshot, version: 9, learned: weightsOf(9, 5_000) }
      const tally = await replayed(world, known, candidate, { from })
      assert.deepEqual([tally.moved, tally.notReproduced, tally.versionUnknown], [0, 0, 0])
      assert.equal(tally.clicks, known.clicks.filter(({ at }) => at >= TEST_TIME + from).length)
      if (every === 1) assert.equal(tally.caps?.shifted ?? 0, 0)
      seen.clicks += tally.clicks
      seen.asked += tally.caps?.asked ?? 0
      seen.shifted += tally.caps?.shifted ?? 0
      seen.learned += past.clicks.filter(({ trace }) => /(^|;)w/.test(trace)).length
      seen.full += past.clicks.filter(({ trace }) => /(^|;)z/.test(trace)).length
    }),
    { numRuns: 300 },
  )
  assert.ok(Math.min(seen.asked, seen.learned, seen.full) > 100 && seen.shifted > 0, JSON.stringify(seen))
})

const limited = (world: World, limits: readonly number[]): World => ({
  ...world,
  snapshot: {
    ...world.snapshot,
    offers: world.snapshot.offers.map((one) => ({
      ...one,
      caps: (one.caps ?? []).map((cap, at) => ({ ...cap, limit: limits[at]! })),
    })),
  },
})

test('other limits of caps on clicks send every click where the edges would have sent it', async () => {
  let moved = 0
  const limits = fc.array(fc.nat({ max: 12 }), { minLength: 2, maxLength: 2 })
  await fc.assert(
    fc.asyncProperty(anyWorld, limits, async (any, others) => {
      const world: World = {
        ...any,
        // One who keeps an offer is drawn by no learned weights; sent elsewhere they would have been.
        visits: any.visits.map((visit) => ({ ...visit, cookie: '' })),
        snapshot: {
          ...any.snapshot,
          offers: any.snapshot.offers.map((one) => ({ ...one, caps: one.caps!.map((cap) => ({ ...cap, metric: 'clicks' as const })) })), // prettier-ignore
        },
      }
      const past = live(world)
      const changed = limited(world, others)
      const tally = await replayed(world, past, changed.snapshot)
      const expected = new Map<string, number>()
      // The same ids draw the same.
      const truth = live({ ...changed, visits: world.visits.map((visit, at) => ({ ...visit, parameters: { ...visit.parameters, clickid: past.clicks[at]!.click_id } })) }) // prettier-ignore
      for (const { offer_id = '', outcome } of truth.clicks) expected.set(`${offer_id} ${outcome}`, (expected.get(`${offer_id} ${outcome}`) ?? 0) + 1) // prettier-ignore
      const after = new Map<string, number>()
      for (const { offer_id = '', outcome, clicks } of tally.after.values()) after.set(`${offer_id} ${outcome}`, (after.get(`${offer_id} ${outcome}`) ?? 0) + clicks) // prettier-ignore
      assert.deepEqual(after, expected)
      moved += tally.moved
    }),
    { numRuns: 200 },
  )
  assert.ok(moved > 400, `${moved}`)
})

/** One offer with a cap, and another that takes what it does not. */
const simple = (caps: Caps, count: number, convertsAfterMs: (at: number) => number | undefined): World => ({
  weights: [],
  snapshot: snapshot({ offers: [offer('o1', { caps, cap_fallbacks: ['o2'] }), offer('o2')] }),
  visits: Array.from({ length: count }, (_, at) => ({
    ...{ afterMs: 10_000, parameters: {}, country: undefined, cookie: '', agent: 'test', isRejected: false },
    convertsAfterMs: convertsAfterMs(at),
  })),
})

const sentTo = (tally: Tally, offerId: string): number =>
  [...tally.after.values()].reduce((sum, { offer_id, clicks }) => sum + (offer_id === offerId ? clicks : 0), 0)

for (const mode of ['soft', 'hard'] as const)
  test(`a ${mode} cap on conversions that is raised fills by what clicks bring that it did not take before`, async (t) => {
    const capWith = (limit: number) => [capOf({ metric: 'conversions', mode, limit, hold_minutes: 30 })]
    const worldWith = (limit: number) => simple(capWith(limit), 4_000, (at) => (at % 20 === 7 ? 5 * MINUTE : undefined))
    const past = live(worldWith(40))
    const habits = { o1: { share: 0.05, examples: [{ delayMs: 5 * MINUTE, payoutMicros: 0, revenueMicros: 0 }] } }
    const tally = await replayed(worldWith(40), past, worldWith(80).snapshot, { habits })
    const [before, truth] = [past, live(worldWith(80))].map(({ clicks }) => clicks.filter(({ offer_id }) => offer_id === 'o1').length) // prettier-ignore
    t.diagnostic(`${before} clicks before, ${sentTo(tally, 'o1')} expected, ${truth} in truth`)
    assert.ok(tally.caps!.expected > 20)
    assert.ok(truth! > 1.3 * before!)
    assert.ok(Math.abs(sentTo(tally, 'o1') - truth!) < 0.12 * truth!)
    // Without the expected ones it would never be full again.
    const without = await replayed(worldWith(40), past, worldWith(80).snapshot)
    assert.ok(sentTo(without, 'o1') > 1.3 * truth!)
  })

test('what was counted before the first click shows as soon as the cap is full, and holds for the other limit', async () => {
  const worldWith = (limit: number) => simple([capOf({ limit, period: 'total' })], 200, () => undefined)
  const past = live(worldWith(100))
  // Of the first 60 clicks nothing is known any more: 40 later the cap is full.
  const rest = { clicks: past.clicks.slice(60), conversions: [] }
  const raised = await replayed(worldWith(100), rest, worldWith(120).snapshot)
  assert.deepEqual([sentTo(raised, 'o1'), raised.caps], [60, { asked: 140, shifted: 1, expected: 0 }])
  const same = await replayed(worldWith(100), rest, worldWith(100).snapshot)
  assert.deepEqual([same.moved, sentTo(same, 'o1')], [0, 40])
})

test('clicks from before the period are counted in caps that both have; others begin with the period', async () => {
  const world = simple([capOf({ limit: 100 })], 200, () => undefined)
  const past = live(world)
  const from = 50 * 10_000 + 1
  const candidate = (cap_id: string): Snapshot => simple([capOf({ limit: 70, cap_id })], 0, () => undefined).snapshot
  const same = await replayed(world, past, candidate('one'), { from })
  assert.deepEqual([sentTo(same, 'o1'), same.clicks], [20, 150])
  assert.equal(sentTo(await replayed(world, past, candidate('new'), { from }), 'o1'), 70)
})

test('removing the caps sends every click to its offer', async () => {
  const world = simple([capOf({ limit: 10 })], 50, () => undefined)
  const tally = await replayed(world, live(world), simple([], 0, () => undefined).snapshot)
  assert.deepEqual([tally.moved, sentTo(tally, 'o1'), tally.caps], [40, 50, undefined])
})
