import assert from 'node:assert/strict'
import { test } from 'node:test'

import fc from 'fast-check'

import { openEnricher } from '#enrichment'
import { newClickId } from '#platform/ids'
import { decodeRecord, encodeRecord, type ClickRecord } from '#records'
import { compileSnapshot, type Snapshot } from '#routing'
import { advertiser, affiliate, campaign, flow, landing, offer, snapshot, TEST_TIME } from '#routing/test-snapshots'

import { compilePair, decideAgain } from './decide-again.ts'
import { decideHypothetical, type Explainer } from './explain-click.ts'

const explainer = {
  enricher: openEnricher({ geoFiles: [] }),
  sub2AllowedKeys: new Set<string>(),
  clickOf: () => undefined,
}

/** The record of a click as it is read from the log. */
function clickOn(world: Snapshot, path: string, parameters: Record<string, string>, more: ClickMore = {}): ClickRecord {
  const decided = decideHypothetical({ ...explainer, caps: more.caps }, compileSnapshot(world), {
    url: path,
    parameters: { clickid: newClickId(TEST_TIME), ...parameters },
    visitor: { ip: '192.0.2.1', ...more.visitor },
    headers: { 'user-agent': 'test', ...more.headers },
    at: TEST_TIME,
  })
  assert.equal(decided.kind, 'decided')
  const { record } = (decided as Extract<typeof decided, { kind: 'decided' }>).click
  return decodeRecord(encodeRecord(record)) as ClickRecord
}
type ClickMore = {
  readonly visitor?: object
  readonly headers?: Readonly<Record<string, string>>
  readonly caps?: Explainer['caps']
}

const isCountry = (...value: string[]) => ({ field: 'country', op: 'in', value }) as const
const lands = (...ids: string[]) => ids.map((id) => landing(id, { weight: ids.length }))

/** Worlds that differ in everything that a decision asks. */
const worlds: fc.Arbitrary<Snapshot> = fc
  .record({
    version: fc.integer({ min: 1, max: 50 }),
    rotation: fc.constantFrom('weight', 'position'),
    binds: fc.boolean(),
    campaignAffiliate: fc.constantFrom('ann', undefined),
    linkTo: fc.constantFrom<object>(
      { campaign_id: 'summer' },
      { campaign_id: 'summer', flow_id: 'f2' },
      { flow_id: 'f2' },
      { offer_id: 'o2', affiliate_id: 'ann' },
      { campaign_id: 'summer', offer_id: 'o1', affiliate_id: 'bob' },
    ),
    offerStatus: fc.constantFrom('active', 'paused'),
    annStatus: fc.constantFrom('active', 'blocked'),
    weights: fc.array(fc.integer({ min: 1, max: 9 }), { minLength: 3, maxLength: 3 }),
    fallback: fc.constantFrom('https://fallback.example/', undefined),
    campaignStatus: fc.constantFrom('active', 'active', 'paused'),
  })
  .map((one) =>
    snapshot({
      version: one.version,
      ...(one.fallback !== undefined && { fallback_url: one.fallback }),
      advertisers: [advertiser(), advertiser({ advertiser_id: 'other' })],
      affiliates: [
        affiliate({ status: one.annStatus as 'active' }),
        affiliate({ affiliate_id: 'bob', advertiser_ids: ['acme', 'other'] }),
        affiliate({ affiliate_id: 'eve', advertiser_ids: ['other'] }),
      ],
      offers: [
        offer('o1', { landings: lands('l1', 'l2') }),
        offer('o2', { status: one.offerStatus as 'active', landings: lands('l3') }),
        offer('o3', {
          rule: isCountry('DE', 'AT'),
          country_fallbacks: { FR: { url: 'https://fr.example/' }, '*': { offer_id: 'o1' } },
          affiliates: { bob: { status: 'blocked' }, ann: { status: 'approved', landings: lands('l4', 'l5') } },
        }),
        offer('foreign', { advertiser_id: 'other' }),
      ],
      campaigns: [
        campaign({
          status: one.campaignStatus as 'active',
          rotation: one.rotation as 'weight',
          ...(one.binds && { bind: { flow_hours: 9, offer_hours: 9, landing_hours: 9 } }),
          ...(one.campaignAffiliate !== undefined && { affiliate_id: one.campaignAffiliate }),
          flows: [
            flow('f0', { kind: 'forced', rule: { field: 'sub1', op: 'is', value: 'vip' }, action: { kind: 'campaign', campaign_id: 'winter' }, offers: [] }), // prettier-ignore
            flow('f1', { weight: one.weights[0]!, rule: isCountry('US'), offers: [{ offer_id: 'o1', weight: 1 }] }),
            flow('f2', {
              weight: one.weights[1]!,
              offers: [
                { offer_id: 'o1', weight: 2 },
                { offer_id: 'o2', weight: 3 },
                { offer_id: 'o3', weight: one.weights[2]! },
              ],
            }),
            flow('f3', { status: 'paused' }),
            flow('f4', { kind: 'default', landings: lands('l6', 'l7'), offers: [{ offer_id: 'o3', weight: 1 }] }),
          ],
        }),
        campaign({ campaign_id: 'winter', flows: [flow('w1', { offers: [{ offer_id: 'o2', weight: 1 }] })] }),
      ],
      links: [{ code: 'go', ...one.linkTo }],
    }),
  )

