import { compileFraud, type CompiledFraud } from '#fraud'
import { ruleCompiler, RuleLists, type CompiledRule, type Rule } from '#rules'
import { drawSeed, totalWeight } from './draw.ts'
import { sortByKind, type FlowsByKind } from './flows-by-kind.ts'
import { compileLandingUrl, type LandingUrl } from './landing-url.ts'
import { applyLearnedWeights } from './learned-weights.ts'
import { compileOfferCaps, type CompiledOfferCaps } from './offer-caps.ts'
import type {
  Advertiser,
  Affiliate,
  Campaign,
  Flow,
  Landing,
  Link,
  Offer,
  OfferAffiliate,
  Snapshot,
} from './snapshot.ts'
import { compileTemplate, type Template } from './template.ts'

/** Everything of a snapshot that a request looks up, by id, with templates, rules and draws prepared. Numbers (`index`)
 * are positions in the snapshot's own lists: the trace names things by them.
 */
export type CompiledSnapshot = {
  readonly version: number
  readonly snapshot: Snapshot
  /** Of the learned weights in it; undefined: none. */
  readonly learnedVersion: number | undefined
  readonly fallback: LandingUrl | undefined
  /** For flows without an offer; undefined: the installation has no settings. */
  readonly fraud: CompiledFraudPlace | undefined
  readonly advertisers: ReadonlyMap<string, CompiledAdvertiser>
  readonly affiliates: ReadonlyMap<string, CompiledAffiliate>
  readonly offers: ReadonlyMap<string, CompiledOffer>
  readonly campaigns: ReadonlyMap<string, CompiledCampaign>
  readonly flows: ReadonlyMap<string, { readonly campaign: CompiledCampaign; readonly flow: CompiledFlow }>
  readonly links: ReadonlyMap<string, { readonly index: number; readonly link: Link }>
}

export type CompiledAdvertiser = { readonly advertiser: Advertiser; readonly fallback: LandingUrl | undefined }

export type CompiledAffiliate = { readonly affiliate: Affiliate; readonly advertiserIds: ReadonlySet<string> }

export type CompiledLanding = {
  readonly landing: Landing
  readonly index: number
  readonly weight: number
  readonly url: LandingUrl
}

/** Landings of a flow or an offer. */
export type CompiledLandings = {
  readonly all: readonly CompiledLanding[]
  readonly byId: ReadonlyMap<string, CompiledLanding>
  /** Those that take new visitors. */
  readonly open: readonly CompiledLanding[]
  readonly weight: number
  readonly seed: number
  /** Whether the weights were learned. */
  readonly isLearned: boolean
}

export type CompiledOffer = {
  readonly offer: Offer
  /** Whether it takes everyone whom its advertiser takes: most offers ask nothing else, and a click then reads nothing else of them. */
  readonly isOpen: boolean
  readonly index: number
  readonly advertiser: CompiledAdvertiser | undefined
  readonly landings: CompiledLandings
  readonly fallback: LandingUrl | undefined
  readonly accepts: CompiledRule | undefined
  /** Met: the offer does not take the visitor. */
  readonly blocks: CompiledRule | undefined
  readonly countryFallbacks: ReadonlyMap<string, CompiledCountryFallback> | undefined
  readonly affiliates: ReadonlyMap<string, CompiledOfferAffiliate>
  /** Undefined: it has none. */
  readonly caps: CompiledOfferCaps | undefined
  /** Undefined: its clicks are not scored. */
  readonly fraud: CompiledFraudPlace | undefined
}

/** How clicks are scored, and where diverted ones go. */
export type CompiledFraudPlace = {
  readonly settings: CompiledFraud
  readonly divertUrl: LandingUrl | undefined
}

export type CompiledCountryFallback =
  { readonly kind: 'offer'; readonly offerId: string } | { readonly kind: 'url'; readonly url: LandingUrl }

export type CompiledOfferAffiliate = {
  readonly status: OfferAffiliate['status']
  readonly landings: CompiledLandings | undefined
}

