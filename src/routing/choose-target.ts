import type { Assignment, ClickOutcome, RefusalReason } from '#records'
import type {
  CompiledAffiliate,
  CompiledCampaign,
  CompiledFlow,
  CompiledLanding,
  CompiledLandings,
  CompiledOffer,
  CompiledSnapshot,
} from './compile-snapshot.ts'
import { MET } from './compile-rule.ts'
import { candidateAt, drawNumber, hashText, totalWeight } from './draw.ts'
import type { LandingUrl } from './landing-url.ts'
import type { AskedTarget, RequestFacts } from './request-facts.ts'
import { encodeTrace, type FallbackOwner, type TraceStep } from './trace.ts'

/** Where a request goes, what it belongs to and why. */
export type Decision = {
  readonly outcome: ClickOutcome
  readonly assignment: Assignment
  /** Why it goes to no offer; undefined where it does. */
  readonly refusal: RefusalReason | undefined
  /** To be filled with the macros of the click; undefined: the plain page "not found". */
  readonly url: LandingUrl | undefined
  /** See encodeTrace. */
  readonly trace: string
}

/** What was found so far; grows as the tree is walked down. */
type Walk = {
  readonly facts: RequestFacts
  readonly config: CompiledSnapshot
  readonly clickHash: number
  readonly steps: TraceStep[]
  affiliate: CompiledAffiliate | undefined
  campaign: CompiledCampaign | undefined
  flow: CompiledFlow | undefined
  offer: CompiledOffer | undefined
}

/** Undefined: the way down goes on; else why it ends. */
type Ending = RefusalReason | undefined

/** Decides a request: link → campaign → flow → offer → landing, else a fallback, else not found. Pure: the same facts and
 * the same configuration give the same decision and trace; draws are hashes of the click id, the configuration version
 * and the place where they are drawn.
 *
 * - The query beats the link, unless it names something that does not exist.
 * - A named flow is taken without asking its rule; else forced flows in order, then the regular ones that accept the
 *   visitor (by weight; all weights 0: the first), then default flows in order. A flow that accepts and has no offer or
 *   landing for the visitor is passed over.
 * - Without a campaign or flow, a named offer is taken directly. With a campaign, a named offer must be in its flows or
 *   belong to its advertiser.
 */
export function chooseTarget(facts: RequestFacts, config: CompiledSnapshot): Decision {
  const walk: Walk = {
    facts,
    config,
    clickHash: hashText(facts.clickId),
    steps: [],
    affiliate: undefined,
    campaign: undefined,
    flow: undefined,
    offer: undefined,
  }
  const found = findTarget(walk)
  return typeof found === 'string' ? refuse(walk, found) : redirect(walk, found)
}

function redirect(walk: Walk, landing: CompiledLanding): Decision {
  return {
    outcome: 'redirected',
    assignment: assign(walk, landing),
    refusal: undefined,
    url: landing.url,
    trace: encodeTrace(walk.steps),
  }
}

function refuse(walk: Walk, reason: RefusalReason): Decision {
  walk.steps.push({ kind: 'refused', reason })
  const fallback = findFallback(walk)
  walk.steps.push(fallback === undefined ? { kind: 'not_found' } : { kind: 'fallback', owner: fallback.owner })
  return {
    outcome: fallback === undefined ? 'not_found' : 'fallback',
    assignment: assign(walk, undefined),
    refusal: reason,
    url: fallback?.url,
    trace: encodeTrace(walk.steps),
  }
}

/** The nearest fallback of what was found before the way ended. */
function findFallback({ offer, campaign, config }: Walk): { owner: FallbackOwner; url: LandingUrl } | undefined {
  if (offer?.fallback !== undefined) return { owner: 'offer', url: offer.fallback }
  if (campaign?.fallback !== undefined) return { owner: 'campaign', url: campaign.fallback }
  const advertiser = offer?.advertiser ?? campaign?.advertiser
  if (advertiser?.fallback !== undefined) return { owner: 'advertiser', url: advertiser.fallback }
  return config.fallback === undefined ? undefined : { owner: 'installation', url: config.fallback }
}

