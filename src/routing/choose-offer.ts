import type { RefusalReason } from '#records'
import { MET } from '#rules'
import type { CompiledFlow, CompiledLanding, CompiledLandings, CompiledOffer } from './compile-snapshot.ts'
import { candidateAt, drawNumber, totalWeight } from './draw.ts'
import { isDivertible, judgeFraud } from './judge-fraud.ts'
import type { TraceStep } from './trace.ts'
import { assignmentOf, evaluate, noteLearned, type Ending, type Target, type Walk } from './walk.ts'

/** From the flow, or from a named offer, to an offer and a landing. */
export function finishFlow(walk: Walk): Target | RefusalReason {
  if (walk.offer !== undefined) return enterOffer(walk, walk.offer)
  return walk.flow !== undefined && walk.flow.offers.length > 0 ? chooseOffer(walk, walk.flow) : chooseLanding(walk)
}

/** Draws among the offers of the flow that take the visitor. One that then has no landing leaves the draw to the others. Where
 * none takes the visitor, the first whose rule refused them and that has somewhere else for their country sends them there.
 */
function chooseOffer(walk: Walk, flow: CompiledFlow): Target | RefusalReason {
  const refused: CompiledOffer[] = []
  let reason: RefusalReason = 'offer_paused'
  let candidates = flow.offers.filter(({ offer, weight }) => {
    if (weight === 0 && !isBound(walk, offer)) return false
    const refusal = refusalOfOffer(walk, offer)
    if (refusal === undefined) return true
    reason = refusal
    if (refusal === 'offer_rule_refused') refused.push(offer)
    return false
  })
  while (candidates.length > 0) {
    const noted = walk.steps.length
    const offer = pickOffer(walk, flow, candidates)
    const target = enterOffer(walk, offer)
    if (typeof target !== 'string') return target
    walk.offer = undefined
    reason = target
    noteOut(walk, offer, reason, noted)
    candidates = candidates.filter((candidate) => candidate.offer !== offer)
  }
  return sendByCountry(walk, refused) ?? reason
}

/** Why an offer that was drawn is out. The number that it was drawn with says nothing more, and a smart link may have many whose cap is
 * full: of each that step alone is kept.
 * @param from where the steps of the draw begin
 */
function noteOut({ steps }: Walk, { index: offer }: CompiledOffer, reason: RefusalReason, from: number): void {
  forget(steps, from, (kind) => kind === 'offer_drawn' || kind === 'offer_taken')
  const last = steps.at(-1)
  if (last?.kind !== 'cap_full' || last.offer !== offer) steps.push({ kind: 'offer_out', offer, reason })
}

/** Takes the first step of a kind, from a place on, out of the trace. */
function forget(steps: TraceStep[], from: number, isOne: (kind: TraceStep['kind']) => boolean): void {
  const at = steps.findIndex(({ kind }, index) => index >= from && isOne(kind))
  if (at !== -1) steps.splice(at, 1)
}

/** Takes the offer, or one that takes its place while a cap of it is full. The caps are asked last: nothing that is refused for
 * another reason takes room.
 */
function enterOffer(walk: Walk, offer: CompiledOffer): Target | RefusalReason {
  const target = takeOffer(walk, offer)
  if (target !== 'over_cap') return target
  for (const fallbackId of offer.offer.cap_fallbacks ?? []) {
    const other = walk.config.offers.get(fallbackId)
    if (other === undefined || other === offer || refusalOfOffer(walk, other) !== undefined) continue
    walk.steps.push({ kind: 'offer_for_cap', offer: other.index })
    const found = takeOffer(walk, other)
    if (typeof found !== 'string') return found
  }
  // The fallback of the offer that was meant is the one that counts.
  walk.offer = offer
  return 'over_cap'
}

/** The score comes before the caps: a click that goes nowhere, or elsewhere, takes no room here. */
function takeOffer(walk: Walk, offer: CompiledOffer): Target | RefusalReason {
  walk.offer = offer
  const noted = walk.steps.length
  const target = chooseLanding(walk)
  if (typeof target === 'string') return target
  const judged = walk.isDiverted ? undefined : judgeFraud(walk, offer.fraud)
  if (judged === undefined) {
    const ending = reserveCaps(walk, offer, target)
    if (ending !== undefined) forget(walk.steps, noted, (kind) => kind.startsWith('landing_'))
    return ending ?? target
  }
  return judged.kind === 'offer' ? divert(walk, offer, judged.offerId) : judged
}

