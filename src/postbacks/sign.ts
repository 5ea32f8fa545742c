import { createHmac, timingSafeEqual, createSecretKey, type KeyObject } from 'node:crypto'

/** Signatures of outbound postbacks.
 *
 * POST: Standard Webhooks. `webhook-signature: v1,<base64 HMAC-SHA256 of "<id>.<timestamp>.<body>">`.
 * GET has no body to sign: `sig` in the query is the hex HMAC-SHA256 of `<id>.<ts>.GET <request target without the
 * signature's digits>`; the same digits stand in `webhook-signature: get1,<hex>`. `event_id` and `ts` stand in the query too,
 * because many receivers cannot read headers.
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
const keys = new Map<string, KeyObject>()
const KEYS_MAX = 10_000

/** Parsed once, not for each message. */
function keyOf(secret: string): KeyObject | undefined {
  const known = keys.get(secret)
  if (known !== undefined) return known
  const bytes = parseSecret(secret)
  if (bytes === undefined) return undefined
  if (keys.size >= KEYS_MAX) keys.clear()
  const key = createSecretKey(bytes)
  keys.set(secret, key)
  return key
}

const hmac = (key: Buffer | KeyObject, content: string | Buffer, encoding: 'base64' | 'hex'): string =>
  createHmac('sha256', key).update(content).digest(encoding)

const getContent = (id: string, ts: string, target: string): string => `${id}.${ts}.GET ${target}`
const postContent = (id: string, ts: string, body: Buffer): Buffer => Buffer.concat([Buffer.from(`${id}.${ts}.`), body])

export type RequestToSign = {
  readonly eventId: string
  readonly method: 'GET' | 'POST'
  /** Filled, `{sig}` and `{ts}` still in it. */
  readonly url: string
  readonly body: string | undefined
  /** `whsec_…`; undefined: unsigned. */
  readonly secret: string | undefined
  readonly nowMs: number
}

/** What finally goes out. The URL was parsed once; nothing parses it again. */
export type SignedRequest = { readonly url: URL; readonly headers: Readonly<Record<string, string>> }

const SIG = '{sig}'
const requestTarget = (url: URL): string => url.pathname + url.search

/** Adds what a template does not place itself: event_id, ts and, last, sig. */
function withSignedQuery(url: string, eventId: string): string {
  if (url.includes(SIG)) return url
  const joint = url.includes('?') ? (/[?&]$/.test(url) ? '' : '&') : '?'
  const ts = url.includes('{ts}') ? '' : 'ts={ts}&'
  return `${url}${joint}event_id=${eventId}&${ts}sig=${SIG}`
}

/** Fills time and signature of one attempt.
 * @throws {TypeError} the URL cannot be parsed or the secret has not the form of parseSecret; both are refused when the
 * configuration is applied
 */
export function signRequest(request: RequestToSign): SignedRequest {
  const { eventId, method, secret } = request
  const ts = String(Math.floor(request.nowMs / 1000))
  const headers = { 'webhook-id': eventId, 'webhook-timestamp': ts }
  const fillTs = (url: string): string => url.replaceAll('{ts}', ts)
  if (secret === undefined) return { url: new URL(fillTs(request.url).replaceAll(SIG, '')), headers }
  const key = keyOf(secret)
  if (key === undefined) throw new TypeError('The signing secret is not of the form whsec_<base64 of 24 to 64 bytes>.')
  if (method === 'POST') {
    const signature = hmac(key, postContent(eventId, ts, Buffer.from(request.body ?? '')), 'base64')
    return { url: new URL(fillTs(request.url)), headers: { ...headers, 'webhook-signature': `v1,${signature}` } }
  }
  const unsigned = fillTs(withSignedQuery(request.url, eventId))
  const target = requestTarget(new URL(unsigned.replaceAll(SIG, '')))
  const signature = hmac(key, getContent(eventId, ts, target), 'hex')
  return {
    url: new URL(unsigned.replaceAll(SIG, signature)),
    headers: { ...headers, 'webhook-signature': `get1,${signature}` },
  }
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
  const signatures = signaturesOf(request, query)
  if (signatures.length === 0) return invalid('signature_missing')
  const isRight = keysOf(secrets).some((key) => signatures.some((text) => isSignature(request, key, id, ts, text)))
  return isRight ? { kind: 'valid', id, atSeconds: Number(ts) } : invalid('signature_wrong')
}

const headerText = (request: ReceivedRequest, name: string): string | undefined => {
  const value = request.headers[name]
  return typeof value === 'object' ? value[0] : value
}

function keysOf(secrets: string | readonly string[]): readonly Buffer[] {
  return (typeof secrets === 'string' ? [secrets] : secrets).map((secret) => {
    const key = parseSecret(secret)
    if (key === undefined) throw new TypeError('A secret is not of the form whsec_<base64 of 24 to 64 bytes>.')
    return key
  })
}

/** Signatures of the version that belongs to the method, without their prefix. */
function signaturesOf(request: ReceivedRequest, query: URLSearchParams): readonly string[] {
  const version = request.method === 'GET' ? 'get1,' : 'v1,'
  const listed = (headerText(request, 'webhook-signature') ?? '').split(' ')
  const found = listed.filter((text) => text.startsWith(version)).map((text) => text.slice(version.length))
  const inQuery = request.method === 'GET' ? (query.get('sig') ?? '') : ''
  return found.length === 0 && inQuery !== '' ? [inQuery] : found
}

function isSignature(request: ReceivedRequest, key: Buffer, id: string, ts: string, signature: string): boolean {
  const expected =
    request.method === 'GET'
      ? hmac(key, getContent(id, ts, request.requestTarget.replaceAll(signature, '')), 'hex')
      : hmac(key, postContent(id, ts, request.body), 'base64')
  return isEqual(signature, expected)
}

/** Compares in constant time: the time of an early exit would tell an attacker how much of a guess is right. */
function isEqual(given: string, expected: string): boolean {
  const [a, b] = [Buffer.from(given), Buffer.from(expected)]
  return a.length === b.length && timingSafeEqual(a, b)
}