type Mutable<T> = { -readonly [key in keyof T]: T[key] }

function assign({ offer, campaign, flow, affiliate }: Walk, landing: CompiledLanding | undefined): Assignment {
  const assignment: Mutable<Assignment> = {}
  const advertiser = offer?.advertiser ?? campaign?.advertiser
  if (advertiser !== undefined) assignment.advertiser_id = advertiser.advertiser.advertiser_id
  if (campaign !== undefined) assignment.campaign_id = campaign.campaign.campaign_id
  if (flow !== undefined) assignment.flow_id = flow.flow.flow_id
  if (offer !== undefined) assignment.offer_id = offer.offer.offer_id
  if (landing !== undefined) assignment.landing_id = landing.landing.landing_id
  if (affiliate !== undefined) assignment.affiliate_id = affiliate.affiliate.affiliate_id
  return assignment
}

function findTarget(walk: Walk): CompiledLanding | RefusalReason {
  const named = resolveNames(walk)
  if (typeof named === 'string') return named
  return (
    enterCampaign(walk, named) ??
    enterAffiliate(walk, named) ??
    checkCampaign(walk) ??
    enterNamedFlow(walk, named) ??
    enterNamedOffer(walk, named) ??
    chooseOnward(walk)
  )
}

/** The ids that count, the link's where the query gives none or one that names nothing: ad systems add parameters of
 * their own (`campaign_id={{campaign.id}}`) to a link that works without them.
 */
function resolveNames(walk: Walk): AskedTarget | RefusalReason {
  const { asked } = walk.facts
  if (asked.linkCode === undefined) return asked
  const found = walk.config.links.get(asked.linkCode)
  if (found === undefined) return 'link_unknown'
  const { config } = walk
  const { link } = found
  walk.steps.push({ kind: 'link', link: found.index })
  const pick = (value: string | undefined, ofLink: string | undefined, known: ReadonlyMap<string, unknown>) =>
    value !== undefined && (ofLink === undefined || known.has(value)) ? value : ofLink
  return {
    campaignId: pick(asked.campaignId, link.campaign_id, config.campaigns),
    flowId: pick(asked.flowId, link.flow_id, config.flows),
    offerId: pick(asked.offerId, link.offer_id, config.offers),
    affiliateId: pick(asked.affiliateId, link.affiliate_id, config.affiliates),
    landingId: asked.landingId,
  }
}

function enterCampaign(walk: Walk, named: AskedTarget): Ending {
  const { config, steps } = walk
  if (named.campaignId !== undefined) walk.campaign = config.campaigns.get(named.campaignId)
  else if (named.flowId !== undefined) walk.campaign = config.flows.get(named.flowId)?.campaign
  else return named.offerId === undefined ? 'target_missing' : undefined
  if (walk.campaign === undefined) return named.campaignId === undefined ? 'flow_unknown' : 'campaign_unknown'
  steps.push({ kind: 'campaign', campaign: walk.campaign.index })
  return undefined
}

function enterAffiliate(walk: Walk, named: AskedTarget): Ending {
  const affiliateId = named.affiliateId ?? walk.campaign?.campaign.affiliate_id
  if (affiliateId === undefined) return undefined
  walk.affiliate = walk.config.affiliates.get(affiliateId)
  if (walk.affiliate === undefined) return 'affiliate_unknown'
  return walk.affiliate.affiliate.status === 'active' ? undefined : 'affiliate_blocked'
}

function checkCampaign({ campaign, affiliate }: Walk): Ending {
  if (campaign === undefined) return undefined
  if (campaign.advertiser?.advertiser.status !== 'active') return 'advertiser_paused'
  if (campaign.campaign.status !== 'active') return 'campaign_paused'
  const isMember = affiliate === undefined || affiliate.advertiserIds.has(campaign.campaign.advertiser_id)
  return isMember ? undefined : 'affiliate_blocked'
}