const clicks = fc.record({
  path: fc.constantFrom('/click', '/go', '/nowhere'),
  parameters: fc.record(
    {
      c: fc.constantFrom('summer', 'summer', 'winter', 'none'),
      flow_id: fc.constantFrom('f1', 'f2', 'f3', 'w1', 'none'),
      o: fc.constantFrom('o1', 'o2', 'o3', 'foreign', 'none'),
      landing_id: fc.constantFrom('l1', 'l2', 'l5', 'l7', 'none'),
      a: fc.constantFrom('ann', 'bob', 'eve', 'none'),
      sub1: fc.constantFrom('vip', 'x'),
    },
    { requiredKeys: [] },
  ),
  country: fc.constantFrom('DE', 'US', 'FR', 'JP', undefined),
  cookie: fc.constantFrom('', 'wp_b=summer|f2|zzzzzzz|o1|zzzzzzz|l2|zzzzzzz', 'wp_b=summer|f4|zzzzzzz|o9|zzzzzzz||'),
})

test('the version that decided a click decides it again in the same way, from its record alone', () => {
  const outcomes = new Map<string, number>()
  fc.assert(
    fc.property(worlds, fc.array(clicks, { minLength: 1, maxLength: 10 }), (world, requests) => {
      const pair = compilePair(world, world)
      for (const { path, parameters, country, cookie } of requests) {
        const visitor = country === undefined ? {} : { country }
        const click = clickOn(world, path, parameters as Record<string, string>, { visitor, headers: { cookie } })
        const decided = decideAgain(click, pair)
        assert.equal(decided.kind, 'decided', `${click.trace} ${JSON.stringify({ path, parameters, click })}`)
        assert.deepEqual(decided.kind === 'decided' && decided.after, decided.before)
        const reason = click.refusal ?? click.outcome
        outcomes.set(reason, (outcomes.get(reason) ?? 0) + 1)
      }
    }),
    { numRuns: 3_000 },
  )
  const seen = ['redirected', 'link_unknown', 'campaign_unknown', 'campaign_paused', 'flow_unknown', 'flow_paused', 'offer_unknown', 'offer_paused',
    'offer_rule_refused', 'affiliate_unknown', 'affiliate_blocked', 'target_missing'] // prettier-ignore
  assert.deepEqual(seen.filter((reason) => !outcomes.has(reason)), []) // prettier-ignore
})

test('caps answer as they did: what the trace says was full is full', () => {
  const cap = { cap_id: 'daily', metric: 'clicks', period: 'day', limit: 5, mode: 'hard' } as const
  const world = snapshot({
    offers: [offer('o1', { caps: [cap], cap_fallbacks: ['o2'] }), offer('o2')],
    campaigns: [campaign({ flows: [flow('f1', { offers: [{ offer_id: 'o1', weight: 1 }] })] })],
  })
  const full = clickOn(world, '/click', { c: 'summer' }, { caps: { peek: () => ({ kind: 'full', index: 0 }) } })
  const open = clickOn(world, '/click', { c: 'summer' }, { caps: { peek: () => ({ kind: 'reserved' }) } })
  assert.deepEqual([full.offer_id, open.offer_id], ['o2', 'o1'])
  for (const click of [full, open]) {
    const decided = decideAgain(click, compilePair(world, world))
    assert.equal(decided.kind === 'decided' && decided.after.offer_id, click.offer_id)
  }
})

test('another configuration draws as the version that decided did: only what it changes moves', () => {
  const world = (weight: number, name: string, version: number): Snapshot =>
    snapshot({
      version,
      offers: [offer('o1', { name, landings: [landing('l1', { weight: 50 }), landing('l2', { weight })] })],
    })
  const clicks = Array.from({ length: 300 }, () => clickOn(world(50, 'Lamp', 7), '/click', { c: 'summer' }))
  const movedBy = (candidate: Snapshot): number =>
    clicks.filter((click) => {
      const decided = decideAgain(click, compilePair(world(50, 'Lamp', 7), candidate))
      return decided.kind === 'decided' && decided.after.landing_id !== decided.before.landing_id
    }).length
  assert.equal(movedBy(world(50, 'A new name', 8)), 0)
  const moved = movedBy(world(0, 'Lamp', 8))
  assert.ok(moved > 100 && moved < 200, String(moved))
})

for (const [action, refusal, offerId] of [
  ['mark', undefined, 'o1'],
  ['divert', undefined, 'o2'],
  ['refuse', 'fraud_refused', 'o1'],
] as const)
  test(`a click whose fraud score said ${action} is decided alike, and by the thresholds of the candidate`, () => {
    const worldWith = (thresholds: object): Snapshot =>
      snapshot({ fraud: { thresholds, divert_to: { offer_id: 'o2' } }, offers: [offer('o1'), offer('o2')] })
    const before = worldWith({ [action]: 40 })
    const click = clickOn(before, '/click?o=o1', {}, { headers: { 'user-agent': 'curl/8.5.0' } })
    assert.deepEqual([click.refusal, click.offer_id], [refusal, offerId])
    const decided = decideAgain(click, compilePair(before, worldWith({ mark: 40 })))
    assert.equal(decided.kind, 'decided')
    assert.equal(decided.kind === 'decided' && decided.after.offer_id, 'o1')
    assert.equal(decided.kind === 'decided' && decided.after.refusal, undefined)
  })
