import type { RoutingCaps } from '#caps'
import { scoreAgain } from '#fraud'
import type { ClickRecord } from '#records'
import {
  countId,
  decodeTrace,
  type AskedTarget,
  type Bound,
  type Campaign,
  type FraudJudge,
  type RequestFacts,
  type Snapshot,
  type TraceStep,
} from '#routing'

/** Stands for an id that the request named and that named nothing: what it was is not kept. No object can be called so. */
const NAMED_NOTHING = '(not kept)'

/** What the decision on a recorded click depended on, as far as its record tells: the record's own fields, and what the trace
 * says of the ids that the link named, of what an earlier visit had bound, and of caps that were full.
 * @param snapshot the version that decided
 */
export function recallRequest(click: ClickRecord, snapshot: Snapshot): RequestFacts {
  const steps = decodeTrace(click.trace)
  const bounds = recallBounds(click, snapshot, steps)
  return {
    clickId: click.click_id,
    at: click.at,
    asked: recallAsked(click, snapshot, steps),
    visitor: click,
    parameters: click,
    caps: recallCaps(snapshot, steps),
    fraud: recallFraud(steps),
    boundIn: (campaignId) => bounds.get(campaignId),
  }
}

function recallAsked(click: ClickRecord, snapshot: Snapshot, steps: readonly TraceStep[]): AskedTarget {
  const { refusal } = click
  const indexOf = (kind: 'link' | 'campaign'): number | undefined => {
    const step = steps.find((one) => one.kind === kind)
    return step?.kind === 'link' ? step.link : step?.kind === 'campaign' ? step.campaign : undefined
  }
  const link = snapshot.links[indexOf('link') ?? -1]
  const campaign = snapshot.campaigns[indexOf('campaign') ?? -1]
  const flowStep = steps.find((one) => one.kind === 'flow_asked')
  const flowId =
    refusal === 'flow_unknown'
      ? elsewhere(link?.flow_id, flowsElsewhere(campaign, snapshot))
      : campaign?.flows[flowStep?.flow ?? -1]?.flow_id
  const offerStep = steps.find((one) => one.kind === 'offer_asked')
  const offerId =
    refusal === 'offer_unknown'
      ? elsewhere(link?.offer_id, offersElsewhere(campaign, snapshot))
      : snapshot.offers[offerStep?.offer ?? -1]?.offer_id
  const campaignId = refusal === 'campaign_unknown' ? NAMED_NOTHING : campaign?.campaign_id
  const affiliateId = refusal === 'affiliate_unknown' ? NAMED_NOTHING : click.affiliate_id
  // Something was named, or the click would have been refused for that: an offer that nobody came to look at.
  const isOfferOnly = campaignId === undefined && flowId === undefined && offerId === undefined && !isNameless(click)
  const unlessGiven = (value: string | undefined, ...given: (string | undefined)[]): string | undefined =>
    given.includes(value) ? undefined : value
  return {
    linkCode: click.link_code,
    // Without a link a named flow leads to its campaign, wherever another configuration has it.
    campaignId: flowStep === undefined || link !== undefined ? unlessGiven(campaignId, link?.campaign_id, flowId === link?.flow_id ? campaignOfFlow(flowId, snapshot) : undefined) : undefined,
    flowId: unlessGiven(flowId, link?.flow_id),
    offerId: isOfferOnly ? unlessGiven(NAMED_NOTHING, link?.offer_id && NAMED_NOTHING) : unlessGiven(offerId, link?.offer_id),
    affiliateId: unlessGiven(affiliateId, link?.affiliate_id ?? campaign?.affiliate_id),
    landingId: wasLast(steps, 'landing_asked') ? click.landing_id : undefined,
  } // prettier-ignore
}

/** A name of nothing gives way to what the link names; then the request named something that exists and is another's. */
const elsewhere = (ofLink: string | undefined, others: Iterable<string>): string =>
  ofLink === undefined ? NAMED_NOTHING : ([...others][0] ?? NAMED_NOTHING)

const flowsElsewhere = (campaign: Campaign | undefined, { campaigns }: Snapshot): string[] =>
  campaigns.filter((one) => one !== campaign).flatMap(({ flows }) => flows.map(({ flow_id }) => flow_id))

const offersElsewhere = (campaign: Campaign | undefined, { offers }: Snapshot): string[] =>
  offers
    .filter(({ advertiser_id, offer_id }) => advertiser_id !== campaign?.advertiser_id && !rotates(campaign, offer_id))
    .map(({ offer_id }) => offer_id)

const rotates = (campaign: Campaign | undefined, offerId: string): boolean =>
  campaign?.flows.some(({ offers }) => offers.some(({ offer_id }) => offer_id === offerId)) === true

const isNameless = ({ refusal }: ClickRecord): boolean => refusal === 'target_missing' || refusal === 'link_unknown'

const campaignOfFlow = (flowId: string | undefined, snapshot: Snapshot): string | undefined =>
  flowId === undefined
    ? undefined
    : snapshot.campaigns.find(({ flows }) => flows.some((flow) => flow.flow_id === flowId))?.campaign_id

/** Whether the landing of the click was found in this way. */
const wasLast = (steps: readonly TraceStep[], kind: 'landing_asked' | 'landing_bound'): boolean =>
  steps.findLast((step) => step.kind.startsWith('landing_'))?.kind === kind

type MutableBound = { -readonly [key in keyof Bound]: Bound[key] }

/** The cookie is not kept, but each time that it decided something the trace says so. */
function recallBounds(click: ClickRecord, snapshot: Snapshot, steps: readonly TraceStep[]): ReadonlyMap<string, Bound> {
  const bounds = new Map<string, MutableBound>()
  let campaign: Snapshot['campaigns'][number] | undefined
  const note = (part: MutableBound): void => {
    if (campaign !== undefined) bounds.set(campaign.campaign_id, { ...bounds.get(campaign.campaign_id), ...part })
  }
  for (const step of steps) {
    if (step.kind === 'campaign' || step.kind === 'campaign_next' || step.kind === 'campaign_back')
      campaign = snapshot.campaigns[step.campaign]
    else if (step.kind === 'flow_bound') note({ flowId: campaign?.flows[step.flow]?.flow_id })
    else if (step.kind === 'offer_bound') note({ offerId: snapshot.offers[step.offer]?.offer_id })
  }
  if (wasLast(steps, 'landing_bound')) note({ landingId: click.landing_id })
  return bounds
}

/** Caps answer as they did then: those that the trace says were full are full, all others have room. */
function recallCaps(snapshot: Snapshot, steps: readonly TraceStep[]): RoutingCaps {
  const full = new Set<string>()
  for (const step of steps) {
    if (step.kind !== 'cap_full') continue
    const offer = snapshot.offers[step.offer]
    const cap = offer?.caps?.[step.cap]
    if (offer !== undefined && cap !== undefined) full.add(countId(offer.offer_id, cap.cap_id))
  }
  return {
    reserve: (_clickId, _at, keys) => {
      const index = full.size === 0 ? -1 : keys.findIndex(({ cap_id }) => full.has(cap_id))
      return index === -1 ? { kind: 'reserved' } : { kind: 'full', index }
    },
  }
}

/** The reasons of then, by the points and thresholds of the configuration that decides. */
function recallFraud(steps: readonly TraceStep[]): FraudJudge {
  const found = steps.findLast((step) => step.kind === 'fraud')
  const reasons = found?.kind === 'fraud' ? found.verdict.reasons : []
  return (settings) => scoreAgain(reasons, settings)
}
