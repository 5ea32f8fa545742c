import type { IncomingMessage, ServerResponse } from 'node:http'

// The front door would load PostgreSQL, postbacks and their HTTP client into the process that redirects: 16 MB.
import { judgePostback } from '#conversions/judge'
import { newUuidV7 } from '#platform/ids'
import { refusalReasons, type PostbackRecord, type RefusalReason } from '#records'
import { answerError, answerJson, answerText } from './answers.ts'
import { authenticatePostback, type Credentials } from './authenticate-postback.ts'
import { CLICK_COOKIE, readCookie } from './cookies.ts'
import type { Edge } from './edge.ts'
import { findClick, type FoundClick } from './find-click.ts'
import type { LiveConfig } from './live-config.ts'
import { maskSecrets } from './mask-secrets.ts'
import { readPostback, type Parameters, type ReadPostback } from './postback-parameters.ts'
import { queryOf, readQuery } from './query.ts'
import { answerFailure, answerUrlTooLong, isUrlTooLong } from './refuse-request.ts'
import { digestSignature, querySigned } from './signature.ts'
import { cleanText } from './text.ts'

/** What the sender is told. `pending`: accepted, and judged once its click is indexed. */
export type PostbackVerdict =
  | { readonly kind: 'accepted' }
  | { readonly kind: 'pending' }
  | { readonly kind: 'refused'; readonly reason: RefusalReason }

type Via = PostbackRecord['via']

/** `GET|POST /postback`, `/postback/<secret>` and `/pixel.gif`: judges, makes the record durable, then answers. */
export async function answerPostback(
  edge: Edge,
  request: IncomingMessage,
  body: unknown,
  response: ServerResponse,
  way: { readonly via: Via; readonly pathSecret?: string },
): Promise<void> {
  const startedAtMs = performance.now()
  const { via } = way
  const live = edge.live.current()
  if (live === undefined) return answerError(response, 'not_ready')
  if (isUrlTooLong(edge, request)) return answerUrlTooLong(edge, response)
  try {
    const received = receive(edge, request, body, via, way.pathSecret)
    if (received === undefined) return answerError(response, 'body_unreadable')
    const { record, verdict } = await judge(edge, live, received)
    await recordOnce(edge, record)
    answerVerdict(response, via, record, verdict, received.read.reply)
    edge.metrics.observe(via, verdict.kind, startedAtMs)
  } catch (error) {
    answerFailure(edge, response, error)
    edge.metrics.observe(via, 'unavailable', startedAtMs)
  }
}

/** A postback as it came, decoded. */
type Received = {
  readonly via: Via
  readonly at: number
  readonly userAgent: string | undefined
  readonly read: ReadPostback
  readonly credentials: Credentials
  readonly raw: string
}

/** @returns undefined when the body is not of its content type */
function receive(
  edge: Edge,
  request: IncomingMessage,
  body: unknown,
  via: Via,
  pathSecret: string | undefined,
): Received | undefined {
  const { headers } = request
  const bodyText = typeof body === 'string' ? body : ''
  const query = queryOf(request.url!)
  const parameters = readParameters(edge, query, bodyText, headers['content-type'] ?? '')
  if (parameters === undefined) return undefined
  const read = readPostback(parameters, via === 'pixel' ? readCookie(headers.cookie, CLICK_COOKIE) : undefined)
  const secrets = [read.secret, pathSecret].filter((secret) => secret !== undefined)
  return {
    via,
    at: edge.clock.now(),
    userAgent: headers['user-agent'],
    read,
    credentials: {
      address: edge.originOf(request).address,
      secrets,
      signature: headerText(headers['x-waypost-signature']) ?? read.signature,
      timestamp: headerText(headers['x-waypost-timestamp']) ?? read.timestamp,
      query: querySigned(query),
      body: bodyText,
    },
    raw: cleanText(maskSecrets(bodyText === '' ? query : `${query} ${bodyText}`.trim(), secrets), 2_048),
  }
}

const headerText = (value: string | string[] | undefined): string | undefined =>
  typeof value === 'string' ? value : undefined

/** Query and body together; the query's value counts where both give one. */
function readParameters(edge: Edge, query: string, body: string, contentType: string): Parameters | undefined {
  const parameters = new Map<string, string>()
  const take = (name: string, value: string): void => {
    const key = name.toLowerCase()
    if (!parameters.has(key)) parameters.set(key, value)
  }
  readQuery(query, edge.limits, take)
  if (body === '') return parameters
  if (!contentType.startsWith('application/json')) readQuery(body, edge.limits, take)
  else if (!readJson(body, edge, take)) return undefined
  return parameters
}

function readJson(body: string, { limits }: Edge, take: (name: string, value: string) => void): boolean {
  const value = parseJson(body)
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return false
  for (const [name, field] of Object.entries(value).slice(0, limits.parametersMax)) {
    if (field === null || typeof field === 'object' || field === '') continue
    take(name, cleanText(String(field), limits.valueCharactersMax))
  }
  return true
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text) as unknown
  } catch {
    return undefined
  }
}

