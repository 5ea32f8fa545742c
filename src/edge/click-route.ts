import type { IncomingMessage, ServerResponse } from 'node:http'

import { acceptClientHints } from '#enrichment'
import type { ClickRecord } from '#records'
import { answerError, answerJson, answerNotFoundPage } from './answers.ts'
import { boundCookie, clickCookie, visitorCookie } from './cookies.ts'
import { corsHeaders } from './cors.ts'
import { decideClick, type DecidedClick } from './decide-click.ts'
import type { Edge } from './edge.ts'
import type { LiveConfig } from './live-config.ts'
import type { Outcome } from './metrics.ts'
import { answerPage, answerRedirect } from './redirects.ts'
import { answerFailure, answerUrlTooLong, isUrlTooLong } from './refuse-request.ts'

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
      answerDecided(edge, live, request, response, click)
      edge.metrics.observe('click', outcomeOf(click.record), startedAtMs)
    })
    .catch((error: unknown) => {
      // What was recorded and could not be answered did take its place.
      if (!response.headersSent) edge.caps.giveBack(click.record.click_id, click.reserved)
      answerFailure(edge, response, error)
      edge.metrics.observe('click', 'unavailable', startedAtMs)
    })
}

const outcomeOf = (record: ClickRecord): Outcome<'click'> => (record.class === 'click' ? record.outcome : record.class)

function answerDecided(
  edge: Edge,
  live: LiveConfig,
  request: IncomingMessage,
  response: ServerResponse,
  click: DecidedClick,
): void {
  const { location, html, redirect } = click
  const cookies = cookiesOf(click)
  if (click.wantsAnswer) return answerTarget(live, request, response, click, cookies)
  if (html !== undefined) return answerPage(response, html, click.referrerPolicy, cookies)
  if (location === undefined) return answerNotFoundPage(response, cookies)
  if (redirect === '302' && click.referrerPolicy === undefined) return answerFound(response, location, cookies)
  answerRedirect(edge, live, response, { location, redirect, policy: click.referrerPolicy, cookies })
}

function cookiesOf({ record, bound, isHttps }: DecidedClick): readonly string[] {
  const cookies = ['Set-Cookie', visitorCookie(record.visitor_code!, isHttps)]
  // A prefetch or a dead link must not take the place of the click that a page's pixel will report for.
  if (record.class === 'click' && (record.outcome === 'redirected' || record.outcome === 'shown'))
    cookies.push('Set-Cookie', clickCookie(record.click_id, isHttps))
  if (bound !== undefined) cookies.push('Set-Cookie', boundCookie(bound, isHttps))
  return cookies
}

/** The usual way, written out. */
function answerFound(response: ServerResponse, location: string, cookies: readonly string[]): void {
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

/** `redirect=0`: a page asks for a click id for the visitor that it has. Pages of the advertiser that
 * the click belongs to may read the answer: it names the visitor and the target.
 */
function answerTarget(
  live: LiveConfig,
  request: IncomingMessage,
  response: ServerResponse,
  { record, location }: DecidedClick,
  cookies: readonly string[],
): void {
  const { click_id, visitor_code, outcome, refusal, advertiser_id, campaign_id, flow_id, offer_id, landing_id } = record
  const target = { campaign_id, flow_id, offer_id, landing_id }
  const answer = { click_id, visitor_code, outcome, refusal, url: location, ...target }
  answerJson(response, 200, answer, [...cookies, ...corsHeaders(request, live.origins.ofAdvertiser(advertiser_id))])
}
