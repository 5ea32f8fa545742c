import { timingSafeEqual } from 'node:crypto'
import { createSigningKey, hmacSha256, type SigningKey } from './hmac.ts'

/** Signatures of outbound postbacks.
 *
 * POST: Standard Webhooks. `webhook-signature: v1,<base64 HMAC-SHA256 of "<id>.<timestamp>.<body>">`.
 * GET has no body to sign: `sig` in the query is the hex HMAC-SHA256 of `<id>.<ts>.GET <request target>`, the target without the
 * value of `sig` itself; the same digits stand in `webhook-signature: get1,<hex>`. `event_id` and `ts` stand in the query too,
 * because many receivers cannot read headers.
 * `{sig}` in the template of a POST: the hex HMAC-SHA256 of `<id>.<ts>.POST <request target>\n<body>`, both without the value.
 *
 * While a secret is being replaced both sign, the new one first: in the header separated by a blank, in `sig` by a point.
 * @see https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md
 */

const SECRET_PREFIX = 'whsec_'
/** Standard Webhooks: 24 to 64 bytes. A shorter key can be guessed. */
export const SECRET_BYTES_MIN = 24
export const SECRET_BYTES_MAX = 64
/** Seconds that a receiver's clock may differ from ours; afterwards a caught request cannot be used again. */
const TOLERANCE_SECONDS = 300

