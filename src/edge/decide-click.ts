import type { IncomingMessage } from 'node:http'

import type { CapKey, RoutingCaps } from '#caps'
import { encodeVerdict, mainReason, type ClickVerdict } from '#fraud'
import { connectionOf } from '#enrichment'
import { newcomerOf, visitorClaimKey } from '#hot-state'
import { newClickId, newUuidV7 } from '#platform/ids'
import type { ClickRecord } from '#records'
import {
  chooseTarget,
  clickMacro,
  fillLandingUrl,
  fillMacros,
  newRuleFacts,
  type AskedTarget,
  type Decision,
  type FraudJudge,
  type RedirectKind,
  type ReferrerPolicy,
  type RequestFacts,
} from '#routing'
import type { RuleFacts } from '#rules'
import { bind, BOUND_COOKIE, boundIn } from './bound-cookie.ts'
import { readClickQuery, setDefined } from './click-parameters.ts'
import { parseVisitorCode, readCookie, VISITOR_COOKIE } from './cookies.ts'
import type { Edge } from './edge.ts'
import { lookUpClick } from './find-click.ts'
import { judgeOf } from './judge-click.ts'
import type { LiveConfig } from './live-config.ts'
import { findParameter, queryOf } from './query.ts'
import { newClickDraft, type ClickDraft } from './record-drafts.ts'
import { cleanText } from './text.ts'
import { classifyTraffic } from './traffic-class.ts'

const REFERRER_CHARACTERS_MAX = 1_024
const DOMAIN_CHARACTERS_MAX = 255

/** One request for a link, decided and ready to be recorded. */
export type DecidedClick = {
  readonly record: ClickRecord
  /** Undefined together with `html`: the plain page "not found". */
  readonly location: string | undefined
  readonly html: string | undefined
  readonly redirect: RedirectKind
  readonly referrerPolicy: ReferrerPolicy | undefined
  /** Room in caps, to be given back where the click cannot be recorded. */
  readonly reserved: readonly CapKey[]
  /** `redirect=0`: tell the target instead of going there. */
  readonly wantsAnswer: boolean
  /** What the visitor keeps of this visit; undefined: nothing. */
  readonly bound: { readonly value: string; readonly maxAgeSeconds: number } | undefined
  readonly isHttps: boolean
}

/** What of the edge and of the configuration a decision reads. */
type Decider = Pick<
  Edge,
  'originOf' | 'clock' | 'limits' | 'sub2AllowedKeys' | 'enricher' | 'hotState' | 'caps' | 'rates'
>
type Routes = Pick<LiveConfig, 'routing'>

/** The record is put together in one object, which is also what the decision and the macros read. */
export function decideClick(
  edge: Decider,
  live: Routes,
  request: IncomingMessage,
  linkCode: string | undefined,
): DecidedClick {
  const origin = edge.originOf(request)
  const draft = newClickDraft()
  draft.at = edge.clock.now()
  draft.class = classifyTraffic(request)
  const query = queryOf(request.url!)
  const asked = readClickQuery(draft, query, linkCode, edge.limits, edge.sub2AllowedKeys)
  addVisitor(draft, edge, request, origin.address)
  // The header of a page that asks names that page, which is no referrer of anybody.
  const referrer = asked.wantsAnswer ? asked.referrer : request.headers.referer
  if (referrer) draft.referrer = cleanText(referrer, REFERRER_CHARACTERS_MAX)
  // A prefetch or preview must not use up the id: the visitor's own click may follow with it.
  if (asked.givesClickId && draft.class !== 'click') replaceClickId(draft)
  const { cookie } = request.headers
  // What is no click looks at caps and takes nothing.
  const caps = draft.class === 'click' ? edge.caps.live : edge.caps.dry
  const means = {
    cookie,
    caps,
    query: (name: string) => findParameter(query, name, edge.limits),
    isUnique: uniqueness(edge, draft),
    // A prefetch, preview or HEAD says nothing of the visitor: it is neither scored nor counted.
    fraud:
      draft.class === 'click'
        ? judgeOf(draft, request, { isHttps: origin.isHttps, timeZone: asked.timeZone }, edge.rates)
        : undefined,
  }
  const first = asked.givesClickId && draft.class === 'click' ? lookUpClick(edge.hotState, draft.click_id) : undefined
  const isRepeat = first !== undefined && isOfSameTarget(first, draft, asked, live, { ...means, caps: edge.caps.dry })
  if (first !== undefined && !isRepeat) replaceClickId(draft)
  const decision = decideTarget(draft, asked, live, means)
  if (asked.linkCode !== undefined) draft.link_code = asked.linkCode
  // An amount without a currency would be in no report.
  if (draft.cost_micros !== undefined && draft.currency === undefined && draft.advertiser_id !== undefined)
    setDefined(draft, 'currency', live.routing.advertisers.get(draft.advertiser_id)?.advertiser.currency)
  const { html, redirect, referrerPolicy, reserved } = decision
  return {
    record: draft,
    location: locationOf(draft, decision, live),
    html: html && fillMacros(html, (name) => clickMacro(draft, live.routing, name)),
    redirect,
    referrerPolicy,
    // The hold is that of the first click, whatever becomes of the repeat.
    reserved: isRepeat ? reserved.filter(({ counting }) => counting === 'at_click') : reserved,
    wantsAnswer: asked.wantsAnswer,
    bound: boundOf(draft, decision, cookie),
    isHttps: origin.isHttps,
  }
}

/** A prefetch decides nothing for the visitor. */
function boundOf(draft: ClickDraft, { binds }: Decision, cookie: string | undefined): DecidedClick['bound'] {
  if (binds.length === 0 || draft.class !== 'click') return undefined
  let bound: DecidedClick['bound']
  for (const binding of binds)
    bound = bind(bound?.value ?? readCookie(cookie, BOUND_COOKIE), binding, draft.at) ?? bound
  return bound
}

