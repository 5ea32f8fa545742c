import fc from 'fast-check'

import type { FraudSettings, OfferFraud } from '#fraud'
import type { ClickId } from '#platform/ids'
import { parseRule, type Rule } from '#rules'
import { hashText } from './draw.ts'
import { learnedPlace } from './learned-weights.ts'
import type { AskedTarget } from './request-facts.ts'
import type { Campaign, Flow, LearnedOverlay, Offer, Snapshot } from './snapshot.ts'
import { advertiser, affiliate, campaign, flow, landing, offer, snapshot, TEST_TIME } from './test-snapshots.ts'

/** Configurations and clicks for properties of the decision: every kind of flow, rule, cap and score, few ids, so that they meet. */

const rule = (text: string): Rule => {
  const parsed = parseRule(text, { context: 'click' })
  if (parsed.kind === 'parsed') return parsed.rule
  throw new Error(`${text}: ${parsed.errors[0]?.message}`)
}

const anyRule = fc.constantFrom(
  ...[
    'country is DE',
    'country in (DE, US) and not (sub1 is vip)',
    'country is US or device_type is mobile',
    'not country exists',
    'sub1 contains v',
    'query.promo is yes',
    'unique is campaign',
    'affiliate_id is ann or link_code is go',
    'referrer_host is *.news.example',
    'time in "12:00-12:30"',
    'any(all(os is iOS, browser_version between 10 and 20), cost between 0.1 and *)',
  ].map(rule),
)
const offerRule = fc.oneof(anyRule, fc.constantFrom(rule('unique is offer'), rule('flow_id exists')))

/** Nothing, once in `freq` times. */
const maybe = <T>(arbitrary: fc.Arbitrary<T>, freq = 2): fc.Arbitrary<T | undefined> =>
  fc.option(arbitrary, { nil: undefined, freq })

/** Without what is undefined, as configurations have it. */
const lean = <T extends object>(object: { readonly [key in keyof T]: T[key] | undefined }): T =>
  Object.fromEntries(Object.entries(object).filter(([, value]) => value !== undefined)) as T

const OFFERS = ['o0', 'o1', 'o2', 'o3', 'o4'] as const
const CAMPAIGNS = ['summer', 'winter', 'spring'] as const
const weight = fc.constantFrom(0, 1, 3, 100)
const hours = fc.constantFrom(1, 24)
const offerId = fc.constantFrom(...OFFERS)

const landings = (place: string) =>
  fc.uniqueArray(
    fc.record({ id: fc.constantFrom('a', 'b', 'c'), weight }),
    { selector: ({ id }) => id, minLength: 1, maxLength: 3 },
  ).map((all) => all.map((one) => landing(`${place}-${one.id}`, { weight: one.weight }))) // prettier-ignore

const cap = fc.record({
  metric: fc.constantFrom('clicks', 'clicks', 'conversions', 'revenue'),
  period: fc.constantFrom('hour', 'day', 'total'),
  limit: fc.integer({ min: 0, max: 3 }),
  per: fc.constantFrom(undefined, ['country'], ['affiliate', 'sub1']),
  rule: maybe(fc.constantFrom(rule('country is DE'), rule('flow_id is summer-0'), rule('landing_id exists'))),
  mode: fc.constantFrom('hard', 'hard', 'soft'),
})
const caps = fc
  .array(cap, { maxLength: 2 })
  .map((all) => all.map((one, index) => lean({ ...one, cap_id: `c${index}` }) as NonNullable<Offer['caps']>[number]))

const fraudParts = {
  thresholds: fc.constantFrom<OfferFraud['thresholds']>(
    undefined,
    { mark: 10, divert: 25 },
    { divert: 10, refuse: 40 },
  ),
  divert_to: maybe(fc.oneof(fc.constant({ url: 'https://diverted.example/' }), fc.record({ offer_id: offerId }))),
  own_rules: fc.constantFrom<OfferFraud['own_rules']>(
    undefined,
    [{ name: 'vip', score: 30, rule: rule('sub1 is vip') }],
    [{ name: 'flow', score: 15, rule: rule('flow_id exists and not (country is US)') }],
  ),
  referrers: fc.constantFrom<OfferFraud['referrers']>(
    undefined,
    { deny: ['*.news.example'] },
    { allow: ['good.example'] },
  ),
}
const rates = { visitor: { limit: 2, window_seconds: 60 }, ip: { limit: 3, window_seconds: 60 } }
const fraud = fc
  .record({ ...fraudParts, rates: fc.constantFrom(undefined, rates) })
  .map((one) => lean<FraudSettings>(one))
const offerFraud = fc.record(fraudParts).map((one) => lean<OfferFraud>(one))

