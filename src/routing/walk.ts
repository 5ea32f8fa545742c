import type { CapKey } from '#caps'
import type { ClickVerdict } from '#fraud'
import type { Assignment, RefusalReason } from '#records'
import { MET, type CompiledRule, type RuleFacts } from '#rules'
import type {
  CompiledAffiliate,
  CompiledCampaign,
  CompiledFlow,
  CompiledLanding,
  CompiledOffer,
  CompiledSnapshot,
} from './compile-snapshot.ts'
import type { LandingUrl } from './landing-url.ts'
import type { RequestFacts } from './request-facts.ts'
import { ruleFactsOf } from './rule-facts.ts'
import type { Template } from './template.ts'
import type { FallbackOwner, TraceStep } from './trace.ts'

/** What was found so far on the way down from the request to its target. */
export type Walk = {
  readonly facts: RequestFacts
  readonly config: CompiledSnapshot
  readonly clickHash: number
  readonly steps: TraceStep[]
  /** Made when the first rule is tried. */
  ruleFacts: RuleFacts | undefined
  affiliate: CompiledAffiliate | undefined
  campaign: CompiledCampaign | undefined
  flow: CompiledFlow | undefined
  offer: CompiledOffer | undefined
  /** Campaigns left behind on the way, by which flow that leads to another one. */
  readonly left: { readonly campaign: CompiledCampaign; readonly flow: CompiledFlow | undefined }[]
  /** What the offer's caps took for the click. */
  reserved: readonly CapKey[]
  /** The link is one that no person can see. */
  isTrap: boolean
  /** What the click was scored last; undefined: it was not. */
  verdict: ClickVerdict | undefined
  /** It was sent to another offer for its score. */
  isDiverted: boolean
}

/** Undefined: the way down goes on; else why it ends. */
export type Ending = RefusalReason | undefined

/** Where the way down ends. */
export type Target =
  | { readonly kind: 'landing'; readonly landing: CompiledLanding }
  /** The flow sends everyone to an address of its own. */
  | { readonly kind: 'url'; readonly url: LandingUrl }
  /** The flow shows a page of its own. */
  | { readonly kind: 'html'; readonly html: Template }
  /** Something else than what the request asked for, and why. */
  | {
      readonly kind: 'fallback'
      readonly url: LandingUrl
      readonly owner: FallbackOwner
      readonly reason: RefusalReason
    }
  /** Nowhere else is looked for a place. */
  | { readonly kind: 'refused'; readonly reason: RefusalReason }

type Mutable<T> = { -readonly [key in keyof T]: T[key] }

/** What the way has come to, as the record of the click will have it.
 * @param target undefined: none was found
 */
export function assignmentOf({ offer, campaign, flow, affiliate }: Walk, target: Target | undefined): Assignment {
  const assignment: Mutable<Assignment> = {}
  const advertiser = offer?.advertiser ?? campaign?.advertiser
  if (advertiser !== undefined) assignment.advertiser_id = advertiser.advertiser.advertiser_id
  if (campaign !== undefined) assignment.campaign_id = campaign.campaign.campaign_id
  if (flow !== undefined) assignment.flow_id = flow.flow.flow_id
  if (offer !== undefined) assignment.offer_id = offer.offer.offer_id
  if (target?.kind === 'landing') assignment.landing_id = target.landing.landing.landing_id
  if (affiliate !== undefined) assignment.affiliate_id = affiliate.affiliate.affiliate_id
  return assignment
}

/** @returns MET, else the number of the part that was not met; no rule is met by everyone */
export const evaluate = (rule: CompiledRule | undefined, walk: Walk): number =>
  rule === undefined ? MET : rule((walk.ruleFacts ??= ruleFactsOf(walk)))

/** Tells the trace that learned weights are drawn by, once for the whole way. */
export function noteLearned({ steps, config }: Walk): void {
  if (!steps.some(({ kind }) => kind === 'weights'))
    steps.push({ kind: 'weights', version: config.learnedVersion ?? 0 })
}