function enterNamedFlow(walk: Walk, named: AskedTarget): Ending {
  if (named.flowId === undefined) return undefined
  const found = walk.config.flows.get(named.flowId)
  if (found === undefined || found.campaign !== walk.campaign) return 'flow_unknown'
  walk.flow = found.flow
  walk.steps.push({ kind: 'flow_asked', flow: found.flow.index })
  return found.flow.flow.status === 'active' ? undefined : 'flow_paused'
}

function enterNamedOffer(walk: Walk, named: AskedTarget): Ending {
  if (named.offerId === undefined) return undefined
  const offer = walk.config.offers.get(named.offerId)
  if (offer === undefined || !mayNameOffer(walk.campaign, offer)) return 'offer_unknown'
  walk.offer = offer
  walk.steps.push({ kind: 'offer_asked', offer: offer.index })
  return refusalOfOffer(offer, walk)
}

/** Another tenant's offer is not reached through a campaign that does not rotate it. */
const mayNameOffer = (campaign: CompiledCampaign | undefined, { offer }: CompiledOffer): boolean =>
  campaign === undefined ||
  campaign.offerIds.has(offer.offer_id) ||
  campaign.campaign.advertiser_id === offer.advertiser_id

function refusalOfOffer({ offer, advertiser }: CompiledOffer, { facts, affiliate }: Walk): Ending {
  if (advertiser?.advertiser.status !== 'active') return 'advertiser_paused'
  if (offer.status !== 'active') return 'offer_paused'
  if (offer.starts_at !== undefined && facts.at < offer.starts_at) return 'offer_not_started'
  if (offer.ends_at !== undefined && facts.at >= offer.ends_at) return 'offer_expired'
  if (affiliate !== undefined && !affiliate.advertiserIds.has(offer.advertiser_id)) return 'affiliate_blocked'
  return undefined
}

function chooseOnward(walk: Walk): CompiledLanding | RefusalReason {
  if (walk.flow !== undefined || walk.campaign === undefined || walk.offer !== undefined) return finishFlow(walk)
  return chooseFlow(walk, walk.campaign)
}

function chooseFlow(walk: Walk, campaign: CompiledCampaign): CompiledLanding | RefusalReason {
  const passedOver: { reason: RefusalReason } = { reason: 'no_flow_matched' }
  const forced = firstOf(walk, campaign, 'forced', passedOver)
  if (forced !== undefined) return forced
  const regular = drawRegular(walk, campaign, passedOver)
  if (regular !== undefined) return regular
  return firstOf(walk, campaign, 'default', passedOver) ?? passedOver.reason
}

function firstOf(
  walk: Walk,
  campaign: CompiledCampaign,
  kind: 'forced' | 'default',
  passedOver: { reason: RefusalReason },
): CompiledLanding | undefined {
  for (const flow of campaign.flows) {
    if (flow.flow.kind !== kind || !accepts(walk, flow)) continue
    const landing = tryFlow(walk, flow, { kind: 'flow_taken', flow: flow.index }, passedOver)
    if (landing !== undefined) return landing
  }
  return undefined
}

/** Draws among the accepting regular flows; one that then has nothing for the visitor leaves the draw to the others. */
function drawRegular(
  walk: Walk,
  campaign: CompiledCampaign,
  passedOver: { reason: RefusalReason },
): CompiledLanding | undefined {
  let candidates: CompiledFlow[] = []
  for (const flow of campaign.flows) {
    if (flow.flow.kind === 'regular' && accepts(walk, flow)) candidates.push(flow)
  }
  while (candidates.length > 0) {
    const { flow, step } = drawFlow(walk, campaign, candidates)
    const landing = tryFlow(walk, flow, step, passedOver)
    if (landing !== undefined) return landing
    candidates = candidates.filter((candidate) => candidate !== flow)
  }
  return undefined
}

