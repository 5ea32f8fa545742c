import type { IncomingMessage, ServerResponse } from 'node:http'

import { acceptClientHints } from '#enrichment'
import { newUuidV7 } from '#platform/ids'
import type { ClickRecord, TrafficClass, VisitorFacts } from '#records'
import { chooseTarget, clickMacro, fillLandingUrl, type Decision, type RequestFacts } from '#routing'
import { answerError, answerNotFoundPage } from './answers.ts'
import { answerFailure, answerUrlTooLong, isUrlTooLong } from './refuse-request.ts'
import { readClickQuery } from './click-parameters.ts'
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
      answerDecided(response, click)
      edge.metrics.observe('click', outcomeOf(click.record), startedAtMs)
    })
    .catch((error: unknown) => {
      answerFailure(edge, response, error)
      edge.metrics.observe('click', 'unavailable', startedAtMs)
    })
}

const outcomeOf = (record: ClickRecord): string => (record.class === 'click' ? record.outcome : record.class)

function decideClick(edge: Edge, live: LiveConfig, request: IncomingMessage, linkCode: string | undefined): Click {
  const at = edge.clock.now()
  const { headers } = request
  const origin = edge.originOf(request)
  const query = readClickQuery(queryOf(request.url!), linkCode, at, edge.limits, edge.sub2AllowedKeys)
  const visitor = edge.enricher.describeVisitor({
    ip: origin.address,
    userAgent: headers['user-agent'],
    clientHints: headers,
    acceptLanguage: headers['accept-language'],
  })
  const facts: RequestFacts = {
    clickId: query.clickId,
    at,
    asked: query.asked,
    visitor,
    parameters: addHeaders(query.parameters, request, at),
  }
  const decision = chooseTarget(facts, live.routing)
  const record = clickRecord(facts, decision, live.routing.version, classifyTraffic(request))
  const location = decision.url && fillLandingUrl(decision.url, (name) => clickMacro(record, live.routing, name))
  return { record, location, isHttps: origin.isHttps }
}

type Mutable<T> = { -readonly [key in keyof T]: T[key] }

/** The query was read for this request alone, so its parameters are completed in place. */
function addHeaders(
  parameters: Mutable<RequestFacts['parameters']>,
  { headers }: IncomingMessage,
  at: number,
): RequestFacts['parameters'] {
  parameters.visitor_code ??= parseVisitorCode(readCookie(headers.cookie, VISITOR_COOKIE)) ?? newUuidV7(at)
  if (headers.referer) parameters.referrer = cleanText(headers.referer, REFERRER_CHARACTERS_MAX)
  if (headers.host) parameters.domain = hostName(headers.host)
  return parameters
}

const hostName = (host: string): string => cleanText(host.toLowerCase().replace(/:\d+$/, ''), DOMAIN_CHARACTERS_MAX)

function clickRecord(
  { clickId, at, asked, visitor, parameters }: RequestFacts,
  decision: Decision,
  version: number,
  trafficClass: TrafficClass,
): ClickRecord {
  const record: Mutable<ClickRecord> = {
    // In this order: the click index finds the id at a known place, without parsing the record (clickIdOf).
    kind: 'click',
    click_id: clickId,
    at,
    ...(visitor satisfies VisitorFacts),
    class: trafficClass,
    outcome: decision.outcome,
    config_version: version,
    trace: decision.trace,
  }
  Object.assign(record, parameters, decision.assignment)
  if (decision.refusal !== undefined) record.refusal = decision.refusal
  if (asked.linkCode !== undefined) record.link_code = asked.linkCode
  return record
}

function answerDecided(response: ServerResponse, { record, location, isHttps }: Click): void {
  const cookies = [
    'Set-Cookie',
    visitorCookie(record.visitor_code!, isHttps),
    'Set-Cookie',
    clickCookie(record.click_id, isHttps),
  ]
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