/** To an offer of the same advertiser, which is asked itself but scores the click no second time; else to the fallback of the
 * offer that was meant.
 */
function divert(walk: Walk, from: CompiledOffer, offerId: string): Target {
  const other = walk.config.offers.get(offerId)
  if (other !== undefined && other !== from && isDivertible(from, other) && refusalOfOffer(walk, other) === undefined) {
    walk.steps.push({ kind: 'offer_for_fraud', offer: other.index })
    walk.isDiverted = true
    const target = enterOffer(walk, other)
    if (typeof target !== 'string') return target
    walk.offer = from
  }
  return { kind: 'refused', reason: 'fraud_diverted' }
}

/** @returns undefined where there is room, which the click then has taken */
function reserveCaps(walk: Walk, { caps, index }: CompiledOffer, target: Target): Ending {
  const { facts, steps } = walk
  if (caps === undefined || facts.caps === undefined) return undefined
  // As the record will have it: the conversion is counted by what the record says.
  const keys = caps.keysOfClick(facts, { ...assignmentOf(walk, target), link_code: facts.asked.linkCode })
  const verdict = facts.caps.reserve(facts.clickId, facts.at, keys)
  switch (verdict.kind) {
    case 'reserved':
      walk.reserved = keys
      return undefined
    case 'full':
      steps.push({ kind: 'cap_full', offer: index, cap: caps.indexOf(keys[verdict.index]!) })
      return 'over_cap'
    case 'unavailable':
      return 'caps_unavailable'
    default:
      return verdict satisfies never
  }
}

/** What a named offer says to the request. @returns undefined: it takes the visitor */
export function enterNamedOffer(walk: Walk, offer: CompiledOffer): Target | Ending {
  walk.offer = offer
  const refusal = findRefusal(walk, offer)
  return refusal === 'offer_rule_refused' ? (sendByCountry(walk, [offer]) ?? refusal) : refusal
}

/** Why the offer does not take the visitor; noted in the trace. */
function refusalOfOffer(walk: Walk, compiled: CompiledOffer): Ending {
  const refusal = findRefusal(walk, compiled)
  if (refusal === undefined) return undefined
  // The part of the rule that was not met is noted already, and a smart link has many such offers.
  if (refusal !== 'offer_rule_refused') walk.steps.push({ kind: 'offer_out', offer: compiled.index, reason: refusal })
  return refusal
}

function findRefusal(walk: Walk, compiled: CompiledOffer): Ending {
  const { facts, affiliate } = walk
  if (compiled.isOpen && (affiliate === undefined || affiliate.advertiserIds.has(compiled.offer.advertiser_id)))
    return undefined
  const { offer, advertiser } = compiled
  if (advertiser?.advertiser.status !== 'active') return 'advertiser_paused'
  if (offer.status !== 'active') return 'offer_paused'
  if (offer.starts_at !== undefined && facts.at < offer.starts_at) return 'offer_not_started'
  if (offer.ends_at !== undefined && facts.at >= offer.ends_at) return 'offer_expired'
  if (affiliate !== undefined && !affiliate.advertiserIds.has(offer.advertiser_id)) return 'affiliate_blocked'
  const standing = standingOf(walk, compiled)
  if (standing !== undefined) return standing
  // Its rules are asked before it is drawn and are about this offer: "unique is offer" else held for everyone.
  const before = walk.offer
  walk.offer = compiled
  const refusal = refusalByRules(walk, compiled)
  walk.offer = before
  return refusal
}

function refusalByRules(walk: Walk, { blocks, accepts, index }: CompiledOffer): Ending {
  if (blocks !== undefined && evaluate(blocks, walk) === MET) return 'offer_blocked'
  const part = evaluate(accepts, walk)
  if (part === MET) return undefined
  walk.steps.push({ kind: 'offer_refused', offer: index, part })
  return 'offer_rule_refused'
}

/** Whether the affiliate may send to the offer. Traffic without an affiliate is the advertiser's own. */
function standingOf({ affiliate }: Walk, { offer, affiliates }: CompiledOffer): Ending {
  if (affiliate === undefined) return undefined
  const status = affiliates.get(affiliate.affiliate.affiliate_id)?.status
  if (status === 'blocked') return 'affiliate_blocked'
  const isOpen = (offer.access ?? 'public') === 'public' && status === undefined
  return isOpen || status === 'approved' ? undefined : 'affiliate_not_approved'
}