function drawFlow(
  walk: Walk,
  campaign: CompiledCampaign,
  candidates: readonly CompiledFlow[],
): { flow: CompiledFlow; step: TraceStep } {
  const total = candidates.length === 1 ? 0 : totalWeight(candidates)
  if (total === 0) {
    const flow = candidates[0]!
    return { flow, step: { kind: 'flow_taken', flow: flow.index } }
  }
  const drawn = drawNumber(walk.clickHash, campaign.flowSeed, total)
  const flow = candidateAt(candidates, drawn)
  return { flow, step: { kind: 'flow_drawn', flow: flow.index, drawn, total } }
}

function accepts(walk: Walk, flow: CompiledFlow): boolean {
  if (flow.flow.status !== 'active') {
    walk.steps.push({ kind: 'flow_paused', flow: flow.index })
    return false
  }
  const answer = flow.accepts?.(walk.facts, walk.affiliate?.affiliate.affiliate_id) ?? MET
  if (answer === MET) return true
  walk.steps.push({ kind: 'flow_refused', flow: flow.index, part: answer })
  return false
}

function tryFlow(
  walk: Walk,
  flow: CompiledFlow,
  step: TraceStep,
  passedOver: { reason: RefusalReason },
): CompiledLanding | undefined {
  walk.steps.push(step)
  walk.flow = flow
  const found = finishFlow(walk)
  if (typeof found !== 'string') return found
  walk.steps.push({ kind: 'flow_unable', flow: flow.index, reason: found })
  walk.flow = undefined
  walk.offer = undefined
  passedOver.reason = found
  return undefined
}

/** From the flow (or the named offer) to an offer and a landing. */
function finishFlow(walk: Walk): CompiledLanding | RefusalReason {
  if (walk.offer === undefined && walk.flow !== undefined) {
    const ending = chooseOffer(walk, walk.flow)
    if (ending !== undefined) return ending
  }
  const landings = walk.flow?.landings ?? walk.offer?.landings
  return landings === undefined ? 'no_landing' : chooseLanding(walk, landings)
}

/** A flow without offers sends to its landings alone. */
function chooseOffer(walk: Walk, flow: CompiledFlow): Ending {
  if (flow.offers.length === 0) return undefined
  let reason: RefusalReason = 'offer_paused'
  const candidates = flow.offers.filter(({ offer, weight }) => {
    if (weight === 0) return false
    const refusal = refusalOfOffer(offer, walk)
    if (refusal === undefined) return true
    reason = refusal
    walk.steps.push({ kind: 'offer_out', offer: offer.index, reason: refusal })
    return false
  })
  if (candidates.length === 0) return reason
  walk.offer = drawOffer(walk, flow, candidates)
  return undefined
}

function drawOffer(walk: Walk, flow: CompiledFlow, candidates: CompiledFlow['offers']): CompiledOffer {
  if (candidates.length === 1) {
    const { offer } = candidates[0]!
    walk.steps.push({ kind: 'offer_taken', offer: offer.index })
    return offer
  }
  const total = totalWeight(candidates)
  const drawn = drawNumber(walk.clickHash, flow.offerSeed, total)
  const { offer } = candidateAt(candidates, drawn)
  walk.steps.push({ kind: 'offer_drawn', offer: offer.index, drawn, total })
  return offer
}

/** A named landing is taken even at weight 0; a name that is none of these is a parameter of someone else. */
function chooseLanding(walk: Walk, landings: CompiledLandings): CompiledLanding | RefusalReason {
  const { landingId } = walk.facts.asked
  const asked = landingId === undefined ? undefined : landings.byId.get(landingId)
  if (asked !== undefined) {
    walk.steps.push({ kind: 'landing_asked', landing: asked.index })
    return asked
  }
  const [only, ...others] = landings.open
  if (only === undefined) return 'no_landing'
  if (others.length === 0) {
    walk.steps.push({ kind: 'landing_taken', landing: only.index })
    return only
  }
  const drawn = drawNumber(walk.clickHash, landings.seed, landings.weight)
  const landing = candidateAt(landings.open, drawn)
  walk.steps.push({ kind: 'landing_drawn', landing: landing.index, drawn, total: landings.weight })
  return landing
}