export type CompiledFlow = {
  readonly flow: Flow
  readonly index: number
  readonly isActive: boolean
  readonly weight: number
  readonly accepts: CompiledRule | undefined
  readonly offers: readonly { readonly offer: CompiledOffer; readonly weight: number }[]
  readonly offerSeed: number
  readonly areOffersLearned: boolean
  /** Landings of its offers with learned weights, by offer; undefined: those of the offer. */
  readonly learnedLandings: ReadonlyMap<string, CompiledLandings> | undefined
  /** Its own landings; undefined: those of the offer. */
  readonly landings: CompiledLandings | undefined
  /** Undefined: offers and landings. */
  readonly action: CompiledAction | undefined
}

export type CompiledAction =
  | { readonly kind: 'campaign'; readonly campaignId: string }
  | { readonly kind: 'url'; readonly url: LandingUrl }
  | { readonly kind: 'html'; readonly html: Template }
  | { readonly kind: 'not_found' }

export type CompiledCampaign = {
  readonly campaign: Campaign
  readonly index: number
  readonly advertiser: CompiledAdvertiser | undefined
  readonly flows: readonly CompiledFlow[]
  readonly flowsByKind: FlowsByKind
  readonly offerIds: ReadonlySet<string>
  readonly flowSeed: number
  readonly areFlowsLearned: boolean
  readonly fallback: LandingUrl | undefined
}

const compileFallback = (url: string | undefined): LandingUrl | undefined =>
  url === undefined ? undefined : compileLandingUrl(url, false)

const mapBy = <T, R>(items: readonly T[], keyOf: (item: T) => string, compile: (item: T, index: number) => R) =>
  new Map(items.map((item, index) => [keyOf(item), compile(item, index)]))

function compileLandings(landings: readonly Landing[], seed: number): CompiledLandings {
  const all = landings.map((landing, index) => ({
    landing,
    index,
    weight: landing.weight,
    url: compileLandingUrl(landing.url, true),
  }))
  const open = all.filter((landing) => landing.weight > 0)
  const byId = new Map(all.map((one) => [one.landing.landing_id, one]))
  return { all, byId, open, weight: totalWeight(open), seed, isLearned: false }
}

/** Prepares a snapshot for requests: done once per version, some milliseconds for thousands of offers. Ids that name
 * nothing (they cannot come from `apply`) are left out of the flows that name them.
 */
export const compileSnapshot = (snapshot: Snapshot): CompiledSnapshot =>
  applyLearnedWeights(compileConfigured(snapshot), snapshot.learned)

/** With the weights of the configuration. */
function compileConfigured(snapshot: Snapshot): CompiledSnapshot {
  const seedOf = (node: string): number => drawSeed(snapshot.version, node)
  const lists = snapshot.lists && new RuleLists(snapshot.lists)
  const compileRule = ruleCompiler(lists)
  const fraud = snapshot.fraud && compileFraudPlace(snapshot.fraud, undefined, lists)
  const advertisers = mapBy(snapshot.advertisers, (one) => one.advertiser_id, compileAdvertiser)
  const offers = mapBy(
    snapshot.offers,
    (one) => one.offer_id,
    (offer, index): CompiledOffer => ({
      offer,
      isOpen: isOpenToAll(offer, advertisers.get(offer.advertiser_id)),
      index,
      advertiser: advertisers.get(offer.advertiser_id),
      landings: compileLandings(offer.landings, seedOf(`landing:${offer.offer_id}`)),
      fallback: compileFallback(offer.fallback_url),
      accepts: offer.rule && compileRule(offer.rule),
      blocks: offer.block && compileRule(offer.block),
      countryFallbacks: compileCountryFallbacks(offer),
      affiliates: compileOfferAffiliates(offer, seedOf),
      caps: compileOfferCaps(offer, advertisers.get(offer.advertiser_id)?.advertiser.timezone, lists),
      fraud: offer.fraud === undefined ? fraud : compileFraudPlace(snapshot.fraud, offer.fraud, lists),
    }),
  )
  const campaigns = mapBy(
    snapshot.campaigns,
    (one) => one.campaign_id,
    (campaign, index): CompiledCampaign => {
      const flows = campaign.flows.map((flow, position) => compileFlow(flow, position, offers, seedOf, compileRule))
      return {
        campaign,
        index,
        advertiser: advertisers.get(campaign.advertiser_id),
        flows,
        flowsByKind: sortByKind(flows),
        offerIds: new Set(campaign.flows.flatMap((flow) => flow.offers.map((offer) => offer.offer_id))),
        flowSeed: seedOf(`flow:${campaign.campaign_id}`),
        areFlowsLearned: false,
        fallback: compileFallback(campaign.fallback_url),
      }
    },
  )
  return {
    version: snapshot.version,
    snapshot,
    learnedVersion: undefined,
    fallback: compileFallback(snapshot.fallback_url),
    fraud,
    advertisers,
    offers,
    campaigns,
    affiliates: mapBy(snapshot.affiliates, (one) => one.affiliate_id, compileAffiliate),
    flows: new Map(
      [...campaigns.values()].flatMap((campaign) =>
        campaign.flows.map((flow) => [flow.flow.flow_id, { campaign, flow }] as const),
      ),
    ),
    links: mapBy(
      snapshot.links,
      (one) => one.code,
      (link, index) => ({ link, index }),
    ),
  }
}