export const locationOf = (draft: ClickDraft, { url }: Decision, { routing }: Routes): string | undefined =>
  url && fillLandingUrl(url, (name) => clickMacro(draft, routing, name))

/** What a decision may ask for beside the record. */
type DecisionMeans = {
  readonly cookie: string | undefined
  readonly caps: RoutingCaps | undefined
  /** A parameter of the request, for a rule that asks. */
  readonly query?: (name: string) => string | undefined
  readonly isUnique?: RequestFacts['isUnique']
  readonly fraud?: FraudJudge | undefined
}

/** Draws with the id that the record carries, so that the record's own facts give the same decision again. */
export function decideTarget(
  draft: ClickDraft,
  asked: AskedTarget,
  live: Routes,
  { cookie, caps, query, isUnique, fraud }: DecisionMeans,
): Decision {
  const facts = {
    clickId: draft.click_id,
    at: draft.at,
    asked,
    visitor: draft,
    parameters: draft,
    caps,
    query,
    isUnique,
    fraud,
    boundIn: (campaignId: string) => boundIn(readCookie(cookie, BOUND_COOKIE), campaignId, draft.at),
  }
  const decision = chooseTarget(facts, live.routing)
  addDecision(draft, decision, live.routing.version)
  return decision
}

/** What a rule sees of a click once it is decided: what the rules of the decision saw, and the place that it was decided for.
 * @param request what decideClick was given
 */
export function ruleFactsOfClick(
  edge: Pick<Decider, 'hotState' | 'limits'>,
  record: ClickRecord,
  request: IncomingMessage,
): RuleFacts {
  const query = queryOf(request.url!)
  return newRuleFacts(
    {
      ...{ clickId: record.click_id, at: record.at, asked: {}, visitor: record, parameters: record },
      query: (name) => findParameter(query, name, edge.limits),
      isUnique: uniqueness(edge, record),
    },
    record,
  )
}

const CLAIM_SPACES = { campaign: 'visitor_campaign', offer: 'visitor_offer' } as const

/** Whether a visitor is new, as far as the pipeline has counted: clicks of the last moments count as none. New everywhere is one who
 * brought no code of ours.
 */
const uniqueness =
  ({ hotState }: Pick<Decider, 'hotState'>, draft: ClickRecord): NonNullable<RequestFacts['isUnique']> =>
  (scope, scopeId) => {
    const newcomer = newcomerOf(draft)
    if (scope === 'global') return newcomer !== undefined
    if (scopeId === undefined) return true
    const key = visitorClaimKey(scopeId, newcomer ?? draft.visitor_code!)
    return !hotState.isClaimed(CLAIM_SPACES[scope], key, draft.at)
  }

/** Whether a click whose id is known goes where the first one with the id went: then it is a repeat, which the pipeline tells from
 * the first; else it must have an id of its own. A click of the last moments may not be in the index yet: it counts as none.
 *
 * Found by a decision that takes no room: the holds of the id are the first click's, and giving them back would give its place away.
 */
function isOfSameTarget(
  first: ClickRecord,
  draft: ClickDraft,
  asked: AskedTarget,
  live: Routes,
  means: DecisionMeans,
): boolean {
  decideTarget(draft, asked, live, means)
  const isSame =
    first.advertiser_id === draft.advertiser_id &&
    first.campaign_id === draft.campaign_id &&
    first.offer_id === draft.offer_id
  Object.assign(draft, UNDECIDED)
  return isSame
}

/** The given id is kept as the sender's own, where it named none. */
function replaceClickId(draft: ClickDraft): void {
  draft.external_click_id ??= draft.click_id
  draft.click_id = newClickId(draft.at)
}

export function addVisitor(draft: ClickDraft, edge: Decider, { headers }: IncomingMessage, address: string): void {
  edge.enricher.addVisitor(draft, {
    ip: address,
    userAgent: headers['user-agent'],
    clientHints: headers,
    acceptLanguage: headers['accept-language'],
  })
  draft.visitor_code ??= parseVisitorCode(readCookie(headers.cookie, VISITOR_COOKIE)) ?? newUuidV7(draft.at)
  const connection = connectionOf(headers)
  if (connection !== undefined) draft.connection = connection
  if (headers.host) draft.domain = hostName(headers.host)
}

const hostName = (host: string): string => {
  const colon = host.lastIndexOf(':')
  const name = colon > host.lastIndexOf(']') ? host.slice(0, colon) : host
  return cleanText(name.toLowerCase(), DOMAIN_CHARACTERS_MAX)
}

function addDecision(
  draft: ClickDraft,
  { outcome, refusal, trace, assignment, verdict }: Decision,
  version: number,
): void {
  draft.outcome = outcome
  draft.config_version = version
  draft.trace = trace
  if (refusal !== undefined) draft.refusal = refusal
  Object.assign(draft, assignment)
  if (verdict !== undefined && verdict.reasons.length > 0) Object.assign(draft, verdictFields(verdict))
}

const verdictFields = (verdict: ClickVerdict) => ({
  fraud: encodeVerdict(verdict),
  fraud_score: verdict.score,
  fraud_reason: mainReason(verdict),
})

/** What a decision may leave out: it must not stand from another one that was taken before. */
const UNDECIDED = {
  refusal: undefined,
  advertiser_id: undefined,
  campaign_id: undefined,
  flow_id: undefined,
  offer_id: undefined,
  landing_id: undefined,
  affiliate_id: undefined,
  fraud: undefined,
  fraud_score: undefined,
  fraud_reason: undefined,
}
