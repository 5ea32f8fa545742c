/** Whether an endpoint, or a host, is worth calling. Pure: each call gives the next state. Times are milliseconds on a clock that
 * only goes forward.
 *
 *   closed ──many failures──▶ open ──time──▶ probing ──3 answers──▶ closed (slow start)
 *                              ▲                │
 *                              └────a failure───┘  (waits twice as long)
 */
export type Breaker =
  | {
      readonly kind: 'closed'
      readonly window: Window
      /** Tries that timed out one after the other. */
      readonly timeouts: number
      /** Deliveries under way at most, grows with each answer; undefined: as many as the endpoint may have. */
      readonly slowStart: number | undefined
    }
  | {
      readonly kind: 'open'
      /** Times that it opened without closing in between. */
      readonly opens: number
      readonly probeAt: number
    }
  | { readonly kind: 'probing'; readonly opens: number; readonly answers: number; readonly isUnderWay: boolean }

/** Tries of the last minute, in slices of ten seconds. Every try makes a new window, so that the slices that are over, and their
 * sums, are shared by all of the present slice.
 */
type Window = {
  /** Of the present slice. */
  readonly startedAt: number
  readonly tries: number
  readonly failures: number
  readonly over: Over
}
type Slice = { readonly tries: number; readonly failures: number }
/** The latest last. */
type Over = Slice & { readonly slices: readonly Slice[] }

/** What a try says of its receiver. What our own network or proxy did wrong says nothing and is not told. */
export type Sign = 'answered' | 'failed' | 'timed_out'

const SLICE_MS = 10_000
const SLICES = 6
/** Below this a few failures prove nothing. */
const TRIES_MIN = 10
const FAILURE_SHARE = 0.7
/** A receiver that lets everybody wait costs more than one that refuses. */
const TIMEOUTS_MAX = 5
const PROBE_MS_MIN = 5_000
const PROBE_MS_MAX = 600_000
/** Probes of endpoints that failed together must not come together. */
const PROBE_JITTER = 0.2
const ANSWERS_TO_CLOSE = 3

const NOTHING_OVER: Over = { tries: 0, failures: 0, slices: [] }
const emptyWindow = (now: number): Window => ({ startedAt: now, tries: 0, failures: 0, over: NOTHING_OVER })

export const closedBreaker = (now: number): Breaker => ({
  kind: 'closed',
  window: emptyWindow(now),
  timeouts: 0,
  slowStart: undefined,
})

/** How many deliveries may be under way.
 * @param max what the endpoint may have at best
 */
export function allowedBy(breaker: Breaker, now: number, max: number): number {
  switch (breaker.kind) {
    case 'closed':
      return Math.min(breaker.slowStart ?? max, max)
    case 'open':
      return now >= breaker.probeAt ? 1 : 0
    case 'probing':
      return breaker.isUnderWay ? 0 : 1
    default:
      return breaker satisfies never
  }
}

/** When a delivery is on its way: the first one after the wait is the probe. */
export function noteStart(breaker: Breaker, now: number): Breaker {
  if (breaker.kind === 'open' && now >= breaker.probeAt)
    return { kind: 'probing', opens: breaker.opens, answers: 0, isUnderWay: true }
  return breaker.kind === 'probing' ? { ...breaker, isUnderWay: true } : breaker
}

/** @param random uniform in [0, 1) */
export function noteSign(breaker: Breaker, sign: Sign, now: number, random: () => number): Breaker {
  switch (breaker.kind) {
    case 'closed':
      return noteWhileClosed(breaker, sign, now, random)
    case 'open':
      // Of a try that was under way when it opened.
      return breaker
    case 'probing':
      if (sign !== 'answered') return open(breaker.opens + 1, now, random)
      if (breaker.answers + 1 < ANSWERS_TO_CLOSE) return { ...breaker, answers: breaker.answers + 1, isUnderWay: false }
      return { kind: 'closed', window: emptyWindow(now), timeouts: 0, slowStart: 1 }
    default:
      return breaker satisfies never
  }
}

/** A try that says nothing of the receiver is over. */
export const noteSilence = (breaker: Breaker): Breaker =>
  breaker.kind === 'probing' ? { ...breaker, isUnderWay: false } : breaker

function noteWhileClosed(
  breaker: Extract<Breaker, { kind: 'closed' }>,
  sign: Sign,
  now: number,
  random: () => number,
): Breaker {
  const window = countIn(breaker.window, sign, now)
  const timeouts = sign === 'timed_out' ? breaker.timeouts + 1 : 0
  const total = window.over.tries + window.tries
  const failures = window.over.failures + window.failures
  if (timeouts >= TIMEOUTS_MAX || (total >= TRIES_MIN && failures >= FAILURE_SHARE * total)) return open(1, now, random)
  return { kind: 'closed', window, timeouts, slowStart: grow(breaker.slowStart, sign) }
}

/** One, two, four … with each answer; past this it is no start any more. */
const SLOW_START_MAX = 1_024

function grow(slowStart: number | undefined, sign: Sign): number | undefined {
  if (slowStart === undefined || sign !== 'answered') return slowStart
  return slowStart * 2 > SLOW_START_MAX ? undefined : slowStart * 2
}

function countIn(window: Window, sign: Sign, now: number): Window {
  const passed = Math.max(0, Math.floor((now - window.startedAt) / SLICE_MS))
  const { startedAt, tries, failures, over } = passed === 0 ? window : shift(window, passed)
  return { startedAt, tries: tries + 1, failures: failures + (sign === 'answered' ? 0 : 1), over }
}

/** Moves the window on by some slices; what is older than a minute drops out. */
function shift({ startedAt, tries, failures, over }: Window, passed: number): Window {
  const empty = Array.from({ length: Math.min(passed, SLICES) - 1 }, () => ({ tries: 0, failures: 0 }))
  const slices = [...over.slices, { tries, failures }, ...empty].slice(1 - SLICES)
  const sum = (key: keyof Slice): number => slices.reduce((total, slice) => total + slice[key], 0)
  return {
    startedAt: startedAt + passed * SLICE_MS,
    tries: 0,
    failures: 0,
    over: { tries: sum('tries'), failures: sum('failures'), slices },
  }
}

function open(opens: number, now: number, random: () => number): Breaker {
  const waitMs = Math.min(PROBE_MS_MIN * 2 ** (opens - 1), PROBE_MS_MAX)
  return { kind: 'open', opens, probeAt: now + Math.round(waitMs * (1 - PROBE_JITTER + 2 * PROBE_JITTER * random())) }
}
