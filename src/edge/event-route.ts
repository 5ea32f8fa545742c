import type { IncomingMessage, ServerResponse } from 'node:http'

import { newUuidV7, type ClickId } from '#platform/ids'
import type { EventRecord, VisitorFacts } from '#records'
import { answerEmpty, answerError, answerJson } from './answers.ts'
import { parseVisitorCode, readCookie, VISITOR_COOKIE } from './cookies.ts'
import { corsHeaders } from './cors.ts'
import type { Edge } from './edge.ts'
import { readEvent, type EventNames, type Issue } from './event-fields.ts'
import { lookUpClick } from './find-click.ts'
import { answerFailure } from './refuse-request.ts'
import type { LiveConfig } from './live-config.ts'
import { newEventDraft, type EventDraft } from './record-drafts.ts'
import { cleanText } from './text.ts'

const RAW_CHARACTERS_MAX = 2_048

/** `POST /event`: one event or an array. All of them, good and refused, are durable before the answer: 204 when all are
 * good, else 422 with what is wrong with which.
 */
export function answerEvent(edge: Edge, request: IncomingMessage, body: unknown, response: ServerResponse): void {
  const startedAtMs = performance.now()
  const live = edge.live.current()
  const headers = corsHeaders(request, live?.origins.ofAll)
  if (live === undefined) return answerError(response, 'not_ready', { headers })
  const parsed = parseBody(request, body)
  if (parsed.kind === 'refused') return answerError(response, parsed.code, { headers })
  const isArray = Array.isArray(parsed.value)
  const values = isArray ? (parsed.value as unknown[]) : [parsed.value]
  if (values.length > edge.limits.eventsPerRequestMax) return answerTooMany(edge, response, headers)
  const batch = readBatch(edge, live, request, values, isArray)
  recordAll(edge, batch.records)
    .then(() => {
      edge.recorder.noteSuccess()
      answerBatch(response, batch, headers)
      edge.metrics.observe('event', batch.issues.length === 0 ? 'recorded' : 'refused', startedAtMs)
    })
    .catch((error: unknown) => {
      answerFailure(edge, response, error, headers)
      edge.metrics.observe('event', 'unavailable', startedAtMs)
    })
}

const recordAll = (edge: Edge, records: readonly EventRecord[]): Promise<unknown> =>
  records.length === 1
    ? edge.recorder.record(records[0]!)
    : Promise.all(records.map((record) => edge.recorder.record(record)))

/** `OPTIONS /event`: without the allowing headers the browser does not send what needs them. */
export function answerPreflight(edge: Edge, request: IncomingMessage, response: ServerResponse): void {
  const cors = corsHeaders(request, edge.live.current()?.origins.ofAll)
  const allowed = ['Access-Control-Allow-Methods', 'POST', 'Access-Control-Allow-Headers', 'Content-Type']
  const headers = cors.length > 2 ? [...cors, ...allowed, 'Access-Control-Max-Age', '86400'] : cors
  answerEmpty(response, 204, headers)
}

type Body =
  | { readonly kind: 'read'; readonly value: unknown }
  | { readonly kind: 'refused'; readonly code: 'body_unreadable' | 'content_type_unsupported' }

function parseBody({ headers }: IncomingMessage, body: unknown): Body {
  const type = headers['content-type'] ?? ''
  if (!type.startsWith('application/json') && !type.startsWith('text/plain')) {
    return { kind: 'refused', code: 'content_type_unsupported' }
  }
  try {
    return { kind: 'read', value: JSON.parse(body as string) as unknown }
  } catch {
    return { kind: 'refused', code: 'body_unreadable' }
  }
}

const answerTooMany = (edge: Edge, response: ServerResponse, headers: readonly string[]): void =>
  answerError(response, 'body_too_large', {
    headers,
    message: `A request holds at most ${edge.limits.eventsPerRequestMax} events; nothing of it was recorded.`,
  })

type Batch = { readonly records: readonly EventRecord[]; readonly issues: readonly Issue[]; readonly accepted: number }

function readBatch(
  edge: Edge,
  live: LiveConfig,
  request: IncomingMessage,
  values: readonly unknown[],
  isArray: boolean,
): Batch {
  const at = edge.clock.now()
  const { headers } = request
  const visitor = edge.enricher.describeVisitor({
    ip: edge.originOf(request).address,
    userAgent: headers['user-agent'],
    clientHints: headers,
    acceptLanguage: headers['accept-language'],
  })
  const visitorCode = parseVisitorCode(readCookie(headers.cookie, VISITOR_COOKIE))
  const names = eventNames(edge, live)
  const records: EventRecord[] = []
  const issues: Issue[] = []
  let accepted = 0
  for (const [index, value] of values.entries()) {
    const draft = newEventDraft()
    draft.at = at
    const ofEvent = readEvent(draft, value, isArray ? `/${index}` : '', names, edge.sub2AllowedKeys)
    addVisitor(draft, visitor, visitorCode)
    if (ofEvent.length === 0) accepted += 1
    else refuse(draft, ofEvent[0]!, value)
    records.push(draft)
    issues.push(...ofEvent)
  }
  return { records, issues, accepted }
}

const eventNames = (edge: Edge, live: LiveConfig): EventNames => ({
  isCustom(type, clickId) {
    if (!live.customEvents.has(type)) return false
    const offerId = clickId === undefined ? undefined : offerOfClick(edge, clickId)
    const offer = offerId === undefined ? undefined : live.routing.offers.get(offerId)
    return offer === undefined || offer.offer.custom_events.includes(type)
  },
})

const offerOfClick = (edge: Edge, clickId: ClickId): string | undefined => lookUpClick(edge.hotState, clickId)?.offer_id

/** What the page says of its language counts, of its device where the headers say nothing. */
function addVisitor(draft: EventDraft, visitor: VisitorFacts, visitorCode: string | undefined): void {
  const { language, device_type } = draft
  Object.assign(draft, visitor)
  if (language !== undefined) draft.language = language
  const isDeviceKnown = visitor.device_type !== undefined && visitor.device_type !== 'other'
  if (!isDeviceKnown && device_type !== undefined) draft.device_type = device_type
  if (visitorCode !== undefined) draft.visitor_code ??= visitorCode
  draft.event_id ??= newUuidV7(draft.at)
}

function refuse(draft: EventDraft, { code }: Issue, value: unknown): void {
  draft.refusal = code
  draft.raw = cleanText(JSON.stringify(value), RAW_CHARACTERS_MAX)
}

function answerBatch(response: ServerResponse, { issues, accepted }: Batch, headers: readonly string[]): void {
  if (issues.length === 0) answerEmpty(response, 204, headers)
  else answerJson(response, 422, { accepted, errors: issues }, headers)
}