const BASE64 = /^(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?$/

/** The key bytes of a secret `whsec_<base64>`.
 * @returns undefined when it is not of that form or not 24 to 64 bytes long
 */
export function parseSecret(secret: string): Buffer | undefined {
  if (!secret.startsWith(SECRET_PREFIX)) return undefined
  const encoded = secret.slice(SECRET_PREFIX.length)
  if (!BASE64.test(encoded)) return undefined
  const key = Buffer.from(encoded, 'base64')
  return key.length >= SECRET_BYTES_MIN && key.length <= SECRET_BYTES_MAX ? key : undefined
}

/** Secrets that were parsed; few, since an endpoint has one. */
const keys = new Map<string, SigningKey>()
const KEYS_MAX = 10_000

/** Parsed once, not for each message. */
function keyOf(secret: string): SigningKey | undefined {
  const known = keys.get(secret)
  if (known !== undefined) return known
  const bytes = parseSecret(secret)
  if (bytes === undefined) return undefined
  if (keys.size >= KEYS_MAX) keys.clear()
  const key = createSigningKey(bytes)
  keys.set(secret, key)
  return key
}

/** What Standard Webhooks signs, in parts. */
const webhookContent = <Body extends string | Buffer>(id: string, ts: string, body: Body) =>
  [`${id}.${ts}.`, body] as const

/** What `sig` signs.
 * @param target path and query, without the value of `sig`
 * @param body of a POST, without the value of `sig`; undefined: a GET
 */
const sigContent = (id: string, ts: string, target: string, body: string | undefined): string =>
  body === undefined ? `${id}.${ts}.GET ${target}` : `${id}.${ts}.POST ${target}\n${body}`

const SIG_SEPARATOR = '.'

export type RequestToSign = {
  readonly eventId: string
  readonly method: 'GET' | 'POST'
  /** Filled, `{sig}` and `{ts}` still in it. */
  readonly url: string
  /** Filled likewise: no value in it has a brace that could be taken for one of theirs. */
  readonly body: string | undefined
  /** `whsec_…`, the present one first; none: unsigned. */
  readonly secrets: readonly string[]
  readonly nowMs: number
}

export type SigningHeaders = {
  readonly 'webhook-id': string
  /** Seconds since the epoch. */
  readonly 'webhook-timestamp': string
  /** Left out: there is no secret to sign with. */
  readonly 'webhook-signature'?: string
}

/** What finally goes out. */
export type SignedRequest = {
  readonly url: string
  readonly headers: SigningHeaders
  readonly body: string | undefined
}

const SIG = '{sig}'
const TS = '{ts}'
const hasLateMacro = (text: string): boolean => text.includes(SIG) || text.includes(TS)
const requestTarget = (url: URL): string => url.pathname + url.search

/** Adds what a template does not place itself: event_id, ts and, last, sig. */
function withSignedQuery(url: string, eventId: string): string {
  if (url.includes(SIG)) return url
  const joint = url.includes('?') ? (/[?&]$/.test(url) ? '' : '&') : '?'
  const ts = url.includes(TS) ? '' : `ts=${TS}&`
  return `${url}${joint}event_id=${eventId}&${ts}sig=${SIG}`
}

/** Fills time and signature of one attempt.
 * @throws {TypeError} a URL to be signed cannot be parsed, or a secret has not the form of parseSecret; both are refused when the
 * configuration is applied. Or there is no secret, and `{sig}` is to be filled: it was taken away since
 */
export function signRequest(request: RequestToSign): SignedRequest {
  const { eventId, method } = request
  const keys = keysOf(request.secrets)
  const ts = String(Math.floor(request.nowMs / 1000))
  const { url, body, digits } = fillMacros(request, keys, ts)
  if (keys.length === 0) return { url, body, headers: { 'webhook-id': eventId, 'webhook-timestamp': ts } }
  const signatures =
    method === 'GET'
      ? digits.map((one) => `get1,${one}`)
      : keys.map((key) => `v1,${hmacSha256(key, webhookContent(eventId, ts, body ?? ''), 'base64')}`)
  const headers = { 'webhook-id': eventId, 'webhook-timestamp': ts, 'webhook-signature': signatures.join(' ') }
  return { url, body, headers }
}

type Filled = Pick<SignedRequest, 'url' | 'body'> & {
  /** Of `sig`, one for each key; none where it stands nowhere. */
  readonly digits: readonly string[]
}

const NO_DIGITS: readonly string[] = []

function fillMacros(request: RequestToSign, keys: readonly SigningKey[], ts: string): Filled {
  const { eventId, method } = request
  // By what is stored: the template of the endpoint may be another by now.
  const hasMacrosInBody = request.body !== undefined && hasLateMacro(request.body)
  const isSignedGet = method === 'GET' && keys.length > 0
  const template = isSignedGet ? withSignedQuery(request.url, eventId) : request.url
  // As most that are sent by POST.
  if (!hasMacrosInBody && !template.includes('{')) return { url: template, body: request.body, digits: NO_DIGITS }
  const url = template.replaceAll(TS, ts)
  const body = hasMacrosInBody ? request.body?.replaceAll(TS, ts) : request.body
  const emptied = hasMacrosInBody ? body?.replaceAll(SIG, '') : body
  const isInBody = body !== emptied
  if (keys.length === 0 && (isInBody || url.includes(SIG)))
    throw new TypeError('the message has a signature in it, and the endpoint has no secret any more')
  const isSigUsed = keys.length > 0 && (url.includes(SIG) || isInBody)
  const digits = isSigUsed
    ? sigDigits(keys, eventId, ts, url, method === 'GET' ? undefined : (emptied ?? ''))
    : NO_DIGITS
  const sig = digits.join(SIG_SEPARATOR)
  return { url: url.replaceAll(SIG, sig), body: isInBody ? body!.replaceAll(SIG, sig) : body, digits }
}

function sigDigits(
  keys: readonly SigningKey[],
  id: string,
  ts: string,
  url: string,
  body: string | undefined,
): string[] {
  const content = sigContent(id, ts, requestTarget(new URL(url.replaceAll(SIG, ''))), body)
  return keys.map((key) => hmacSha256(key, [content], 'hex'))
}

/** A request as a receiver sees it. */
export type ReceivedRequest = {
  readonly method: string
  /** Path and query exactly as they came. */
  readonly requestTarget: string
  /** Names in lower case, as node:http gives them. */
  readonly headers: Readonly<Record<string, string | readonly string[] | undefined>>
  readonly body: Buffer
}

export type VerificationFailure =
  'id_missing' | 'timestamp_missing' | 'timestamp_expired' | 'signature_missing' | 'signature_wrong'

/** `id` is the same in every attempt and replay: a receiver remembers it to take each message once. */
export type Verification =
  | { readonly kind: 'valid'; readonly id: string; readonly atSeconds: number }
  | { readonly kind: 'invalid'; readonly reason: VerificationFailure }

const invalid = (reason: VerificationFailure): Verification => ({ kind: 'invalid', reason })

/** Checks a received postback as docs/states/delivery.md tells receivers to do. Takes one secret or, during a rotation, several.
 * @param nowMs the receiver's clock; a signature more than five minutes off is refused
 * @throws {TypeError} a secret that is not of the form of parseSecret
 */
export function verifySignature(
  request: ReceivedRequest,
  secrets: string | readonly string[],
  nowMs: number,
): Verification {
  const query = new URLSearchParams(request.requestTarget.split('?').slice(1).join('?'))
  const given = (header: string, parameter: string): string => headerText(request, header) ?? query.get(parameter) ?? ''
  const id = given('webhook-id', 'event_id')
  const ts = given('webhook-timestamp', 'ts')
  if (id === '') return invalid('id_missing')
  if (!/^\d{1,12}$/.test(ts)) return invalid('timestamp_missing')
  if (Math.abs(nowMs / 1000 - Number(ts)) > TOLERANCE_SECONDS) return invalid('timestamp_expired')
  const claimed = claimOf(request, query, id, ts)
  if (claimed === undefined) return invalid('signature_missing')
  const isRight = keysOf(typeof secrets === 'string' ? [secrets] : secrets).some((key) => {
    const expected = hmacSha256(key, claimed.content, claimed.encoding)
    return claimed.signatures.some((one) => isEqual(one, expected))
  })
  return isRight ? { kind: 'valid', id, atSeconds: Number(ts) } : invalid('signature_wrong')
}

const headerText = (request: ReceivedRequest, name: string): string | undefined => {
  const value = request.headers[name]
  return typeof value === 'object' ? value[0] : value
}

function keysOf(secrets: readonly string[]): readonly SigningKey[] {
  return secrets.map((secret) => {
    const key = keyOf(secret)
    if (key === undefined) throw new TypeError('A signing secret is not of the form whsec_<base64 of 24 to 64 bytes>.')
    return key
  })
}

type Claim = {
  /** In parts. */
  readonly content: readonly (string | Buffer)[]
  readonly encoding: 'base64' | 'hex'
  readonly signatures: readonly string[]
}

/** What a request says that it is signed with, and over what: by its header, or where it has none by `sig` of its query.
 * @returns undefined: it is not signed in a way that belongs to its method
 */
function claimOf(request: ReceivedRequest, query: URLSearchParams, id: string, ts: string): Claim | undefined {
  const { method, requestTarget: target, body } = request
  const version = method === 'GET' ? 'get1,' : 'v1,'
  const listed = (headerText(request, 'webhook-signature') ?? '').split(' ')
  const inHeader = listed.filter((text) => text.startsWith(version)).map((text) => text.slice(version.length))
  if (inHeader.length > 0 && method !== 'GET')
    return {
      content: webhookContent(id, ts, body),
      encoding: 'base64',
      signatures: inHeader,
    }
  const sig = inHeader.length > 0 ? inHeader.join(SIG_SEPARATOR) : (query.get('sig') ?? '')
  if (sig === '') return undefined
  const without = (text: string): string => text.replaceAll(sig, '')
  const content = sigContent(id, ts, without(target), method === 'GET' ? undefined : without(body.toString('utf8')))
  return { content: [content], encoding: 'hex', signatures: sig.split(SIG_SEPARATOR) }
}

/** Compares in constant time: the time of an early exit would tell an attacker how much of a guess is right. */
function isEqual(given: string, expected: string): boolean {
  const [a, b] = [Buffer.from(given), Buffer.from(expected)]
  return a.length === b.length && timingSafeEqual(a, b)
}
