import { setImmediate } from 'node:timers/promises'

import { judgeEvent, judgePostback, type Offers } from '#conversions'
import { addClickLine, addEventLine, LineBuffer, referrerHostOf } from '#facts'
import { claimKeyOf, newcomerOf, visitorClaimKey, type ClaimRequest, type ClaimSpace, type HotState } from '#hot-state'
import type { Partition } from '#log'
import type { LogLines } from '#platform/log-lines'
import { uuidV7Time, type ClickId } from '#platform/ids'
import { eventIdentity, type ClickRecord, type RefusalReason } from '#records'

import type { Batch, ClickItem, EventItem, PostbackItem } from './batch.ts'
import { readSound, readSoundClick } from './sound-record.ts'

/** What steps work with. */
export type StepTools = {
  readonly hotState: HotState
  readonly logLines: LogLines
  /** The configuration that judges this batch. */
  readonly plan: Plan
  /** Resolves when the click index has passed everything that was in the log when it was called. */
  readonly clickIndexIsComplete: () => Promise<void>
  /** Resolves when the click index has passed the records of a partition before an offset. */
  readonly clickIndexHasPassed: (partition: Partition, offset: number) => Promise<void>
}

/** A snapshot as the steps look things up in it. */
export type Plan = {
  readonly offers: Offers
  readonly campaignTtlHours: ReadonlyMap<string, number>
}

export type Step = { readonly name: string; readonly run: (batch: Batch, tools: StepTools) => void | Promise<void> }

/** The steps that a batch goes through before anything of it is written, in order. Each may be repeated with the same result. */
export const steps: readonly Step[] = [
  { name: 'decode', run: decode },
  { name: 'identify', run: identify },
  { name: 'judge', run: judge },
  { name: 'dedupe_events', run: dedupeEvents },
  { name: 'dedupe_clicks', run: dedupeClicks },
  { name: 'recognise_visitors', run: recogniseVisitors },
]

const NOT_JUDGED = { kind: 'refused', reason: 'click_unknown' } as const

/** So many records are read before other work of this process gets a turn: about 10 ms. */
const RECORDS_PER_TURN = 1_000

async function decode(batch: Batch, { logLines }: StepTools): Promise<void> {
  const { partition, clicks, events, postbacks, payloads } = batch
  for (const items of [clicks, events, postbacks]) items.length = 0
  batch.undecodable = 0
  for (const { firstOffset, nextOffset, where } of batch.damaged)
    logLines.error({ partition, from: firstOffset, to: nextOffset, where }, 'records of the log are lost')
  for (let start = 0; start < payloads.length; start += RECORDS_PER_TURN) {
    for (const { offset, payload } of payloads.slice(start, start + RECORDS_PER_TURN))
      if (!takeRecord(batch, offset, payload)) {
        batch.undecodable++
        logLines.error({ partition, offset }, 'a record of the log cannot be read')
      }
    await setImmediate()
  }
}

/** @returns false where the bytes are no record of ours */
function takeRecord({ clicks, events, postbacks }: Batch, offset: number, payload: Buffer): boolean {
  const sound = readSound(payload)
  if (sound === undefined) return false
  const { record } = sound
  if (record.kind === 'click') clicks.push(clickItem(offset, payload, sound.payload, record))
  else if (record.kind === 'event')
    events.push({ offset, record, click: undefined, verdict: NOT_JUDGED, isDuplicate: false })
  else postbacks.push({ offset, record, click: undefined, verdict: NOT_JUDGED })
  return true
}

const clickItem = (offset: number, logged: Buffer, payload: Buffer, record: ClickRecord): ClickItem => ({
  offset,
  logged,
  payload,
  clickId: record.click_id,
  at: record.at,
  isTaken: record.class === 'click' && (record.outcome === 'redirected' || record.outcome === 'shown'),
  campaignId: record.campaign_id,
  offerId: record.offer_id,
  visitor: record.visitor_code,
  newcomer: newcomerOf(record),
  referrerHost: referrerHostOf(record),
  isDuplicate: false,
  isUniqueInCampaign: false,
  isUniqueInOffer: false,
  isUniqueAnywhere: false,
})

/** Finds the click of every event and postback. Only when one is missing does the batch wait for the index: first until it has
 * passed the batch itself, because most clicks stand before their events, then for all that is in the log, because the click may
 * stand further on or in another partition. With a long backlog the second takes so long that to wait for it without need would
 * leave both databases idle meanwhile.
 */