const offers = fc.tuple(
  ...OFFERS.map((id) =>
    fc
      .record({
        status: fc.constantFrom<Offer['status']>('active', 'active', 'active', 'paused'),
        landings: landings(id),
        rule: maybe(offerRule),
        block: maybe(offerRule),
        country_fallbacks: fc.constantFrom<Offer['country_fallbacks']>(
          undefined, { '*': { offer_id: 'o1' } }, { DE: { url: 'https://de.example/' }, '*': { offer_id: 'o0' } },
        ),
        access: fc.constantFrom<Offer['access']>(undefined, undefined, 'on_approval'),
        affiliates: fc.constantFrom<Offer['affiliates']>(
          undefined, { ann: { status: 'approved', landings: [landing(`${id}-ann`)] } }, { bob: { status: 'blocked' } },
        ),
        caps,
        cap_fallbacks: maybe(fc.array(offerId, { maxLength: 2 })),
        fraud: maybe(offerFraud),
        redirect: fc.constantFrom<Offer['redirect']>(undefined, 'meta', '307'),
        fallback_url: fc.constantFrom(undefined, undefined, 'https://of-offer.example/'),
        ends_at: fc.constantFrom(undefined, undefined, undefined, TEST_TIME + 1_000),
      })
      .map((parts) => offer(id, lean<Partial<Offer>>(parts))),
  ),
) // prettier-ignore

const drawnOffers = fc
  .uniqueArray(fc.record({ offer_id: offerId, weight }), {
    selector: (one) => one.offer_id,
    minLength: 1,
    maxLength: 5,
  })
  .map((all): Partial<Flow> => ({ offers: all }))

const endOf = (flowId: string): fc.Arbitrary<Partial<Flow>> =>
  fc.oneof(
    { weight: 6, arbitrary: drawnOffers },
    { weight: 1, arbitrary: fc.tuple(drawnOffers, landings(flowId)).map(([ofOffers, own]) => ({ ...ofOffers, landings: own })) },
    { weight: 1, arbitrary: landings(flowId).map((own) => ({ offers: [], landings: own })) },
    { weight: 2, arbitrary: fc.constantFrom(...CAMPAIGNS).map((campaign_id) => ({ offers: [], action: { kind: 'campaign' as const, campaign_id } })) },
    {
      weight: 2,
      arbitrary: fc.constantFrom<NonNullable<Flow['action']>>(
        { kind: 'url', url: 'https://url.example/?s={sub1}' }, { kind: 'html', html: '<p>{sub1}</p>' }, { kind: 'not_found' },
      ).map((action) => ({ offers: [], action })),
    },
  ) // prettier-ignore

const flowOf = (flowId: string): fc.Arbitrary<Flow> =>
  fc
    .record({
      kind: fc.constantFrom<Flow['kind']>('forced', 'regular', 'regular', 'regular', 'default'),
      status: fc.constantFrom<Flow['status']>('active', 'active', 'active', 'paused'),
      weight,
      rule: maybe(anyRule),
      referrer_policy: fc.constantFrom<Flow['referrer_policy']>(undefined, 'no-referrer'),
      end: endOf(flowId),
    })
    .map(({ end, ...parts }) => flow(flowId, { ...lean<Partial<Flow>>(parts), ...end }))

const campaignOf = (campaignId: string): fc.Arbitrary<Campaign> =>
  fc
    .record({
      status: fc.constantFrom<Campaign['status']>('active', 'active', 'active', 'active', 'paused'),
      rotation: fc.constantFrom<Campaign['rotation']>(undefined, undefined, 'position'),
      affiliate_id: fc.constantFrom(undefined, 'ann'),
      bind: maybe(
        fc
          .record({ flow_hours: maybe(hours), offer_hours: maybe(hours), landing_hours: maybe(hours) })
          .map((one) => lean<NonNullable<Campaign['bind']>>(one)),
        3,
      ),
      optimize: fc.constantFrom<Campaign['optimize']>(undefined, {
        weights: ['flows', 'offers', 'landings'], mode: 'on', goal: 'cr', window_days: 30,
      }),
      fallback_url: fc.constantFrom(undefined, undefined, 'https://of-campaign.example/'),
      flows: fc.tuple(...[0, 1, 2, 3].map((index) => flowOf(`${campaignId}-${index}`))),
    })
    .map((parts) => campaign({ campaign_id: campaignId, name: campaignId, ...lean<Partial<Campaign>>(parts) })) // prettier-ignore

