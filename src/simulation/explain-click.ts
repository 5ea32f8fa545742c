import { IncomingMessage } from 'node:http'
import { Socket } from 'node:net'

import { dryCaps, type CapCounters } from '#caps'
import { decideClick, edgeLimits, readClickPath, ruleFactsOfClick } from '#edge'
import type { Enricher, VisitorRequest } from '#enrichment'
import { emptyRateCounters } from '#fraud'
import type { HotState } from '#hot-state'
import type { ClickId } from '#platform/ids'
import { refusalReasons, type Assignment, type ClickRecord, type VisitorFacts } from '#records'
import { describeTrace, type CompiledSnapshot } from '#routing'
import type { RuleFacts } from '#rules'

/** A click that nobody made. */
export type HypotheticalClick = {
  /** An address of the edge, whole or from its path on: `https://go.example/summer?sub1=x`, `/click?c=summer`. */
  readonly url?: string | undefined
  /** Instead of the path of the address. */
  readonly linkCode?: string | undefined
  /** Go before the parameters of the address. Names as in a link: `campaign_id`, `sub1`, `clickid`, … */
  readonly parameters: Readonly<Record<string, string>>
  /** Given facts replace what the address and the user agent say. */
  readonly visitor: Partial<VisitorFacts>
  /** Names in lower case. */
  readonly headers: Readonly<Record<string, string>>
  /** Milliseconds since the epoch. */
  readonly at: number
}

export type Explanation = Assignment &
  Pick<ClickRecord, 'click_id' | 'class' | 'outcome' | 'refusal' | 'config_version' | 'trace'> & {
    readonly at: string
    /** The refusal for a person. */
    readonly refusal_meaning?: string
    /** Where the visitor would go, macros filled. */
    readonly url?: string
    /** The page that would be shown. */
    readonly html?: string
    readonly redirect: string
    readonly referrer_policy?: string
    /** The trace in sentences. */
    readonly decision: readonly string[]
    /** What rules see of the visitor and of the parameters. */
    readonly click: Readonly<Record<string, unknown>>
    /** What would be told apart from the edge's own answer. */
    readonly notes: readonly string[]
  }

/** What an explanation asks besides the click. Nothing of it is changed. */
export type Explainer = {
  readonly enricher: Enricher
  readonly sub2AllowedKeys: ReadonlySet<string>
  readonly clickOf: (clickId: ClickId) => Buffer | undefined
  /** Whether a visitor has come before; left out: nobody has. */
  readonly isClaimed?: HotState['isClaimed']
  /** Left out: caps are taken to have room. */
  readonly caps?: Pick<CapCounters, 'peek'> | undefined
}

/** An address that no place is known of. */
const NO_ADDRESS = '0.0.0.0'

export type Explained =
  | { readonly kind: 'explained'; readonly explanation: Explanation }
  /** The edge records no click at such an address; why, as a sentence. */
  | NoClick
type NoClick = { readonly kind: 'no_click'; readonly why: string }

/** Decides as the edge would, with the edge's own function, and records and reserves nothing. */
export function explainClick(explainer: Explainer, routing: CompiledSnapshot, click: HypotheticalClick): Explained {
  const decided = decideHypothetical(explainer, routing, click)
  if (decided.kind === 'no_click') return decided
  return { kind: 'explained', explanation: describe(explainer, routing, click, decided.click) }
}

function describe(
  explainer: Explainer,
  routing: CompiledSnapshot,
  click: HypotheticalClick,
  decided: ReturnType<typeof decideClick>,
): Explanation {
  const { record, location, html, redirect, referrerPolicy } = decided
  const { click_id, outcome, refusal, config_version, trace, at, kind: _kind, class: trafficClass, ...facts } = record
  const { advertiser_id, campaign_id, flow_id, offer_id, landing_id, affiliate_id, ...rest } = facts
  return withoutUndefined({
    click_id,
    at: new Date(at).toISOString(),
    class: trafficClass,
    outcome,
    refusal,
    refusal_meaning: refusal && refusalReasons[refusal],
    advertiser_id,
    campaign_id,
    flow_id,
    offer_id,
    landing_id,
    affiliate_id,
    url: location,
    html,
    redirect,
    referrer_policy: referrerPolicy,
    config_version,
    trace,
    decision: describeTrace(trace, routing.snapshot, affiliate_id),
    click: withoutUndefined(rest),
    notes: notesOn(explainer, click, record, isScoring(routing)),
  }) as Explanation
}

/** What the edge would answer and record. */
export function decideHypothetical(
  explainer: Explainer,
  routing: CompiledSnapshot,
  click: HypotheticalClick,
): { readonly kind: 'decided'; readonly click: DecidedClick } | NoClick {
  const found = decideRequest(explainer, routing, click)
  return found.kind === 'no_click' ? found : { kind: 'decided', click: found.decided }
}

/** What a rule would see of the click. */
export function hypotheticalFacts(
  explainer: Explainer,
  routing: CompiledSnapshot,
  click: HypotheticalClick,
): HypotheticalFacts | NoClick {
  const found = decideRequest(explainer, routing, click)
  if (found.kind === 'no_click') return found
  const { decider, request, decided } = found
  return {
    kind: 'facts',
    record: decided.record,
    facts: ruleFactsOfClick(decider, decided.record, request),
    notes: notesOfPlace(click),
  }
}