async function identify(
  batch: Batch,
  { hotState, clickIndexIsComplete, clickIndexHasPassed }: StepTools,
): Promise<void> {
  const found = new Map<ClickId, ClickRecord>()
  const find = (item: EventItem | PostbackItem): boolean => {
    const clickId = item.record.click_id
    if (clickId === undefined) return true
    item.click = found.get(clickId) ?? lookUp(hotState, clickId)
    if (item.click !== undefined) found.set(clickId, item.click)
    return item.click !== undefined
  }
  let missing = [...batch.events, ...batch.postbacks].filter((item) => !find(item))
  if (missing.length === 0) return
  await clickIndexHasPassed(batch.partition, batch.to)
  missing = missing.filter((item) => !find(item))
  if (missing.length === 0) return
  await clickIndexIsComplete()
  missing.forEach(find)
}

function lookUp(hotState: HotState, clickId: ClickId): ClickRecord | undefined {
  const payload = hotState.getClick(clickId)
  return payload === undefined ? undefined : readSoundClick(payload)
}

function judge(batch: Batch, { plan }: StepTools): void {
  for (const event of batch.events) event.verdict = judgeEvent(event.record, event.click, plan.offers)
  for (const postback of batch.postbacks) postback.verdict = judgePostback(postback.record, postback.click, plan.offers)
}

/** An event holds its identity once it counts. What was refused for a mistake that can be mended holds none, so that the same
 * event counts when it comes again.
 */
async function dedupeEvents(batch: Batch, { hotState }: StepTools): Promise<void> {
  const counting = batch.events.filter(({ verdict }) => verdict.kind !== 'refused')
  const claims = await hotState.claim(
    'event_identity',
    counting.map(({ record, offset }) => ({
      key: claimKeyOf(eventIdentity(record.click_id!, record.type, record.txid), record.click_id),
      origin: { partition: batch.partition, offset },
      at: record.at,
      ttlMs: Infinity,
    })),
  )
  counting.forEach((event, index) => (event.isDuplicate = claims[index]!.kind === 'taken'))
  await refuseReplays(batch, hotState)
}

/** Of the edge's reasons those that say the signature itself was not good: it proves nothing and holds nothing. */
const UNPROVEN: ReadonlySet<RefusalReason> = new Set([
  ...(['secret_missing', 'secret_wrong', 'signature_wrong', 'signature_expired', 'address_not_allowed'] as const),
])
/** Twice the five minutes that a timestamp may be off, on either side. */
const SIGNATURE_TTL_MS = 20 * 60_000

async function refuseReplays(batch: Batch, hotState: HotState): Promise<void> {
  const signed = batch.postbacks.filter(
    ({ record }) =>
      record.signature_digest !== undefined && (record.refusal === undefined || !UNPROVEN.has(record.refusal)),
  )
  const claims = await hotState.claim(
    'signature',
    signed.map(({ record, offset }) => ({
      key: claimKeyOf(record.signature_digest!, undefined),
      origin: { partition: batch.partition, offset },
      at: record.at,
      ttlMs: SIGNATURE_TTL_MS,
    })),
  )
  signed.forEach((postback, index) => {
    if (claims[index]!.kind === 'taken') postback.verdict = { kind: 'refused', reason: 'signature_replayed' }
  })
}

/** A click id that we made for this very click cannot have come before: it holds its own millisecond. The others came with the
 * link: they are looked up in the index, where the first record with the id stands, and claimed among equals.
 */
async function dedupeClicks(batch: Batch, { hotState, clickIndexIsComplete }: StepTools): Promise<void> {
  const given = batch.clicks.filter(({ clickId, at }) => uuidV7Time(clickId) !== at)
  if (given.length === 0) return
  await clickIndexIsComplete()
  const claims = await hotState.claim(
    'event_identity',
    given.map(({ clickId, at, offset }) => ({
      key: claimKeyOf(eventIdentity(clickId, 'click', undefined), clickId),
      origin: { partition: batch.partition, offset },
      at,
      ttlMs: Infinity,
    })),
  )
  given.forEach((click, index) => {
    const indexed = hotState.getClick(click.clickId)
    const isFirst = indexed === undefined || indexed.equals(click.logged)
    click.isDuplicate = !isFirst || claims[index]!.kind === 'taken'
  })
}

const HOUR_MS = 3_600_000

