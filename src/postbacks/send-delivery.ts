import type { PostbackEndpoint } from '#routing'
import { decideOutcome } from './decide-outcome.ts'
import type { Claimed, Completion } from './queue.ts'
import { refusedExchange, type Exchange, type OutgoingRequest, type Sender } from './send-request.ts'
import { signRequest } from './sign.ts'

const USER_AGENT = 'Waypost/1 (+postback)'
const ERROR_DETAIL_LENGTH_MAX = 500

/** Time and chance, passed in. */
export type Surroundings = {
  /** Milliseconds since the epoch; only for the signature's time and Retry-After dates. */
  readonly nowMs: () => number
  /** Uniform in [0, 1). */
  readonly random: () => number
}

/** Headers that every request has, whatever it says. */
export const fixedHeaders = (contentType: string | null): Readonly<Record<string, string>> => ({
  'user-agent': USER_AGENT,
  accept: '*/*',
  ...(contentType !== null && { 'content-type': contentType }),
})

/** The request of one try: the stored message, signed for this moment.
 * @throws {TypeError} the URL or the secret cannot be used
 */
function composeRequest(delivery: Claimed, endpoint: PostbackEndpoint, nowMs: number): OutgoingRequest {
  const { eventId, method, url } = delivery
  const body = delivery.body ?? undefined
  const signed = signRequest({ eventId, method, url, body, secret: endpoint.secret, nowMs })
  return {
    url: signed.url,
    method,
    headers: { ...fixedHeaders(delivery.contentType), ...signed.headers },
    body,
    timeoutMs: endpoint.timeout_ms,
    allowsPrivate: endpoint.allow_private_address,
  }
}

/** Makes one try. Never rejects: a message that cannot be composed is a try that failed.
 * @returns what was seen, to be judged once and recorded
 */
export async function sendDelivery(
  sender: Sender,
  delivery: Claimed,
  endpoint: PostbackEndpoint,
  surroundings: Surroundings,
): Promise<Exchange> {
  try {
    return await sender.send(composeRequest(delivery, endpoint, surroundings.nowMs()))
  } catch (error) {
    return refusedExchange(error instanceof Error ? error.message : 'the request cannot be composed')
  }
}

/** A try that was made. */
export type Try = {
  readonly delivery: Claimed
  readonly endpoint: PostbackEndpoint
  readonly exchange: Exchange
  readonly surroundings: Surroundings
  /** It asked whether the receiver is back; where it failed it does not count. */
  readonly isProbe: boolean
  readonly isMarked: boolean
  /** Counts the tries of the worker. */
  readonly tryNo: number
}

/** Judges a try and says what is to be recorded. */
export function judgeTry({ delivery, endpoint, exchange, surroundings, isProbe, isMarked, tryNo }: Try): Completion {
  const nowMs = surroundings.nowMs()
  const outcome = decideOutcome({
    result: exchange.result,
    attempts: delivery.attempts - delivery.probes + (isProbe ? 0 : 1),
    maxAttempts: endpoint.max_attempts,
    expiresInMs: delivery.createdAt.getTime() + endpoint.expires_hours * 3_600_000 - nowMs,
    nowMs,
    random: surroundings.random,
  })
  return {
    claimed: delivery,
    tryNo,
    isMarked,
    isProbe,
    outcome: outcome.kind,
    giveUpReason: outcome.kind === 'gave_up' ? outcome.reason : undefined,
    delayMs: outcome.kind === 'retry' ? outcome.delayMs : undefined,
    status: exchange.status,
    error: exchange.error,
    errorDetail: exchange.errorDetail?.replaceAll('\0', '').slice(0, ERROR_DETAIL_LENGTH_MAX),
    firstByteMs: exchange.firstByteMs,
    totalMs: exchange.totalMs,
    endedAt: performance.now(),
    remoteAddress: exchange.remoteAddress,
    responseHead: exchange.responseHead,
    responseBytes: exchange.responseBytes,
  }
}
