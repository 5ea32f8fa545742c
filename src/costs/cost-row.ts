import { clickDimensions } from '#facts'

/** A part of an import: what was paid for the clicks that have these values, in this time. */
export type CostRow = {
  /** Its place in what was sent, from 1; rows that name the same are added up under the first one's. */
  readonly rowNo: number
  readonly startsMs: number
  /** Excluded. */
  readonly endsMs: number
  /** Values by dimension, sorted by name. */
  readonly dimensions: Readonly<Record<string, string>>
  readonly amountMicros: bigint
  readonly currency: string
}

/** Which of the matching clicks bear the cost: all, those of visitors not seen before, or those of no bots. */
export const spreads = ['clicks', 'uniques', 'humans'] as const
export type Spread = (typeof spreads)[number]

const NOT_BOUGHT: ReadonlySet<string> = new Set([
  'advertiser_id', 'external_click_id', 'asn', 'is_proxy', 'is_hosting', 'bot', 'fraud', 'fraud_score', 'fraud_reason',
]) // prettier-ignore

/** What a row of an import may name: columns of clicks that hold text. Besides them there is `sub2.<key>`. */
export const costDimensions: ReadonlySet<string> = new Set<string>(
  [...clickDimensions, 'referrer_host'].filter((name) => !NOT_BOUGHT.has(name)),
)

const SUB2_KEY = /^sub2\.([A-Za-z0-9_]{1,50})$/

/** The key of a `sub2.<key>`; undefined: it is another dimension. */
export const sub2KeyOf = (name: string): string | undefined => SUB2_KEY.exec(name)?.[1]

export const isCostDimension = (name: string): boolean => costDimensions.has(name) || sub2KeyOf(name) !== undefined
