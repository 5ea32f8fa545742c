import { createHash, createHmac, timingSafeEqual } from 'node:crypto'

/** The signature of an inbound postback:
 *
 *   sig = hex( HMAC-SHA256( secret, `<ts>.<query>.<body>` ) )
 *
 * - `ts`: seconds since the epoch, at most five minutes from our clock.
 * - `query`: the query string exactly as it is sent, without `?` and without the parameter `sig` (with the `&` before it).
 * - `body`: the body exactly as it is sent, empty for GET.
 *
 * `ts` and `sig` are query parameters, or the headers `X-Waypost-Timestamp` and `X-Waypost-Signature`.
 * `sha256=` before the digits is allowed.
 */
export type Signed = {
  readonly timestamp: string
  /** 64 hex digits, lower case. */
  readonly signature: string
  readonly query: string
  readonly body: string
}

const SIGNATURE = /^(?:sha256=)?([0-9a-f]{64})$/i
const WINDOW_MS = 300_000
const TIMESTAMP = /^\d{9,13}$/

/** The digits of a signature, lower case. @returns undefined when it is none */
export const parseSignature = (text: string): string | undefined => SIGNATURE.exec(text.trim())?.[1]?.toLowerCase()

/** Milliseconds of a timestamp in seconds or milliseconds. @returns undefined when it is none */
export function parseTimestamp(text: string | undefined): number | undefined {
  if (text === undefined || !TIMESTAMP.test(text)) return undefined
  return text.length > 10 ? Number(text) : Number(text) * 1000
}

/** Whether a signature of this time may still be used. */
export const isTimely = (timestampMs: number, nowMs: number): boolean => Math.abs(nowMs - timestampMs) <= WINDOW_MS

/** The query as it was signed: without the pair `sig=…`. */
export const querySigned = (query: string): string =>
  query
    .split('&')
    .filter((pair) => !pair.startsWith('sig='))
    .join('&')

/** The 64 hex digits for a message. */
export const signPostback = (secret: string, { timestamp, query, body }: Omit<Signed, 'signature'>): string =>
  createHmac('sha256', secret).update(`${timestamp}.${query}.${body}`).digest('hex')

/** Whether a secret made the signature; takes the same time whatever differs. */
export const isSignedBy = (secret: string, signed: Signed): boolean =>
  timingSafeEqual(Buffer.from(signPostback(secret, signed)), Buffer.from(signed.signature))

/** What claims a signature against replays: SHA-256 of its digits, hex. */
export const digestSignature = (signature: string): string => createHash('sha256').update(signature).digest('hex')

/** Signatures seen within the window: those of this edge process, all its threads together; the pipeline claims them for
 * every edge.
 */
export type SignatureMemory = {
  /** @returns false when it was seen before */
  readonly remember: (digest: string, nowMs: number) => boolean | Promise<boolean>
  /** Takes it back: the postback could not be recorded, its sender will come again with it. */
  readonly forget: (digest: string) => void
}

/** The memory itself, in the thread that keeps it for all. */
export type OwnSignatureMemory = Pick<SignatureMemory, 'forget'> & {
  readonly remember: (digest: string, nowMs: number) => boolean
}

/** @param max digests in each of two generations; when one is full before its time the older one is dropped early and
 * only the pipeline's claims hold
 */
export function createSignatureMemory(max = 100_000): OwnSignatureMemory {
  let young = new Set<string>()
  let old = new Set<string>()
  let turnedAtMs = 0
  return {
    remember(digest, nowMs) {
      // A signature is of use for five minutes before and after its timestamp: ten in all.
      if (nowMs - turnedAtMs > 2 * WINDOW_MS || young.size >= max) {
        old = young
        young = new Set()
        turnedAtMs = nowMs
      }
      if (young.has(digest) || old.has(digest)) return false
      young.add(digest)
      return true
    },
    forget(digest) {
      young.delete(digest)
      old.delete(digest)
    },
  }
}
