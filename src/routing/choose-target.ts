import type { CapKey } from '#caps'
import type { ClickVerdict } from '#fraud'
import type { Assignment, ClickOutcome, RefusalReason } from '#records'
import { checkCampaign, chooseFlow, takeFlow } from './choose-flow.ts'
import { enterNamedOffer, finishFlow } from './choose-offer.ts'
import type { CompiledCampaign, CompiledOffer, CompiledSnapshot } from './compile-snapshot.ts'
import { hashText } from './draw.ts'
import type { LandingUrl } from './landing-url.ts'
import type { AskedTarget, RequestFacts } from './request-facts.ts'
import type { RedirectKind, ReferrerPolicy } from './snapshot.ts'
import type { Template } from './template.ts'
import { encodeTrace, type FallbackOwner } from './trace.ts'
import { assignmentOf, type Ending, type Target, type Walk } from './walk.ts'

/** Where a request goes, what it belongs to and why. */
export type Decision = {
  readonly outcome: ClickOutcome
  readonly assignment: Assignment
  /** Why it goes to no offer; undefined where it does, or where its flow says so. */
  readonly refusal: RefusalReason | undefined
  /** To be filled with the macros of the click; undefined together with `html`: the plain page "not found". */
  readonly url: LandingUrl | undefined
  /** A page to be filled and shown. */
  readonly html: Template | undefined
  readonly redirect: RedirectKind
  readonly referrerPolicy: ReferrerPolicy | undefined
  /** Room that the caps of the offer gave the click: to be given back where it is not recorded. */
  readonly reserved: readonly CapKey[]
  /** Undefined: the click was not scored. */
  readonly verdict: ClickVerdict | undefined
  /** What campaigns keep for the visitor, in the order in which the click went through them. */
  readonly binds: readonly Binding[]
  /** See encodeTrace. */
  readonly trace: string
}

/** What a campaign (`campaign_id`) keeps of a decision, and for how long. */
export type Binding = {
  readonly assignment: Assignment
  readonly hours: BindHours
  /** Whether its flow is one of those that are drawn: a forced or default flow is tried for everyone and not kept. */
  readonly isRegular: boolean
}

type BindHours = { readonly flow_hours?: number; readonly offer_hours?: number; readonly landing_hours?: number }

/** Decides a request: link → campaign → flow → offer → landing, else a fallback, else not found. Pure: the same facts and
 * the same configuration give the same decision and trace; draws are hashes of the click id, the configuration version
 * and the place where they are drawn.
 *
 * - The query beats the link, unless it names something that does not exist.
 * - A named flow is taken without asking its rule; else forced flows in order, then the regular ones that accept the
 *   visitor (by weight; all weights 0, or by position: the first), then default flows in order. A flow that accepts and has no
 *   offer or landing for the visitor is passed over.
 * - Without a campaign or flow, a named offer is taken directly. With a campaign, a named offer must be in its flows or
 *   belong to its advertiser.
 * - An offer that does not take the visitor's country may send them elsewhere.
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
    left: [],
    ruleFacts: undefined,
    reserved: [],
    isTrap: false,
    verdict: undefined,
    isDiverted: false,
  }
  const found = findTarget(walk)
  if (typeof found === 'string') return refuse(walk, found)
  if (found.kind === 'refused') return refuse(walk, found.reason)
  return found.kind === 'fallback' ? sendElsewhere(walk, found) : sendOn(walk, found)
}

function sendOn(walk: Walk, target: Exclude<Target, { kind: 'fallback' | 'refused' }>): Decision {
  const { flow, offer, steps } = walk
  const assignment = assignmentOf(walk, target)
  if (target.kind !== 'landing') steps.push({ kind: target.kind === 'url' ? 'sent' : 'shown' })
  return {
    outcome: target.kind === 'html' ? 'shown' : 'redirected',
    assignment,
    refusal: undefined,
    url: target.kind === 'html' ? undefined : target.kind === 'url' ? target.url : target.landing.url,
    html: target.kind === 'html' ? target.html : undefined,
    redirect: flow?.flow.redirect ?? offer?.offer.redirect ?? '302',
    referrerPolicy: referrerPolicyOf(walk),
    reserved: walk.reserved,
    verdict: walk.verdict,
    binds: bindingsOf(walk, assignment),
    trace: encodeTrace(steps),
  }
}

const NO_BINDINGS: readonly Binding[] = []

/** A campaign that the click only went through keeps the flow that led on: else its visitors would be drawn anew each time. */
function bindingsOf({ campaign, flow: taken, left }: Walk, assignment: Assignment): readonly Binding[] {
  const hours = campaign?.campaign.bind
  const last = hours === undefined ? NO_BINDINGS : [{ assignment, hours, isRegular: taken?.flow.kind === 'regular' }]
  if (left.length === 0) return last
  const before = left.flatMap(({ campaign: { campaign: one }, flow }) =>
    one.bind?.flow_hours === undefined || flow === undefined
      ? []
      : [
          {
            assignment: { campaign_id: one.campaign_id, flow_id: flow.flow.flow_id },
            hours: one.bind,
            isRegular: flow.flow.kind === 'regular',
          },
        ],
  )
  return [...before, ...last]
}

