import type { SubName, Subs } from '#records'

export type CapMetric = 'clicks' | 'conversions' | 'payout' | 'revenue'
export type CapPeriod = 'hour' | 'day' | 'week' | 'month' | 'total'
/** `hard`: each click that is sent on holds what it may bring. `soft`: only what was booked counts. The same for clicks. */
export type CapMode = 'hard' | 'soft'
export type CapDimension = 'affiliate' | 'country' | SubName

/** A limit of an offer, as the configuration gives it. */
export type Cap<Rule = unknown> = {
  /** Names the count: another id begins at zero. At most 64 characters of A–Z, a–z, 0–9, `_` and `-`. */
  readonly cap_id: string
  readonly metric: CapMetric
  readonly period: CapPeriod
  /** Clicks or conversions; for payout and revenue micros of the offer's currency. Integer ≥ 0; 0 takes nobody. */
  readonly limit: number
  /** One count for each value of these; clicks without a value share one. Left out: one count for the offer. */
  readonly per?: readonly CapDimension[]
  /** Whom it is for; left out: everyone. */
  readonly rule?: Rule
  readonly mode: CapMode
  /** How long a click holds its share of a hard cap on conversions, payout or revenue; 1 to 43 200, by default 60. */
  readonly hold_minutes?: number
}

/** What caps read of a click: a request's facts as well as a click's record. */
export type CapFacts = Subs & { readonly affiliate_id?: string; readonly country?: string }

/** What a conversion of the click would be worth, integer micros ≥ 0; 0 where that cannot be known, as for a share of a sale. */
export type ExpectedAmounts = { readonly payoutMicros: number; readonly revenueMicros: number }

/** All counts of one cap in one period: one, or one for each value of its dimensions. */
export type CapCounts = {
  readonly cap_id: string
  readonly counting: CapCounting
  /** The slot of a cap without dimensions; with some, what their slots begin with. */
  readonly slot: string
  readonly per: readonly CapDimension[]
  /** Follows a slot in its key. */
  readonly period: string
  readonly periodStartMs: number
  /** First moment after the period; Infinity for `total`. */
  readonly periodEndMs: number
}

/** What one count of a cap is for: a value for each dimension, in their order (empty: clicks that have none), or where values were too
 * long or of other characters than letters, digits, `_` and `-`, what stands for all of them.
 */
export type CapSlot =
  | { readonly kind: 'values'; readonly values: readonly string[] }
  | { readonly kind: 'fingerprint'; readonly fingerprint: string }

/** How a click stands to a count: it is counted at once, it holds an amount, or it only looks whether there is room. */
export type CapCounting = 'at_click' | 'held' | 'when_booked'

/** One count that a click or a conversion touches. Plain data: it can be kept with a reservation and sent between threads. */
export type CapKey = {
  readonly cap_id: string
  readonly metric: CapMetric
  /** Cap and values of its dimensions, whatever the period: holds stand under it. At most 200 bytes. */
  readonly slot: string
  /** The slot in one period: what is counted stands under it. The same cap, values and period always give the same key. */
  readonly key: string
  readonly counting: CapCounting
  readonly limit: number
  /** What this click counts or holds, or this conversion counts: 1, or micros. */
  readonly amount: number
  /** Milliseconds; 0 where nothing is held. */
  readonly holdMs: number
  /** First moment after the period; Infinity for `total`. */
  readonly periodEndMs: number
}