const isOpenToAll = (offer: Offer, advertiser: CompiledAdvertiser | undefined): boolean =>
  advertiser?.advertiser.status === 'active' &&
  offer.status === 'active' &&
  offer.starts_at === undefined &&
  offer.ends_at === undefined &&
  (offer.access ?? 'public') === 'public' &&
  offer.affiliates === undefined &&
  offer.block === undefined &&
  offer.rule === undefined

function compileFraudPlace(...parts: Parameters<typeof compileFraud>): CompiledFraudPlace {
  const settings = compileFraud(...parts)
  const { divertTo } = settings
  const divertUrl = divertTo !== undefined && 'url' in divertTo ? compileLandingUrl(divertTo.url, false) : undefined
  return { settings, divertUrl }
}

const compileAdvertiser = (advertiser: Advertiser): CompiledAdvertiser => ({
  advertiser,
  fallback: compileFallback(advertiser.fallback_url),
})

const compileAffiliate = (affiliate: Affiliate): CompiledAffiliate => ({
  affiliate,
  advertiserIds: new Set(affiliate.advertiser_ids),
})

const compileCountryFallbacks = ({
  country_fallbacks,
}: Offer): ReadonlyMap<string, CompiledCountryFallback> | undefined =>
  country_fallbacks &&
  new Map(
    Object.entries(country_fallbacks).map(([country, fallback]) => [
      country,
      'url' in fallback
        ? { kind: 'url', url: compileLandingUrl(fallback.url, false) }
        : { kind: 'offer', offerId: fallback.offer_id },
    ]),
  )

const compileOfferAffiliates = (
  { offer_id, affiliates = {} }: Offer,
  seedOf: (node: string) => number,
): ReadonlyMap<string, CompiledOfferAffiliate> =>
  new Map(
    Object.entries(affiliates).map(([affiliateId, { status, landings }]) => [
      affiliateId,
      { status, landings: landings && compileLandings(landings, seedOf(`landing:${offer_id}:${affiliateId}`)) },
    ]),
  )

function compileAction({ action }: Flow): CompiledAction | undefined {
  switch (action?.kind) {
    case undefined:
      return undefined
    case 'campaign':
      return { kind: 'campaign', campaignId: action.campaign_id }
    case 'url':
      return { kind: 'url', url: compileLandingUrl(action.url, true) }
    case 'html':
      return { kind: 'html', html: compileTemplate(action.html, 'html') }
    case 'not_found':
      return action
    default:
      return action satisfies never
  }
}

function compileFlow(
  flow: Flow,
  index: number,
  offers: ReadonlyMap<string, CompiledOffer>,
  seedOf: (node: string) => number,
  compileRule: (rule: Rule) => CompiledRule,
): CompiledFlow {
  return {
    flow,
    index,
    isActive: flow.status === 'active',
    weight: flow.weight,
    accepts: flow.rule && compileRule(flow.rule),
    offers: flow.offers.flatMap(({ offer_id, weight }) => {
      const offer = offers.get(offer_id)
      return offer === undefined ? [] : [{ offer, weight }]
    }),
    offerSeed: seedOf(`offer:${flow.flow_id}`),
    areOffersLearned: false,
    learnedLandings: undefined,
    landings:
      flow.landings === undefined ? undefined : compileLandings(flow.landings, seedOf(`landing:${flow.flow_id}`)),
    action: compileAction(flow),
  }
}
