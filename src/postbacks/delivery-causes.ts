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
  /** Counts the states of the conversion from 1; (conversion, revision) is the identity of what is told to partners. */
  readonly revision: number
  readonly createdAt: Date
}

/** Something that partners may be told about: a new state of a conversion, or an event that made no conversion.
 * `at` is when it happened, milliseconds since the epoch.
 */
export type DeliveryCause =
  | {
      readonly trigger: Exclude<PostbackTrigger, 'event'>
      readonly conversion: CausingConversion
      readonly click: ClickRecord
      readonly at: number
    }
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
}

/** Which triggers a revision of a conversion fires.
 * A new conversion fires its type, or `rejected` where it starts rejected. A change of status fires `status_changed`, and
 * `rejected` as well where it turned so. The end of its hold fires `hold_released`. reconcile.ts says the same in SQL.
 * @param before undefined for a new conversion
 */
export function triggersOfRevision(
  before: TriggerState | undefined,
  after: TriggerState,
): readonly Exclude<PostbackTrigger, 'event'>[] {
  if (before === undefined) return [after.status === 'rejected' ? 'rejected' : after.type]
  const triggers: Exclude<PostbackTrigger, 'event'>[] = []
  if (after.status !== before.status) {
    if (after.status === 'rejected') triggers.push('rejected')
    triggers.push('status_changed')
  }
  if (after.isHoldReleased && !before.isHoldReleased) triggers.push('hold_released')
  return triggers
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
export const eventIdOf = (cause: DeliveryCause): string =>
  cause.trigger === 'event'
    ? uuidOf(`event|${cause.click.click_id}|${cause.event.type}|${cause.event.txid ?? '-'}`)
    : uuidOf(`conversion|${cause.conversion.conversionId}|${cause.conversion.revision}`)
