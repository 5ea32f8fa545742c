import type { PostbackEndpoint } from '#routing'
import { decideOutcome } from './decide-outcome.ts'
import { fillSecrets, hideSecrets } from './fill-secrets.ts'
import type { Claimed, Completion } from './queue.ts'
import { unsentExchange, type Exchange, type OutgoingRequest, type Sender } from './send-request.ts'
import { answerRulesOf, classifyAnswer } from './judge-answer.ts'
import type { AttemptError } from './reasons.ts'
import { signRequest } from './sign.ts'
import { signingSecrets } from './signing-secrets.ts'
import { openHeaders } from './stored-headers.ts'

const USER_AGENT = 'Waypost/1 (+postback)'
const ERROR_DETAIL_LENGTH_MAX = 500

/** Time and chance, passed in. */
export type Surroundings = {
  /** Milliseconds since the epoch; only for the signature's time and Retry-After dates. */
  readonly nowMs: () => number
  /** Uniform in [0, 1). */
  readonly random: () => number
}

/** The headers of a request but those that sign it.
 * @param own those of the endpoint
 */
export const fixedHeaders = (
  contentType: string | null,
  own: Readonly<Record<string, string>> | null | undefined,
): Readonly<Record<string, string>> => ({
  'user-agent': USER_AGENT,
  accept: '*/*',
  ...own,
  ...(contentType !== null && { 'content-type': contentType }),
})

/** The request of one try: the stored message with the present secrets, signed for this moment.
 * @throws {TypeError} the URL or a secret cannot be used
 * @throws {WaypostError} the headers are sealed with a key that is not here
 */
function composeRequest(delivery: Claimed, endpoint: PostbackEndpoint, nowMs: number): OutgoingRequest {
  const { eventId, method, contentType } = delivery
  const stored = {
    ...{ url: delivery.url, body: delivery.body ?? undefined, contentType },
    headers: openHeaders(delivery.headers),
  }
  // What is signed is what goes out.
  const { url, body, headers } = fillSecrets(stored, endpoint)
  const secrets = signingSecrets(endpoint, nowMs)
  const hasMacrosInBody = body !== undefined && /\{(?:sig|ts)\}/i.test(endpoint.body ?? '')
  const signed = signRequest({ eventId, method, url, body, hasMacrosInBody, secrets, nowMs })
  return {
    url: signed.url,
    method,
    headers: { ...fixedHeaders(contentType, headers), ...signed.headers },
    body: signed.body,
    timeoutMs: endpoint.timeout_ms,
    allowsPrivate: endpoint.allow_private_address,
    isBodyJudged: answerRulesOf(endpoint).acceptsBody !== undefined,
    allow: endpoint.postback_allow,
    viaProxy: endpoint.via_proxy,
    isOnce: endpoint.at_most_once,
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
    const request = composeRequest(delivery, endpoint, surroundings.nowMs())
    return hideSecrets(await sender.send(request), endpoint, delivery.headers === null ? null : request.headers)
  } catch (error) {
    return unsentExchange('request_invalid', error instanceof Error ? error.message : 'the request cannot be composed')
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
  // A failure of our own proxy uses up nothing, as a probe does: it is counted with them.
  const isOurFault = exchange.error === 'proxy_error' && !isProbe
  const outcome = decideOutcome({
    result: exchange.result,
    mustNotRepeat: endpoint.at_most_once === true && exchange.wasSent,
    attempts: delivery.attempts - delivery.probes + (isProbe || isOurFault ? 0 : 1),
    tries: delivery.attempts + 1,
    maxAttempts: endpoint.max_attempts,
    scheduleMs: endpoint.retry?.schedule_seconds.map((seconds) => seconds * 1_000),
    rules: answerRulesOf(endpoint),
    expiresInMs: delivery.createdAt.getTime() + endpoint.expires_hours * 3_600_000 - nowMs,
    nowMs,
    random: surroundings.random,
  })
  return {
    claimed: isOurFault ? { ...delivery, probes: delivery.probes + 1 } : delivery,
    tryNo,
    isMarked,
    isProbe,
    outcome: outcome.kind,
    giveUpReason: outcome.kind === 'gave_up' ? outcome.reason : undefined,
    delayMs: outcome.kind === 'retry' ? outcome.delayMs : undefined,
    status: exchange.status,
    error: errorOnRecord(exchange, endpoint),
    errorDetail: exchange.errorDetail?.replaceAll('\0', '').slice(0, ERROR_DETAIL_LENGTH_MAX),
    dnsMs: exchange.dnsMs,
    connectMs: exchange.connectMs,
    tlsMs: exchange.tlsMs,
    tlsVersion: exchange.tlsVersion,
    isReused: exchange.isReused,
    firstByteMs: exchange.firstByteMs,
    totalMs: exchange.totalMs,
    endedAt: performance.now(),
    remoteAddress: exchange.remoteAddress,
    responseHead: exchange.responseHead,
    responseHeaders: exchange.responseHeaders,
    responseBytes: exchange.responseBytes,
  }
}

/** What the sender saw, seen with the rules of the endpoint: a 200 may be a failure and a 404 a success. */
function errorOnRecord({ result, error }: Exchange, endpoint: PostbackEndpoint): AttemptError | undefined {
  if (result.kind === 'failed') return error
  const isSuccess = classifyAnswer(result, answerRulesOf(endpoint)) === 'success'
  if (isSuccess) return error === 'redirect' || error === 'http_error' ? undefined : error
  return error ?? 'answer_not_accepted'
}
