import { classifyAnswer, compileAnswerRules, type Answer, type AnswerClass, type AnswerRules } from './judge-answer.ts'
import type { AttemptError, GiveUpReason } from '../reasons.ts'
import { parseRetryAfter } from './retry-after.ts'

/** What came of one HTTP try, as the sender saw it. */
export type AttemptResult =
  | (Answer & {
      readonly kind: 'answered'
      /** As received, one text for each line; undefined: none. */
      readonly retryAfter: string | readonly string[] | undefined
    })
  | { readonly kind: 'failed'; readonly error: AttemptError }

/** What happens next. A delay rather than an instant: the queue's time is that of PostgreSQL, whatever this machine's clock. */
export type Outcome =
  | { readonly kind: 'delivered' }
  | { readonly kind: 'retry'; readonly delayMs: number }
  | { readonly kind: 'gave_up'; readonly reason: GiveUpReason }

export const DELIVERED: Outcome = { kind: 'delivered' }

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
/** So long before a delivery expires its last try is made, where the receiver asks for more time than it has. */
const LAST_TRY_MS = 30 * SECOND

/** Any 2xx is a success. */
const USUAL_RULES = compileAnswerRules({})
/** While our own proxy is away: 5 s, 30 s, 2 min, then every 10 min. */
const PROXY_STEPS = 4

export type Decision = {
  readonly result: AttemptResult
  /** What the answer is by the rules, where that is known already. */
  readonly answer?: AnswerClass | undefined
  /** It may arrive once at most and may have arrived: without an answer that can be judged nothing is tried again. */
  readonly mustNotRepeat?: boolean
  /** Attempts that count, this one included; integer ≥ 0. A failed probe is none: it only asked whether the receiver is back. */
  readonly attempts: number
  /** All tries, those that used up nothing too: how long to wait while our own proxy is away. Left out: as `attempts`. */
  readonly tries?: number
  /** Of the endpoint; the ladder's last step repeats where it is longer. */
  readonly maxAttempts: number
  /** Of the endpoint, instead of LADDER_MS. */
  readonly scheduleMs?: readonly number[] | undefined
  /** Of the endpoint; left out: any 2xx is a success. */
  readonly rules?: AnswerRules | undefined
  /** Milliseconds until the delivery is worth nothing any more; undefined: it never is. */
  readonly expiresInMs: number | undefined
  readonly nowMs: number
  /** Uniform in [0, 1). */
  readonly random: () => number
}

/** Decides how an attempt ends. The only place that does.
 *
 * A success by the rules of the endpoint, 2xx unless it says otherwise: delivered. 410, `webhook-delivery: abort-message` and what
 * the endpoint calls final: gave up. 408, 409, 425, 429, 5xx, failures of the network and bodies that are not accepted: the
 * ladder of three days or that of the endpoint. Other 4xx, 3xx and a refused destination or request: the short ladder. An
 * attempt that we broke off ourselves is repeated at once and never the last; one that our own proxy broke waits and is not
 * counted. What may arrive once at most, may have arrived and was not answered: gave up.
 * @see docs/states/delivery.md
 */
export function decideOutcome(decision: Decision): Outcome {
  const { result, rules = USUAL_RULES, scheduleMs = LADDER_MS } = decision
  const { mustNotRepeat = false } = decision
  if (result.kind === 'failed') {
    if (mustNotRepeat) return { kind: 'gave_up', reason: 'outcome_unknown' }
    if (result.error === 'interrupted') return { kind: 'retry', delayMs: 0 }
    if (result.error === 'proxy_error') return waitForProxy(decision)
    if (result.error === 'request_invalid') return climb(decision, SHORT_LADDER_MS, 'request_invalid')
    if (result.error === 'destination_refused') return climb(decision, SHORT_LADDER_MS, 'destination_refused')
    return climb(decision, scheduleMs, 'attempts_exhausted')
  }
  const answer = decision.answer ?? classifyAnswer(result, rules)
  switch (answer) {
    case 'success':
      return DELIVERED
    case 'retry':
      if (mustNotRepeat && isGoodInPart(result, rules)) return { kind: 'gave_up', reason: 'outcome_unknown' }
      return climb(decision, scheduleMs, 'attempts_exhausted')
    case 'retry_briefly':
      return climb(decision, SHORT_LADDER_MS, 'refused_by_receiver')
    case 'gone':
      return { kind: 'gave_up', reason: 'gone' }
    case 'aborted':
      return { kind: 'gave_up', reason: 'aborted_by_receiver' }
    case 'final':
      return { kind: 'gave_up', reason: 'answer_final' }
    default:
      return answer satisfies never
  }
}

/** A good status whose words, which decide, broke off: the receiver may have taken it. */
const isGoodInPart = ({ status, isBodyWhole }: Answer, { isSuccessStatus }: AnswerRules): boolean =>
  isBodyWhole === false && isSuccessStatus(status)

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
  const expiresInMs = decision.expiresInMs ?? Infinity
  const ownMs = jittered(stepMs, decision)
  if (ownMs > expiresInMs) return { kind: 'gave_up', reason: 'expired' }
  // A receiver that asks for more time than there is left is asked once more before it is over.
  const delayMs = Math.min(delayAfter(stepMs, ownMs, decision), Math.max(ownMs, expiresInMs - LAST_TRY_MS))
  return { kind: 'retry', delayMs }
}

const jittered = (stepMs: number, { random }: Decision): number =>
  Math.round(stepMs * (1 - JITTER + 2 * JITTER * random()))

/** step × U(0.8, 1.2), not sooner than the receiver asked for. */
function delayAfter(stepMs: number, ownMs: number, { result, nowMs }: Decision): number {
  if (result.kind === 'failed') return ownMs
  const askedMs = parseRetryAfter(result.retryAfter, nowMs) ?? 0
  const isOverloaded = result.status === 429 || result.status === 503
  const wantedMs = Math.max(askedMs, isOverloaded ? OVERLOAD_DELAY_MS_MIN : 0)
  // Not below the step: a receiver that always says "in a second" would use up three days of attempts in a minute.
  return Math.max(ownMs, Math.min(wantedMs, Math.max(2 * stepMs, RETRY_AFTER_MS_MAX)))
}
