import type { ClickRecord } from '#records'
import type { ConversionStatus, ConversionType } from '#routing'

/** A conversion as it stands: one row of `conversions`. Amounts are micros of `currency`. */
export type Conversion = {
  readonly conversionId: string
  readonly advertiserId: string
  readonly clickId: string
  readonly type: ConversionType
  /** Event name or the partner's goal, lower case. */
  readonly goal: string
  /** The goal where the offer tells it apart from others of its type, else empty. Part of the identity. */
  readonly goalKey: string
  /** `-` where there is none. Part of the identity: an upsell is another one. */
  readonly txid: string
  readonly affiliateId: string | undefined
  readonly campaignId: string | undefined
  readonly offerId: string
  readonly status: ConversionStatus
  /** The partner's word that led to the status, as received. */
  readonly rawStatus: string | undefined
  /** When an approved payout leaves hold. */
  readonly holdUntil: Date | undefined
  readonly isHoldReleased: boolean
  readonly payoutMicros: bigint
  readonly revenueMicros: bigint
  readonly saleAmountMicros: bigint
  readonly currency: string
  /** Counts the states from 1. */
  readonly revision: number
  readonly createdAt: Date
  readonly updatedAt: Date
  readonly click: ClickRecord
  /** The verdict on it when it was made, encoded by encodeVerdict (#fraud); left out: it has no reasons, or was not scored. */
  readonly fraud?: string | undefined
  /** A person corrected what it is worth: what its partner says of that is not asked any more. */
  readonly isCorrected?: boolean
}

export type RevisionCause = 'event' | 'postback' | 'hold_released' | 'api' | 'correction'

/** A new state of a conversion and the one before it; undefined: the conversion is new. */
export type Revision = {
  readonly before: Conversion | undefined
  readonly after: Conversion
  readonly cause: RevisionCause
  /** Who asked for it, for causes of the API; else empty. */
  readonly by: string
  /** Why, for a correction. */
  readonly reason?: string
}

const DAY_MS = 86_400_000

/** Identity of a conversion. */
export const conversionKey = (of: Pick<Conversion, 'clickId' | 'type' | 'goalKey' | 'txid'>): string =>
  `${of.clickId}|${of.type}|${of.goalKey}|${of.txid}`

/** A payout's hold begins when the conversion is approved; no days, no hold. */
export function holdFrom(
  status: ConversionStatus,
  at: number,
  holdDays: number,
): Pick<Conversion, 'holdUntil' | 'isHoldReleased'> {
  if (status !== 'approved') return { holdUntil: undefined, isHoldReleased: false }
  if (holdDays === 0) return { holdUntil: undefined, isHoldReleased: true }
  return { holdUntil: new Date(at + holdDays * DAY_MS), isHoldReleased: false }
}