async function recogniseVisitors(batch: Batch, { hotState, plan }: StepTools): Promise<void> {
  const counting = batch.clicks.filter(({ isTaken, isDuplicate }) => isTaken && !isDuplicate)
  const ofCampaign = counting.filter(({ campaignId }) => campaignId !== undefined)
  const ofOffer = counting.filter(({ offerId }) => offerId !== undefined)
  const { partition } = batch
  const campaignHours = (click: ClickItem) => plan.campaignTtlHours.get(click.campaignId!)
  const offerHours = (click: ClickItem) => plan.offers.get(click.offerId!)?.unique_ttl_hours
  const [inCampaign, inOffer, anywhere] = await Promise.all([
    claimFirst(hotState, 'visitor_campaign', ofCampaign, (click) =>
      claimsOfVisitor(partition, click, click.campaignId!, campaignHours(click)),
    ),
    claimFirst(hotState, 'visitor_offer', ofOffer, (click) =>
      claimsOfVisitor(partition, click, click.offerId!, offerHours(click)),
    ),
    claimFirst(hotState, 'visitor_global', counting, (click) =>
      claimsOfVisitor(
        partition,
        click,
        EVERYWHERE,
        click.campaignId === undefined ? offerHours(click) : campaignHours(click),
      ),
    ),
  ])
  ofCampaign.forEach((click, index) => (click.isUniqueInCampaign = inCampaign[index]!))
  ofOffer.forEach((click, index) => (click.isUniqueInOffer = inOffer[index]!))
  counting.forEach((click, index) => (click.isUniqueAnywhere = anywhere[index]!))
}

/** @returns for each click whether the first of its claims was granted */
async function claimFirst(
  hotState: HotState,
  space: ClaimSpace,
  clicks: readonly ClickItem[],
  claimsOf: (click: ClickItem) => readonly ClaimRequest[],
): Promise<readonly boolean[]> {
  const requests: ClaimRequest[] = []
  const starts = clicks.map((click) => requests.push(...claimsOf(click)) - claimCount(click))
  const claims = await hotState.claim(space, requests)
  return starts.map((start) => claims[start]!.kind === 'first')
}

/** Stands for the id of a campaign or offer; none is empty. */
const EVERYWHERE = ''

/** Where the campaign or offer is gone from the configuration. */
const TTL_HOURS_DEFAULT = 24

const claimCount = ({ visitor, newcomer }: ClickItem): number =>
  Number(newcomer !== undefined) + Number(visitor !== undefined)

/** One who came without a cookie is known by address and user agent, and claims the code that they were given too: with it they
 * come again. One who came with a cookie is known by it alone.
 */
function claimsOfVisitor(
  partition: string,
  { visitor, newcomer, offset, at }: ClickItem,
  scopeId: string,
  ttlHours: number | undefined,
): readonly ClaimRequest[] {
  const origin = { partition, offset }
  const ttlMs = (ttlHours ?? TTL_HOURS_DEFAULT) * HOUR_MS
  const claims: ClaimRequest[] = []
  for (const identity of [newcomer, visitor])
    if (identity !== undefined) claims.push({ key: visitorClaimKey(scopeId, identity), origin, at, ttlMs })
  return claims
}

/** What a click's line has beside its record, with a partition of an ordinary name. Made to measure, the buffer of 16 000 clicks is
 * not copied nine times while it grows.
 */
const CLICK_LINE_MORE_BYTES = 224

/** The rows of a batch for the facts.
 * @param wanted offsets to write; left out: all
 */
export function renderFacts(
  batch: Batch,
  wanted: (offset: number) => boolean = () => true,
): { readonly clicks: LineBuffer; readonly events: LineBuffer } {
  const clicks = new LineBuffer(
    batch.clicks.reduce((sum, { payload }) => sum + payload.length + CLICK_LINE_MORE_BYTES, 0),
  )
  for (const click of batch.clicks) {
    if (click.isDuplicate || !wanted(click.offset)) continue
    addClickLine(clicks, click.payload, click, { partition: batch.partition, offset: click.offset })
  }
  const events = new LineBuffer()
  for (const { record, click, verdict, isDuplicate, offset } of batch.events) {
    if (isDuplicate || !wanted(offset)) continue
    const refusal = verdict.kind === 'refused' ? verdict.reason : undefined
    addEventLine(events, record, click, refusal, { partition: batch.partition, offset })
  }
  return { clicks, events }
}
