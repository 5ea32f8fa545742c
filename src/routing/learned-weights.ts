import type {
  CompiledCampaign,
  CompiledFlow,
  CompiledLanding,
  CompiledLandings,
  CompiledSnapshot,
} from './compile-snapshot.ts'
import { totalWeight } from './draw.ts'
import { sortByKind } from './flows-by-kind.ts'
import type { LearnedOverlay, OptimizedWeights } from './snapshot.ts'

/** Names of the places whose weights are learned. Ids have no `:`. */
export const learnedPlace = {
  flows: (campaignId: string): string => `flows:${campaignId}`,
  offers: (flowId: string): string => `offers:${flowId}`,
  /** @param offerId undefined: the landings are the flow's own */
  landings: (flowId: string, offerId: string | undefined): string =>
    offerId === undefined ? `landings:${flowId}` : `landings:${flowId}:${offerId}`,
} as const

/** What learned weights of one place sum to; see learnWeights (#bandit). */
const TOTAL = 10_000

type WeightOf = (armId: string, configured: number) => number

/** The same configuration drawn by other weights: only what campaigns have optimised and switched on is made anew, so that new
 * weights cost next to nothing beside a new configuration.
 * @param compiled of weights that were not learned
 */
export function applyLearnedWeights(compiled: CompiledSnapshot, learned: LearnedOverlay | undefined): CompiledSnapshot {
  if (learned === undefined) return compiled
  const changed = [...compiled.campaigns.values()].flatMap((campaign) => applyToCampaign(campaign, learned) ?? [])
  if (changed.length === 0) return compiled
  const campaigns = new Map(compiled.campaigns)
  const flows = new Map(compiled.flows)
  for (const campaign of changed) {
    campaigns.set(campaign.campaign.campaign_id, campaign)
    for (const flow of campaign.flows) flows.set(flow.flow.flow_id, { campaign, flow })
  }
  return { ...compiled, learnedVersion: learned.version, campaigns, flows }
}

/** @returns undefined: nothing of it is learned */
function applyToCampaign(campaign: CompiledCampaign, { weights }: LearnedOverlay): CompiledCampaign | undefined {
  const { optimize, campaign_id } = campaign.campaign
  if (optimize?.mode !== 'on') return undefined
  const learnedAt = (kind: OptimizedWeights, place: string) =>
    optimize.weights.includes(kind) ? weights[place] : undefined
  const ofFlows = learnedAt('flows', learnedPlace.flows(campaign_id))
  const regular = campaign.campaign.flows.filter(({ kind }) => kind === 'regular')
  const flowWeight = ofFlows && weightOf(ofFlows, regular)
  const flows = campaign.flows.map((flow) => ({
    ...applyToFlow(flow, learnedAt),
    weight: flowWeight?.(flow.flow.flow_id, flow.weight) ?? flow.weight,
  }))
  return { ...campaign, areFlowsLearned: ofFlows !== undefined, flows, flowsByKind: sortByKind(flows) }
}

type LearnedAt = (kind: OptimizedWeights, place: string) => Readonly<Record<string, number>> | undefined

function applyToFlow(flow: CompiledFlow, learnedAt: LearnedAt): CompiledFlow {
  const { flow_id } = flow.flow
  const ofOffers = learnedAt('offers', learnedPlace.offers(flow_id))
  const offerWeight = ofOffers && weightOf(ofOffers, flow.flow.offers)
  const own = learnedAt('landings', learnedPlace.landings(flow_id, undefined))
  const ofOffer = flow.offers.flatMap(({ offer }) => {
    const found = learnedAt('landings', learnedPlace.landings(flow_id, offer.offer.offer_id))
    return found === undefined ? [] : [[offer.offer.offer_id, applyToLandings(offer.landings, found)] as const]
  })
  return {
    ...flow,
    areOffersLearned: ofOffers !== undefined,
    offers:
      offerWeight === undefined
        ? flow.offers
        : flow.offers.map((one) => ({ ...one, weight: offerWeight(one.offer.offer.offer_id, one.weight) })),
    landings: flow.landings && own ? applyToLandings(flow.landings, own) : flow.landings,
    learnedLandings: ofOffer.length === 0 ? undefined : new Map(ofOffer),
  }
}

function applyToLandings(landings: CompiledLandings, learned: Readonly<Record<string, number>>): CompiledLandings {
  const learnedWeight = weightOf(learned, landings.all.map(({ landing }) => landing)) // prettier-ignore
  const all: readonly CompiledLanding[] = landings.all.map((one) => ({
    ...one,
    weight: learnedWeight(one.landing.landing_id, one.landing.weight),
  }))
  const open = all.filter(({ weight }) => weight > 0)
  const byId = new Map(all.map((one) => [one.landing.landing_id, one]))
  return { ...landings, all, open, byId, weight: totalWeight(open), isLearned: true }
}

/** An arm that takes no visitors by the configuration takes none; every other takes at least one in ten thousand, since it may
 * be the only one that accepts a visitor. One of which nothing was learned yet has its share of the configuration.
 */
function weightOf(
  learned: Readonly<Record<string, number>>,
  configured: readonly { readonly weight: number }[],
): WeightOf {
  const total = totalWeight(configured)
  return (armId, weight) => {
    if (weight === 0) return 0
    return Math.max(1, learned[armId] ?? Math.round((weight / total) * TOTAL))
  }
}