type Judged = { readonly record: PostbackRecord; readonly verdict: PostbackVerdict }

type Mutable<T> = { -readonly [key in keyof T]: T[key] }

async function judge(edge: Edge, live: LiveConfig, received: Received): Promise<Judged> {
  const { read, credentials, at } = received
  const found: FoundClick =
    read.clickId === undefined ? { kind: 'unknown' } : await findClick(edge.hotState, edge.log, read.clickId)
  const offerId = found.kind === 'found' ? found.click.offer_id : undefined
  const authentication = authenticatePostback(credentials, live.doors, offerId, at)
  const record: Mutable<PostbackRecord> = {
    kind: 'postback',
    postback_id: newUuidV7(at),
    at,
    via: received.via,
    ip: credentials.address,
    ...read.fields,
    raw: received.raw,
  }
  if (received.userAgent !== undefined) record.user_agent = cleanText(received.userAgent, 1_024)
  if (authentication.kind === 'opened') {
    record.authenticated_offer_ids = authentication.offerIds
    if (authentication.signature !== undefined) record.signature_digest = digestSignature(authentication.signature)
  }
  const refusal =
    read.refusal ?? (authentication.kind === 'refused' ? authentication.reason : await replayOf(edge, record))
  if (refusal !== undefined) record.refusal = refusal
  const verdict = judgeClick(record, found, live)
  if (verdict.kind === 'refused') record.refusal = verdict.reason
  return { record, verdict }
}

/** Only a postback that would otherwise count uses its signature up. */
async function replayOf(edge: Edge, { signature_digest, at }: PostbackRecord): Promise<RefusalReason | undefined> {
  if (signature_digest === undefined || (await edge.signatures.remember(signature_digest, at))) return undefined
  return 'signature_replayed'
}

/** The same judgement as the pipeline's, made early so that the sender learns of it. */
function judgeClick(record: PostbackRecord, found: FoundClick, live: LiveConfig): PostbackVerdict {
  if (record.refusal !== undefined) return { kind: 'refused', reason: record.refusal }
  if (found.kind === 'pending') return { kind: 'pending' }
  const judged = judgePostback(record, found.kind === 'found' ? found.click : undefined, live.offers)
  return judged.kind === 'refused' ? judged : { kind: 'accepted' }
}

/** A signature counts as used only once its postback is durable: the sender of a failed one comes again with it. */
async function recordOnce(edge: Edge, record: PostbackRecord): Promise<void> {
  try {
    await edge.recorder.record(record)
    edge.recorder.noteSuccess()
  } catch (error) {
    const isOurs = record.signature_digest !== undefined && record.refusal !== 'signature_replayed'
    if (isOurs) edge.signatures.forget(record.signature_digest!)
    throw error
  }
}

/** HTTP statuses of refused postbacks; every other reason is answered 422. */
export const refusalStatuses: Readonly<Partial<Record<RefusalReason, number>>> = {
  secret_missing: 401,
  secret_wrong: 403,
  signature_wrong: 403,
  signature_expired: 403,
  address_not_allowed: 403,
  click_unknown: 404,
  signature_replayed: 409,
  // The offer's own mapping says so: nothing is wrong, and a sender that retries errors shall not.
  status_ignored: 200,
}

function answerVerdict(
  response: ServerResponse,
  via: Via,
  record: PostbackRecord,
  verdict: PostbackVerdict,
  reply: string | undefined,
): void {
  if (via === 'pixel') return answerPixel(response, verdict)
  const { postback_id } = record
  if (verdict.kind === 'refused') {
    const { reason } = verdict
    const status = refusalStatuses[reason] ?? 422
    const word = reason === 'status_ignored' ? 'ignored' : 'refused'
    return answerJson(response, status, { status: word, reason, message: refusalReasons[reason], postback_id })
  }
  const status = verdict.kind === 'pending' ? 202 : 200
  if (reply !== undefined) return answerText(response, status, cleanReply(reply), 'text/plain; charset=utf-8')
  answerJson(response, status, { status: 'accepted', postback_id })
}

/** Some networks look for a word of their own in the answer. */
const cleanReply = (reply: string): string => reply.replace(/[^\x20-\x7e]/g, '').slice(0, 64)

const GIF = Buffer.from('R0lGODlhAQABAIAAAAAAAP///yH5BAEAAAAALAAAAAABAAEAAAIBRAA7', 'base64')

/** A page shows the picture whatever became of it; the header tells who looks. */
function answerPixel(response: ServerResponse, verdict: PostbackVerdict): void {
  response.writeHead(200, [
    'Content-Type',
    'image/gif',
    'Content-Length',
    String(GIF.length),
    'Cache-Control',
    'no-store',
    ...(verdict.kind === 'refused' ? ['X-Waypost-Reason', verdict.reason] : []),
  ])
  response.end(GIF)
}
