import type { AttemptError, GiveUpReason } from './reasons.ts'

/** What came of one HTTP try, as the sender saw it. */
export type AttemptResult =
  | {
      readonly kind: 'answered'
      readonly status: number
      /** As received; undefined: none. */
      readonly retryAfter: string | undefined
    }
  | { readonly kind: 'failed'; readonly error: AttemptError }

/** What happens next. A delay rather than an instant: the queue's time is that of PostgreSQL, whatever this machine's clock. */
export type Outcome =
  | { readonly kind: 'delivered' }
  | { readonly kind: 'retry'; readonly delayMs: number }
  | { readonly kind: 'gave_up'; readonly reason: GiveUpReason }

const SECOND = 1_000
const MINUTE = 60 * SECOND
const HOUR = 60 * MINUTE

/** Delays after the first, second, … attempt: twelve attempts in 70 h 42 min 35 s. The first steps are short because most
 * failures are restarts; three days are what partners know from Stripe and Standard Webhooks.
 */
export const LADDER_MS: readonly number[] = [
  ...[5 * SECOND, 30 * SECOND, 2 * MINUTE, 10 * MINUTE, 30 * MINUTE],
  ...[1 * HOUR, 3 * HOUR, 6 * HOUR, 12 * HOUR, 24 * HOUR, 24 * HOUR],
]
/** Where the request itself is wrong, waiting for days helps nobody: three attempts in an hour cover a receiver's deployment. */
export const SHORT_LADDER_MS: readonly number[] = [5 * MINUTE, 55 * MINUTE]
/** Attempts are spread by ±20 %, so that receivers that failed together are not called together. */
const JITTER = 0.2
/** A receiver that says it is overloaded gets at least this long. */
const OVERLOAD_DELAY_MS_MIN = MINUTE
/** A Retry-After may prolong a step to twice its length, or to an hour if that is longer; more would be an abuse or a mistake. */
const RETRY_AFTER_MS_MAX = HOUR

/** While our own proxy is away: 5 s, 30 s, 2 min, then every 10 min. */
const PROXY_STEPS = 4

const RETRIED_CLIENT_ERRORS: ReadonlySet<number> = new Set([408, 409, 425, 429])
const GONE = 410

export type Decision = {
  readonly result: AttemptResult
  /** Attempts that count, this one included; integer ≥ 0. A failed probe is none: it only asked whether the receiver is back. */
  readonly attempts: number
  /** All tries, those that used up nothing too: how long to wait while our own proxy is away. Left out: as `attempts`. */
  readonly tries?: number
  /** Of the endpoint; the ladder's last step repeats where it is longer. */
  readonly maxAttempts: number
  /** Milliseconds until the delivery is worth nothing any more; undefined: it never is. */
  readonly expiresInMs: number | undefined
  readonly nowMs: number
  /** Uniform in [0, 1). */
  readonly random: () => number
}

/** Decides how an attempt ends. The only place that does.
 *
 * 2xx: delivered. 410: gave up. 408, 409, 425, 429, 5xx and failures of the network: the ladder of three days. Other 4xx, 3xx
 * and a refused destination or request: the short ladder. An attempt that we broke off ourselves is repeated at once and never the
 * last; one that our own proxy broke waits and is not counted.
 * @see docs/states/delivery.md
 */
export function decideOutcome(decision: Decision): Outcome {
  const { result } = decision
  if (result.kind === 'failed') {
    if (result.error === 'interrupted') return { kind: 'retry', delayMs: 0 }
    if (result.error === 'proxy_error') return waitForProxy(decision)
    if (result.error === 'request_invalid') return climb(decision, SHORT_LADDER_MS, 'request_invalid')
    if (result.error === 'destination_refused') return climb(decision, SHORT_LADDER_MS, 'destination_refused')
    return climb(decision, LADDER_MS, 'attempts_exhausted')
  }
  const { status } = result
  if (status >= 200 && status < 300) return { kind: 'delivered' }
  if (status === GONE) return { kind: 'gave_up', reason: 'gone' }
  if (status >= 500 || RETRIED_CLIENT_ERRORS.has(status)) return climb(decision, LADDER_MS, 'attempts_exhausted')
  return climb(decision, SHORT_LADDER_MS, 'refused_by_receiver')
}

/** However long our proxy is away, nothing is given up for it but what has expired. */
function waitForProxy(decision: Decision): Outcome {
  const step = Math.min(Math.max(1, decision.tries ?? decision.attempts), PROXY_STEPS) - 1
  return retryAfter(LADDER_MS[step]!, decision)
}

function climb(decision: Decision, ladder: readonly number[], reason: GiveUpReason): Outcome {
  const { attempts, maxAttempts } = decision
  const isShort = ladder === SHORT_LADDER_MS
  if (isShort && attempts > ladder.length) return { kind: 'gave_up', reason }
  if (attempts >= maxAttempts) return { kind: 'gave_up', reason: 'attempts_exhausted' }
  const stepMs = ladder[Math.max(0, Math.min(attempts, ladder.length) - 1)]!
  return retryAfter(stepMs, decision)
}

function retryAfter(stepMs: number, decision: Decision): Outcome {
  const delayMs = delayAfter(stepMs, decision)
  return delayMs > (decision.expiresInMs ?? Infinity)
    ? { kind: 'gave_up', reason: 'expired' }
    : { kind: 'retry', delayMs }
}

/** step × U(0.8, 1.2), not sooner than the receiver asked for. */
function delayAfter(stepMs: number, { result, nowMs, random }: Decision): number {
  const jittered = Math.round(stepMs * (1 - JITTER + 2 * JITTER * random()))
  if (result.kind === 'failed') return jittered
  const askedMs = parseRetryAfter(result.retryAfter, nowMs) ?? 0
  const isOverloaded = result.status === 429 || result.status === 503
  const wantedMs = Math.max(askedMs, isOverloaded ? OVERLOAD_DELAY_MS_MIN : 0)
  // Not below the step: a receiver that always says "in a second" would use up three days of attempts in a minute.
  return Math.max(jittered, Math.min(wantedMs, Math.max(2 * stepMs, RETRY_AFTER_MS_MAX)))
}

const HTTP_DATE = /^[A-Za-z]{3,9},? [0-9A-Za-z :-]+ GMT$/

/** Milliseconds from now that a Retry-After header asks for: seconds or an HTTP date.
 * @returns undefined for none and for anything else; a date that has passed asks for 0
 * @see RFC 9110 §10.2.3
 */
export function parseRetryAfter(header: string | undefined, nowMs: number): number | undefined {
  const text = header?.trim() ?? ''
  if (/^\d{1,10}$/.test(text)) return Number(text) * SECOND
  if (!HTTP_DATE.test(text)) return undefined
  const at = Date.parse(text)
  return Number.isNaN(at) ? undefined : Math.max(0, at - nowMs)
}