/** The first of the offers that has somewhere else for the visitor's country. The offer that they are sent to is asked itself,
 * but not for its own fallbacks.
 */
function sendByCountry(walk: Walk, refused: readonly CompiledOffer[]): Target | undefined {
  const { country } = walk.facts.visitor
  for (const offer of refused) {
    const fallback = offer.countryFallbacks?.get(country ?? '*') ?? offer.countryFallbacks?.get('*')
    if (fallback === undefined) continue
    if (fallback.kind === 'url') {
      walk.offer = offer
      return { kind: 'fallback', url: fallback.url, owner: 'country', reason: 'offer_rule_refused' }
    }
    const other = walk.config.offers.get(fallback.offerId)
    if (other === undefined || other === offer || refusalOfOffer(walk, other) !== undefined) continue
    walk.steps.push({ kind: 'offer_for_country', offer: other.index })
    const target = enterOffer(walk, other)
    if (typeof target !== 'string') return target
    walk.offer = undefined
  }
  return undefined
}

/** Whether the visitor has the offer from an earlier visit. */
const isBound = ({ facts, campaign }: Walk, { offer }: CompiledOffer): boolean =>
  campaign?.campaign.bind?.offer_hours !== undefined &&
  facts.boundIn?.(campaign.campaign.campaign_id)?.offerId === offer.offer_id

function pickOffer(walk: Walk, flow: CompiledFlow, candidates: CompiledFlow['offers']): CompiledOffer {
  const bound = candidates.find(({ offer }) => isBound(walk, offer))
  if (bound !== undefined) {
    walk.steps.push({ kind: 'offer_bound', offer: bound.offer.index })
    return bound.offer
  }
  if (candidates.length === 1) {
    const { offer } = candidates[0]!
    walk.steps.push({ kind: 'offer_taken', offer: offer.index })
    return offer
  }
  const total = totalWeight(candidates)
  if (flow.areOffersLearned) noteLearned(walk)
  const drawn = drawNumber(walk.clickHash, flow.offerSeed, total)
  const { offer } = candidateAt(candidates, drawn)
  walk.steps.push({ kind: 'offer_drawn', offer: offer.index, drawn, total })
  return offer
}

/** The landings of the flow, else those that the offer has for the affiliate, else those of the offer. */
function landingsOf({ flow, offer, affiliate, isDiverted }: Walk): CompiledLandings | undefined {
  // Those of the flow lead to the offers of the flow.
  if (flow?.landings !== undefined && !isDiverted) return flow.landings
  const own = affiliate && offer?.affiliates.get(affiliate.affiliate.affiliate_id)?.landings
  return own ?? (offer && (flow?.learnedLandings?.get(offer.offer.offer_id) ?? offer.landings))
}

/** A named landing is taken even at weight 0; a name that is none of these is a parameter of someone else. */
function chooseLanding(walk: Walk): Target | RefusalReason {
  const landings = landingsOf(walk)
  const landing = landings && pickLanding(walk, landings)
  return landing === undefined ? 'no_landing' : { kind: 'landing', landing }
}

function pickLanding(walk: Walk, landings: CompiledLandings): CompiledLanding | undefined {
  const { landingId } = walk.facts.asked
  const asked = landingId === undefined ? undefined : landings.byId.get(landingId)
  if (asked !== undefined) {
    walk.steps.push({ kind: 'landing_asked', landing: asked.index })
    return asked
  }
  const bound = boundLanding(walk, landings)
  if (bound !== undefined) {
    walk.steps.push({ kind: 'landing_bound', landing: bound.index })
    return bound
  }
  const [only] = landings.open
  if (only === undefined) return undefined
  if (landings.open.length === 1) {
    walk.steps.push({ kind: 'landing_taken', landing: only.index })
    return only
  }
  if (landings.isLearned) noteLearned(walk)
  const drawn = drawNumber(walk.clickHash, landings.seed, landings.weight)
  const landing = candidateAt(landings.open, drawn)
  walk.steps.push({ kind: 'landing_drawn', landing: landing.index, drawn, total: landings.weight })
  return landing
}

function boundLanding({ facts, campaign }: Walk, landings: CompiledLandings): CompiledLanding | undefined {
  if (campaign?.campaign.bind?.landing_hours === undefined) return undefined
  const landingId = facts.boundIn?.(campaign.campaign.campaign_id)?.landingId
  return landingId === undefined ? undefined : landings.byId.get(landingId)
}