/** Weights that somebody might have learned, by a hash of the place, so that no place is forgotten. */
function learnedOf(campaigns: readonly Campaign[], all: readonly Offer[], salt: number): LearnedOverlay {
  const arms = (place: string, ids: readonly string[]) =>
    [place, Object.fromEntries(ids.map((id) => [id, hashText(`${salt} ${place} ${id}`) % 5_000]))] as const
  const weights = campaigns.flatMap(({ campaign_id, flows }) => [
    arms(learnedPlace.flows(campaign_id), flows.map(({ flow_id }) => flow_id)),
    ...flows.flatMap((one) => [
      arms(learnedPlace.offers(one.flow_id), one.offers.map(({ offer_id }) => offer_id)),
      arms(learnedPlace.landings(one.flow_id, undefined), (one.landings ?? []).map(({ landing_id }) => landing_id)),
      ...all.map(({ offer_id, landings: own }) =>
        arms(learnedPlace.landings(one.flow_id, offer_id), own.map(({ landing_id }) => landing_id)),
      ),
    ]),
  ]) // prettier-ignore
  return { version: salt, weights: Object.fromEntries(weights) }
}

export const anyWorld: fc.Arbitrary<Snapshot> = fc
  .record({
    version: fc.integer({ min: 1, max: 1_000 }),
    offers,
    campaigns: fc.tuple(...CAMPAIGNS.map(campaignOf)),
    fraud: maybe(fraud),
    learned: maybe(fc.integer({ min: 1, max: 99 })),
    fallback_url: fc.constantFrom(undefined, 'https://fallback.example/'),
    link: fc.constantFrom(
      { campaign_id: 'summer' }, { campaign_id: 'winter', affiliate_id: 'bob' }, { flow_id: 'summer-1' }, { offer_id: 'o2' },
    ),
  })
  .map(({ version, fraud: settings, learned, fallback_url, link, ...parts }) =>
    snapshot({
      version,
      ...lean<Partial<Snapshot>>({ fraud: settings, fallback_url }),
      ...(learned !== undefined && { learned: learnedOf(parts.campaigns, parts.offers, learned) }),
      advertisers: [advertiser()],
      affiliates: [affiliate(), affiliate({ affiliate_id: 'bob' })],
      ...parts,
      links: [{ code: 'go', ...link }, { code: 'trap', campaign_id: 'summer', trap: true }],
    }),
  ) // prettier-ignore

/** All of a click that is no function. */
export type WorldClick = {
  readonly clickId: ClickId
  readonly at: number
  readonly asked: AskedTarget
  readonly visitor: Readonly<Record<string, unknown>> & { readonly ip: string }
  readonly visitorCode: string
  readonly parameters: Readonly<Record<string, unknown>>
  readonly promo: string | undefined
}

const asked: fc.Arbitrary<AskedTarget> = fc.oneof(
  { weight: 6, arbitrary: fc.constantFrom(...CAMPAIGNS).map((campaignId) => ({ campaignId })) },
  { weight: 2, arbitrary: fc.constantFrom('go', 'go', 'trap', 'nowhere').map((linkCode) => ({ linkCode })) },
  {
    weight: 2,
    arbitrary: fc
      .record({
        campaignId: fc.constantFrom(undefined, 'summer', 'none'),
        flowId: fc.constantFrom(undefined, undefined, 'summer-0', 'winter-2'),
        offerId: fc.constantFrom(undefined, 'o0', 'o3'),
        landingId: fc.constantFrom(undefined, 'o0-a', 'o3-b'),
        affiliateId: fc.constantFrom(undefined, 'ann', 'bob', 'none'),
      })
      .map((one) => lean<AskedTarget>(one)),
  },
)

const anyClick: fc.Arbitrary<WorldClick> = fc.record({
  clickId: fc.uuid() as unknown as fc.Arbitrary<ClickId>,
  at: fc.integer({ min: TEST_TIME - 40 * 60_000, max: TEST_TIME + 40 * 60_000 }),
  asked,
  visitor: fc
    .record({
      ip: fc.constantFrom('192.0.2.1', '192.0.2.2'),
      country: fc.constantFrom(undefined, 'DE', 'US', 'FR'),
      device_type: fc.constantFrom(undefined, 'mobile'),
      os: fc.constantFrom(undefined, 'iOS'),
      browser_version: fc.constantFrom(undefined, '16.4'),
      user_agent: fc.constantFrom(undefined, 'Mozilla/5.0'),
      language: fc.constantFrom(undefined, 'de'),
    })
    .map((one) => lean<{ ip: string }>(one)),
  visitorCode: fc.constantFrom('v1', 'v2', 'v3'),
  parameters: fc
    .record({
      sub1: fc.constantFrom(undefined, 'vip', 'x'),
      cost_micros: fc.constantFrom(undefined, 250_000),
      referrer: fc.constantFrom(undefined, 'https://m.news.example/a', 'https://good.example/'),
    })
    .map((one) => lean<object>(one) as Readonly<Record<string, unknown>>),
  promo: fc.constantFrom(undefined, 'yes'),
})

/** Clicks of few visitors, one after the other. */
export const someClicks: fc.Arbitrary<readonly WorldClick[]> = fc
  .array(anyClick, { minLength: 1, maxLength: 16 })
  .map((clicks) => clicks.toSorted((left, right) => left.at - right.at))
