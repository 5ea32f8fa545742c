import type { IncomingMessage, ServerResponse } from 'node:http'

import { acceptClientHints } from '#enrichment'
import { newClickId, newUuidV7 } from '#platform/ids'
import type { ClickRecord } from '#records'
import { chooseTarget, clickMacro, fillLandingUrl, type AskedTarget, type Decision } from '#routing'
import { answerError, answerNotFoundPage } from './answers.ts'
import { answerFailure, answerUrlTooLong, isUrlTooLong } from './refuse-request.ts'
import { newClickDraft, type ClickDraft } from './record-drafts.ts'
import { readClickQuery } from './click-parameters.ts'
import { lookUpClick } from './find-click.ts'
import { clickCookie, parseVisitorCode, readCookie, VISITOR_COOKIE, visitorCookie } from './cookies.ts'
import type { Edge } from './edge.ts'
import type { LiveConfig } from './live-config.ts'
import { queryOf } from './query.ts'
import { cleanText } from './text.ts'
import { classifyTraffic } from './traffic-class.ts'

const REFERRER_CHARACTERS_MAX = 1_024
const DOMAIN_CHARACTERS_MAX = 255

/** One request for a link, decided and ready to be recorded. */
type Click = { readonly record: ClickRecord; readonly location: string | undefined; readonly isHttps: boolean }

/** `GET|HEAD /click` and `/:code`: decides where the visitor goes, makes the click durable, then answers. */
export function answerClick(
  edge: Edge,
  request: IncomingMessage,
  response: ServerResponse,
  linkCode: string | undefined,
): void {
  const startedAtMs = performance.now()
  const live = edge.live.current()
  if (live === undefined) return answerError(response, 'not_ready')
  if (isUrlTooLong(edge, request)) return answerUrlTooLong(edge, response)
  const click = decideClick(edge, live, request, linkCode)
  edge.recorder
    .record(click.record)
    .then(() => {
      edge.recorder.noteSuccess()
      answerDecided(response, click)
      edge.metrics.observe('click', outcomeOf(click.record), startedAtMs)
    })
    .catch((error: unknown) => {
      answerFailure(edge, response, error)
      edge.metrics.observe('click', 'unavailable', startedAtMs)
    })
}

const outcomeOf = (record: ClickRecord): string => (record.class === 'click' ? record.outcome : record.class)

/** The record is put together in one object, which is also what the decision and the macros read. */
function decideClick(edge: Edge, live: LiveConfig, request: IncomingMessage, linkCode: string | undefined): Click {
  const origin = edge.originOf(request)
  const draft = newClickDraft()
  draft.at = edge.clock.now()
  draft.class = classifyTraffic(request)
  const asked = readClickQuery(draft, queryOf(request.url!), linkCode, edge.limits, edge.sub2AllowedKeys)
  addVisitor(draft, edge, request, origin.address)
  // A prefetch or preview must not use up the id: the visitor's own click may follow with it.
  if (asked.givesClickId && draft.class !== 'click') replaceClickId(draft)
  let decision = decideTarget(draft, asked, live)
  if (asked.givesClickId && draft.class === 'click' && isOfAnotherTarget(edge, draft)) {
    replaceClickId(draft)
    decision = decideTarget(draft, asked, live)
  }
  if (asked.linkCode !== undefined) draft.link_code = asked.linkCode
  const location = decision.url && fillLandingUrl(decision.url, (name) => clickMacro(draft, live.routing, name))
  return { record: draft, location, isHttps: origin.isHttps }
}

/** Draws with the id that the record carries, so that the record's own facts give the same decision again. */
function decideTarget(draft: ClickDraft, asked: AskedTarget, live: LiveConfig): Decision {
  const facts = { clickId: draft.click_id, at: draft.at, asked, visitor: draft, parameters: draft }
  const decision = chooseTarget(facts, live.routing)
  addDecision(draft, decision, live.routing.version)
  return decision
}

/** Whether the id that came with the link is that of a click to another target. To the same one it is a repeat, which the
 * pipeline tells from the first. A click of the last moments may not be in the index yet: it counts as none.
 */
function isOfAnotherTarget({ hotState }: Edge, draft: ClickDraft): boolean {
  const first = lookUpClick(hotState, draft.click_id)
  return (
    first !== undefined &&
    (first.advertiser_id !== draft.advertiser_id ||
      first.campaign_id !== draft.campaign_id ||
      first.offer_id !== draft.offer_id)
  )
}

/** The given id is kept as the sender's own, where it named none. */
function replaceClickId(draft: ClickDraft): void {
  draft.external_click_id ??= draft.click_id
  draft.click_id = newClickId(draft.at)
}

function addVisitor(draft: ClickDraft, edge: Edge, { headers }: IncomingMessage, address: string): void {
  const visitor = edge.enricher.describeVisitor({
    ip: address,
    userAgent: headers['user-agent'],
    clientHints: headers,
    acceptLanguage: headers['accept-language'],
  })
  Object.assign(draft, visitor)
  draft.visitor_code ??= parseVisitorCode(readCookie(headers.cookie, VISITOR_COOKIE)) ?? newUuidV7(draft.at)
  if (headers.referer) draft.referrer = cleanText(headers.referer, REFERRER_CHARACTERS_MAX)
  if (headers.host) draft.domain = hostName(headers.host)
}

const hostName = (host: string): string => {
  const colon = host.lastIndexOf(':')
  const name = colon > host.lastIndexOf(']') ? host.slice(0, colon) : host
  return cleanText(name.toLowerCase(), DOMAIN_CHARACTERS_MAX)
}

function addDecision(draft: ClickDraft, { outcome, refusal, trace, assignment }: Decision, version: number): void {
  draft.outcome = outcome
  draft.config_version = version
  draft.trace = trace
  if (refusal !== undefined) draft.refusal = refusal
  Object.assign(draft, assignment)
}

function answerDecided(response: ServerResponse, { record, location, isHttps }: Click): void {
  const cookies = ['Set-Cookie', visitorCookie(record.visitor_code!, isHttps)]
  // A prefetch or a dead link must not take the place of the click that a page's pixel will report for.
  if (record.class === 'click' && record.outcome === 'redirected')
    cookies.push('Set-Cookie', clickCookie(record.click_id, isHttps))
  if (location === undefined) return answerNotFoundPage(response, cookies)
  response.writeHead(302, [
    'Location',
    location,
    ...cookies,
    // A cached redirect would be a click that nobody sees.
    'Cache-Control',
    'no-store',
    'Accept-CH',
    acceptClientHints,
    'Content-Length',
    '0',
  ])
  response.end()
}