export type HypotheticalFacts = {
  readonly kind: 'facts'
  readonly record: ClickRecord
  readonly facts: RuleFacts
  /** What the rule could not see. */
  readonly notes: readonly string[]
}

type DecidedClick = ReturnType<typeof decideClick>
type Decider = Parameters<typeof decideClick>[0]
type DecidedRequest = {
  readonly kind: 'decided'
  readonly decider: Decider
  readonly request: IncomingMessage
  readonly decided: DecidedClick
}

function decideRequest(
  explainer: Explainer,
  routing: CompiledSnapshot,
  click: HypotheticalClick,
): DecidedRequest | NoClick {
  const path = readPath(click)
  if (path.kind === 'none') return { kind: 'no_click', why: path.why }
  const target = requestTarget(click)
  if (target.length > edgeLimits.urlCharactersMax)
    return { kind: 'no_click', why: 'the edge takes no address this long' }
  const decider = deciderFor(explainer, click)
  const request = requestFor(target, click)
  return { kind: 'decided', decider, request, decided: decideClick(decider, { routing }, request, path.linkCode) }
}

function withoutUndefined(object: object): Readonly<Record<string, unknown>> {
  return Object.fromEntries(Object.entries(object).filter(([, value]) => value !== undefined))
}

/** Where the address leads, unless a link code or no address at all is given. */
function readPath({ url, linkCode }: HypotheticalClick): ReturnType<typeof readClickPath> {
  if (linkCode !== undefined || url === undefined) return { kind: 'click', linkCode }
  const path = url.replace(/[?#].*$/s, '').replace(/^https?:\/\/[^/]*/i, '')
  return readClickPath(path.startsWith('/') ? path : `/${path}`)
}

/** The first of two equal names counts, so the given parameters stand before those of the address. */
function requestTarget({ url, parameters }: HypotheticalClick): string {
  const [, ...queries] = (url ?? '').replace(/#.*$/s, '').split('?')
  const given = new URLSearchParams(parameters).toString()
  return `/click?${[given, queries.join('?')].filter((part) => part !== '').join('&')}`
}

/** A request on a socket that is connected to nothing. */
function requestFor(target: string, { headers, visitor, url }: HypotheticalClick): IncomingMessage {
  const request = new IncomingMessage(new Socket())
  const host = /^https?:\/\/([^/?#]+)/i.exec(url ?? '')?.[1]
  request.method = 'GET'
  request.url = target
  request.headers = {
    ...(host !== undefined && { host }),
    ...(visitor.user_agent !== undefined && { 'user-agent': visitor.user_agent }),
    ...headers,
  }
  return request
}

function deciderFor(explainer: Explainer, { at, visitor, url }: HypotheticalClick): Decider {
  const dry = explainer.caps === undefined ? ALWAYS_ROOM : dryCaps(explainer.caps)
  return {
    originOf: () => ({ address: visitor.ip ?? NO_ADDRESS, isHttps: /^https:/i.test(url ?? '') }),
    clock: { now: () => at },
    limits: edgeLimits,
    sub2AllowedKeys: explainer.sub2AllowedKeys,
    enricher: enricherWith(explainer.enricher, visitor),
    hotState: {
      getClick: explainer.clickOf,
      indexPosition: () => undefined,
      isClaimed: explainer.isClaimed ?? (() => false),
    },
    caps: { live: dry, dry, giveBack: () => undefined },
    rates: emptyRateCounters,
  }
}

const ALWAYS_ROOM = dryCaps({ peek: () => ({ kind: 'reserved' }) })

function enricherWith(enricher: Enricher, given: Partial<VisitorFacts>): Enricher {
  return {
    describeVisitor: (visitor: VisitorRequest) => ({ ...enricher.describeVisitor(visitor), ...given }),
    addVisitor: (draft, visitor) => {
      enricher.addVisitor(draft, visitor)
      Object.assign(draft, given)
    },
  }
}

const isScoring = ({ fraud, offers }: CompiledSnapshot): boolean =>
  fraud !== undefined || offers.values().some((offer) => offer.fraud !== undefined)

function notesOn(
  { caps }: Explainer,
  click: HypotheticalClick,
  { class: trafficClass, user_agent, language }: ClickRecord,
  isScored: boolean,
): string[] {
  const { parameters, url } = click
  const missing = [...(user_agent ? [] : ['user agent']), ...(language ? [] : ['language'])].join(' and no ')
  const hasId = 'clickid' in parameters || /[?&]click_?id=/.test(url ?? '')
  return [
    'Nothing was recorded, counted or reserved.',
    ...(hasId ? [] : ['The click id was made up: draws by weight hang on it, so another click may be drawn elsewhere.']),
    ...notesOfPlace(click),
    ...(caps === undefined ? ['Caps were not asked here: each is taken to have room.'] : []),
    ...(isScored ? ['The fraud score takes it for the first click of its address, network, visitor and affiliate: only the edge counts them.'] : []),
    ...(isScored && missing !== '' ? [`No ${missing} was given: the fraud score takes it for a visitor who sends none.`] : []),
    ...(trafficClass === 'click' ? [] : [`The edge would not count it as a click: it is a ${trafficClass}.`]),
  ] // prettier-ignore
}

const notesOfPlace = ({ visitor }: HypotheticalClick): string[] =>
  visitor.ip === undefined && visitor.country === undefined
    ? ['Neither address nor country were given: rules see no place.']
    : []
