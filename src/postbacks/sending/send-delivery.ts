import type { PostbackEndpoint } from '#routing'
import { decideOutcome, DELIVERED, type Outcome } from './decide-outcome.ts'
import { fillSecrets, hiderOf } from './fill-secrets.ts'
import type { Claimed, Completion } from '../queue/queue.ts'
import { unsentExchange, type Exchange, type OutgoingRequest, type Sender } from './send-request.ts'
import { answerRulesOf, classifyAnswer, type AnswerClass } from './judge-answer.ts'
import type { AttemptError } from '../reasons.ts'
import { mustNotRepeat } from '../scheduler/promises.ts'
import { signRequest, type SigningHeaders } from './sign.ts'
import { signingSecrets } from './signing-secrets.ts'
import { targetOf } from './target.ts'
import { openHeaders } from '../messages/stored-headers.ts'

const USER_AGENT = 'Waypost/1 (+postback)'
const ACCEPT = '*/*'
const ACCEPT_ENCODING = 'identity'
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
  accept: ACCEPT,
  'accept-encoding': ACCEPT_ENCODING,
  ...own,
  ...(contentType !== null && { 'content-type': contentType }),
})

/** The request of one try: the stored message with the present secrets, signed for this moment.
 * @throws {TypeError} the URL or a secret cannot be used
 * @throws {WaypostError} the headers are sealed with a key that is not here
 */
function composeRequest(delivery: Claimed, endpoint: PostbackEndpoint, nowMs: number): OutgoingRequest {
  const { eventId, method, contentType } = delivery
  const own = openHeaders(delivery.headers)
  const stored = { url: delivery.url, body: delivery.body ?? undefined, contentType, headers: own }
  // What is signed is what goes out.
  const { url, body, headers } = fillSecrets(stored, endpoint)
  const secrets = signingSecrets(endpoint, nowMs)
  const signed = signRequest({ eventId, method, url, body, secrets, nowMs })
  return {
    target: targetOf(endpoint, signed.url),
    method,
    headers: allHeaders(contentType, headers, signed.headers),
    body: signed.body,
    timeoutMs: endpoint.timeout_ms,
    allowsPrivate: endpoint.allow_private_address,
    isBodyJudged: answerRulesOf(endpoint).acceptsBody !== undefined,
    allow: endpoint.postback_allow,
    viaProxy: endpoint.via_proxy,
    isOnce: endpoint.at_most_once,
  }
}

/** fixedHeaders and what signs. Those of most requests are written out, which takes a quarter of the time of copying them together. */
function allHeaders(
  contentType: string | null,
  own: Readonly<Record<string, string>> | null,
  signing: SigningHeaders,
): Readonly<Record<string, string>> {
  const { 'webhook-id': id, 'webhook-timestamp': ts, 'webhook-signature': signature } = signing
  if (own !== null || contentType === null || signature === undefined)
    return { ...fixedHeaders(contentType, own), ...signing }
  return {
    'user-agent': USER_AGENT,
    accept: ACCEPT,
    'accept-encoding': ACCEPT_ENCODING,
    'content-type': contentType,
    'webhook-id': id,
    'webhook-timestamp': ts,
    'webhook-signature': signature,
  }
}

/** Makes one try. Never rejects: a message that cannot be composed is a try that failed.
 * @returns what was seen, to be judged once and recorded
 */
