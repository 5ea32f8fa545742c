import { createHash } from 'node:crypto'
import type { ClickRecord, EventRecord } from '#records'
import type { ConversionStatus, ConversionType, PostbackTrigger } from '#routing'

/** What postbacks need of a row of `conversions`; a null column may be null or left out. */
export type CausingConversion = {
  readonly conversionId: string
  readonly advertiserId: string
  readonly clickId: string
  readonly type: ConversionType
  readonly goal: string
  /** `-` where the sender gave none. */
  readonly txid: string
  readonly affiliateId?: string | null | undefined
  readonly campaignId?: string | null | undefined
  readonly offerId: string
  readonly status: ConversionStatus
  readonly rawStatus?: string | null | undefined
  readonly payoutMicros: bigint
  readonly revenueMicros: bigint
  readonly saleAmountMicros: bigint
  readonly currency: string
  /** When its approved payout leaves hold. */
  readonly holdUntil?: Date | undefined
  readonly isHoldReleased?: boolean
  /** Counts the states of the conversion from 1; (conversion, revision) is the identity of what is told to partners. */
  readonly revision: number
  readonly createdAt: Date
}

/** The triggers that a conversion fires. */
export type RevisionTrigger = Exclude<PostbackTrigger, 'event' | 'click' | 'notice'>

/** Something that partners may be told about: a click, a new state of a conversion, or an event that made no conversion.
 * `at` is when it happened, milliseconds since the epoch.
 */
export type DeliveryCause =
  | {
      readonly trigger: RevisionTrigger
      readonly conversion: CausingConversion
      readonly click: ClickRecord
      readonly at: number
      /** The trigger comes of what the advertiser pays alone: nothing that an affiliate is told. */
      readonly isConfidential?: boolean
    }
  | { readonly trigger: 'click'; readonly click: ClickRecord; readonly at: number }
  | {
      readonly trigger: 'event'
      readonly event: Pick<EventRecord, 'type' | 'txid' | 'amount_micros' | 'currency'>
      readonly click: ClickRecord
      readonly at: number
    }

/** The state of a conversion before and after a revision, as far as triggers depend on it. */
export type TriggerState = {
  readonly type: ConversionType
  readonly status: ConversionStatus
  readonly isHoldReleased: boolean
  readonly payoutMicros: bigint
  readonly revenueMicros: bigint
}

/** Which triggers a revision of a conversion fires.
 * A new conversion fires its type, or `rejected` where it starts rejected. A change of status fires `status_changed`, and
 * `rejected` as well where it turned so. The end of its hold fires `hold_released`, another payout or revenue `payout_changed`.
 * reconcile-deliveries.ts says the same in SQL.
 * @param before undefined for a new conversion
 */
export function triggersOfRevision(before: TriggerState | undefined, after: TriggerState): readonly RevisionTrigger[] {
  if (before === undefined) return [after.status === 'rejected' ? 'rejected' : after.type]
  const triggers: RevisionTrigger[] = []
  if (after.status !== before.status) {
    if (after.status === 'rejected') triggers.push('rejected')
    triggers.push('status_changed')
  }
  if (after.isHoldReleased && !before.isHoldReleased) triggers.push('hold_released')
  const isSameMoney = after.payoutMicros === before.payoutMicros && after.revenueMicros === before.revenueMicros
  if (!isSameMoney) triggers.push('payout_changed')
  return triggers
}

/** The causes of a revision. Where only the revenue is another one, an affiliate hears nothing of it: that it moved tells the margin.
 * @param conversion as it is after the revision
 * @param at when it happened, milliseconds since the epoch
 */
export function causesOfRevision(
  before: TriggerState | undefined,
  conversion: CausingConversion & TriggerState,
  click: ClickRecord,
  at: number,
): readonly DeliveryCause[] {
  return triggersOfRevision(before, conversion).map((trigger) => {
    const isConfidential = trigger === 'payout_changed' && before?.payoutMicros === conversion.payoutMicros
    return { trigger, conversion, click, at, ...(isConfidential && { isConfidential }) }
  })
}

/** A UUID (version 8, RFC 9562) that the same identity always gives, so that a repeated enqueue meets its own key. */
function uuidOf(identity: string): string {
  const bytes = createHash('sha256').update(identity).digest()
  bytes[6] = (bytes[6]! & 0x0f) | 0x80
  bytes[8] = (bytes[8]! & 0x3f) | 0x80
  const hex = bytes.toString('hex', 0, 16)
  return `${hex.slice(0, 8)}-${hex.slice(8, 12)}-${hex.slice(12, 16)}-${hex.slice(16, 20)}-${hex.slice(20)}`
}

/** Id of what is told, sent as `webhook-id` in every attempt and replay. It does not depend on the trigger: an endpoint that
 * listens to several triggers of one revision hears of it once.
 */
export function eventIdOf(cause: DeliveryCause): string {
  switch (cause.trigger) {
    case 'click':
      return uuidOf(`click|${cause.click.click_id}`)
    case 'event':
      return uuidOf(`event|${cause.click.click_id}|${cause.event.type}|${cause.event.txid ?? '-'}`)
    default:
      return uuidOf(`conversion|${cause.conversion.conversionId}|${cause.conversion.revision}`)
  }
}

/** The conversion of a cause; undefined for a click, and for an event that made none. */
export const conversionOf = (cause: DeliveryCause): CausingConversion | undefined =>
  'conversion' in cause ? cause.conversion : undefined
