import type { JudgedEvent, JudgedPostback } from '#conversions'
import type { DamagedRange, Partition } from '#log'
import type { ClickId } from '#platform/ids'
import type { ClickRecord, EventRecord, PostbackRecord } from '#records'

/** A batch on its way: a range of one partition and what the steps have found out about its records so far. The range was cut
 * when it was first read and stays the same for ever: it is the deduplication token and the unit of the position.
 */
export type Batch = {
  readonly partition: Partition
  /** The place it starts from; the position when it is committed next. */
  readonly from: number
  readonly to: number
  readonly payloads: readonly { readonly offset: number; readonly payload: Buffer }[]
  readonly damaged: readonly DamagedRange[]
  /** Whether an earlier run may have sent it already. */
  readonly isResent: boolean
  /** Append time of the last record, milliseconds since the epoch. */
  readonly appendedAt: number
  readonly clicks: ClickItem[]
  readonly events: EventItem[]
  readonly postbacks: PostbackItem[]
  undecodable: number
}

/** What the steps need of a click. Its record is not kept: thousands of large objects that live as long as a batch cost the
 * garbage collector more than reading them cost.
 */
export type ClickItem = {
  readonly offset: number
  /** The record's bytes, as the click index has them too. */
  readonly logged: Buffer
  /** Sound bytes, nearly always the same: they go into the facts as they are. */
  readonly payload: Buffer
  readonly clickId: ClickId
  readonly at: number
  /** Whether an offer or a flow took it as a click, not as a prefetch or a refusal. */
  readonly isTaken: boolean
  readonly campaignId: string | undefined
  readonly offerId: string | undefined
  /** Code of the visitor: of the cookie, or made for this click. */
  readonly visitor: string | undefined
  /** Address and user agent of one who brought no code. */
  readonly newcomer: string | undefined
  readonly referrerHost: string
  /** Another record holds the click id. */
  isDuplicate: boolean
  isUniqueInCampaign: boolean
  isUniqueInOffer: boolean
  isUniqueAnywhere: boolean
}

export type EventItem = {
  readonly offset: number
  readonly record: EventRecord
  click: ClickRecord | undefined
  verdict: JudgedEvent
  /** Another record holds its identity: neither stored nor posted again. */
  isDuplicate: boolean
}

export type PostbackItem = {
  readonly offset: number
  readonly record: PostbackRecord
  click: ClickRecord | undefined
  verdict: JudgedPostback
}

/** What became of the records of a batch: the columns of pipeline_counters. They sum to its range. */
export type BatchCounts = {
  readonly clicks: number
  readonly duplicate_clicks: number
  readonly events: number
  readonly duplicate_events: number
  readonly postbacks: number
  readonly undecodable: number
  readonly damaged: number
}

export function countBatch(batch: Batch): BatchCounts {
  const duplicateClicks = batch.clicks.filter((click) => click.isDuplicate).length
  const duplicateEvents = batch.events.filter((event) => event.isDuplicate).length
  return {
    clicks: batch.clicks.length - duplicateClicks,
    duplicate_clicks: duplicateClicks,
    events: batch.events.length - duplicateEvents,
    duplicate_events: duplicateEvents,
    postbacks: batch.postbacks.length,
    undecodable: batch.undecodable,
    damaged: batch.to - batch.from - batch.payloads.length,
  }
}