export function sendDelivery(
  sender: Sender,
  delivery: Claimed,
  endpoint: PostbackEndpoint,
  surroundings: Surroundings,
): Promise<Exchange> {
  try {
    const request = composeRequest(delivery, endpoint, surroundings.nowMs())
    const hide = hiderOf(endpoint, delivery.headers === null ? null : request.headers)
    const sent = sender.send(request)
    return hide === undefined ? sent : sent.then(hide)
  } catch (error) {
    const detail = error instanceof Error ? error.message : 'the request cannot be composed'
    return Promise.resolve(unsentExchange('request_invalid', detail))
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
  readonly batch?: Completion['batch']
}

/** Of an answer to many messages the others than the first keep so much. */
const OTHERS_HEAD_BYTES = 128

/** Judges a request of many messages: one answer, and an outcome for each of them. Those that are put off come due together.
 * @param deliveries at least one
 * @param nextTryNo gives the number of a try
 */
export function judgeTogether(
  deliveries: readonly Claimed[],
  seen: Omit<Try, 'delivery' | 'tryNo'>,
  nextTryNo: () => number,
): readonly Completion[] {
  const chance = seen.surroundings.random()
  const surroundings = { ...seen.surroundings, random: () => chance }
  const { exchange } = seen
  const others = { ...exchange, responseHead: exchange.responseHead.subarray(0, OTHERS_HEAD_BYTES) }
  const answer = answerOf(exchange, seen.endpoint)
  return deliveries.map((delivery, index) =>
    judgeTry(
      { ...seen, surroundings, delivery, exchange: index === 0 ? exchange : others, tryNo: nextTryNo() },
      answer,
    ),
  )
}

const answerOf = ({ result }: Exchange, endpoint: PostbackEndpoint): AnswerClass | undefined =>
  result.kind === 'answered' ? classifyAnswer(result, answerRulesOf(endpoint)) : undefined

/** Judges a try and says what is to be recorded.
 * @param answer what the answer is by the rules of the endpoint, where many share it
 */
export function judgeTry(
  { delivery, endpoint, exchange, surroundings, isProbe, isMarked, tryNo, batch }: Try,
  answer = answerOf(exchange, endpoint),
): Completion {
  // A failure of our own proxy uses up nothing, as a probe does: it is counted with them.
  const isOurFault = exchange.error === 'proxy_error' && !isProbe
  const countsNot = isProbe || isOurFault
  // A success needs none of what a failure is judged by.
  const outcome =
    answer === 'success' ? DELIVERED : outcomeOf({ delivery, endpoint, exchange, surroundings }, answer, countsNot)
  return {
    claimed: isOurFault ? { ...delivery, probes: delivery.probes + 1 } : delivery,
    tryNo,
    isMarked,
    isProbe,
    batch,
    outcome: outcome.kind,
    giveUpReason: outcome.kind === 'gave_up' ? outcome.reason : undefined,
    delayMs: outcome.kind === 'retry' ? outcome.delayMs : undefined,
    status: exchange.status,
    error: errorOnRecord(exchange, answer),
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

/** @param countsNot the try uses up no attempt where it failed */
function outcomeOf(
  { delivery, endpoint, exchange, surroundings }: Pick<Try, 'delivery' | 'endpoint' | 'exchange' | 'surroundings'>,
  answer: AnswerClass | undefined,
  countsNot: boolean,
): Outcome {
  const nowMs = surroundings.nowMs()
  return decideOutcome({
    result: exchange.result,
    answer,
    mustNotRepeat: mustNotRepeat(endpoint, exchange),
    attempts: delivery.attempts - delivery.probes + (countsNot ? 0 : 1),
    tries: delivery.attempts + 1,
    maxAttempts: endpoint.max_attempts,
    scheduleMs: endpoint.retry?.schedule_seconds.map((seconds) => seconds * 1_000),
    rules: answerRulesOf(endpoint),
    expiresInMs: delivery.createdAt.getTime() + endpoint.expires_hours * 3_600_000 - nowMs,
    nowMs,
    random: surroundings.random,
  })
}

/** What the sender saw, seen with the rules of the endpoint: a 200 may be a failure and a 404 a success. */
function errorOnRecord({ error }: Exchange, answer: AnswerClass | undefined): AttemptError | undefined {
  if (answer === undefined) return error
  if (answer === 'success') return error === 'redirect' || error === 'http_error' ? undefined : error
  return error ?? 'answer_not_accepted'
}