function refuse(walk: Walk, reason: RefusalReason): Decision {
  // A flow that answers with "not found" means just that.
  const fallback = reason === 'flow_not_found' ? undefined : findFallback(walk)
  if (fallback !== undefined) return sendElsewhere(walk, { ...fallback, reason })
  walk.steps.push({ kind: 'refused', reason }, { kind: 'not_found' })
  return { ...ending(walk, reason), outcome: 'not_found', url: undefined }
}

/** A page that is to be told nothing of where its visitors come from is told nothing by way of a fallback either. */
const referrerPolicyOf = ({ flow, offer }: Walk): ReferrerPolicy | undefined =>
  flow?.flow.referrer_policy ?? offer?.offer.referrer_policy

type Fallback = { readonly owner: FallbackOwner; readonly url: LandingUrl; readonly reason: RefusalReason }

function sendElsewhere(walk: Walk, { owner, url, reason }: Fallback): Decision {
  walk.steps.push({ kind: 'refused', reason }, { kind: 'fallback', owner })
  return { ...ending(walk, reason), outcome: 'fallback', url }
}

const ending = (walk: Walk, reason: RefusalReason): Omit<Decision, 'outcome' | 'url'> => ({
  assignment: assignmentOf(walk, undefined),
  refusal: reason,
  html: undefined,
  redirect: '302',
  referrerPolicy: referrerPolicyOf(walk),
  reserved: walk.reserved,
  verdict: walk.verdict,
  binds: NO_BINDINGS,
  trace: encodeTrace(walk.steps),
})

/** The nearest fallback of what was found before the way ended. */
function findFallback({ offer, campaign, config }: Walk): Omit<Fallback, 'reason'> | undefined {
  if (offer?.fallback !== undefined) return { owner: 'offer', url: offer.fallback }
  if (campaign?.fallback !== undefined) return { owner: 'campaign', url: campaign.fallback }
  const advertiser = offer?.advertiser ?? campaign?.advertiser
  if (advertiser?.fallback !== undefined) return { owner: 'advertiser', url: advertiser.fallback }
  return config.fallback === undefined ? undefined : { owner: 'installation', url: config.fallback }
}

function findTarget(walk: Walk): Target | RefusalReason {
  const named = resolveNames(walk)
  if (typeof named === 'string') return named
  return (
    enterCampaign(walk, named) ??
    enterAffiliate(walk, named) ??
    checkCampaign(walk) ??
    enterNamedFlow(walk, named) ??
    takeNamedOffer(walk, named) ??
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
  walk.isTrap = link.trap === true
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

function enterNamedFlow(walk: Walk, named: AskedTarget): Ending {
  if (named.flowId === undefined) return undefined
  const found = walk.config.flows.get(named.flowId)
  if (found === undefined || found.campaign !== walk.campaign) return 'flow_unknown'
  walk.flow = found.flow
  walk.steps.push({ kind: 'flow_asked', flow: found.flow.index })
  return found.flow.flow.status === 'active' ? undefined : 'flow_paused'
}

function takeNamedOffer(walk: Walk, named: AskedTarget): Target | Ending {
  if (named.offerId === undefined) return undefined
  const offer = walk.config.offers.get(named.offerId)
  if (offer === undefined || !mayNameOffer(walk.campaign, offer)) return 'offer_unknown'
  walk.steps.push({ kind: 'offer_asked', offer: offer.index })
  return enterNamedOffer(walk, offer)
}

/** Another tenant's offer is not reached through a campaign that does not rotate it. */
const mayNameOffer = (campaign: CompiledCampaign | undefined, { offer }: CompiledOffer): boolean =>
  campaign === undefined ||
  campaign.offerIds.has(offer.offer_id) ||
  campaign.campaign.advertiser_id === offer.advertiser_id

function chooseOnward(walk: Walk): Target | RefusalReason {
  const { flow, campaign, offer } = walk
  if (offer !== undefined) return finishFlow(walk)
  if (flow !== undefined) return takeFlow(walk, flow)
  return campaign === undefined ? 'target_missing' : chooseFlow(walk, campaign)
}
