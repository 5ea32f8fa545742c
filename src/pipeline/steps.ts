import { hash } from 'node:crypto'

import { judgeEvent, judgePostback, type Offers } from '#conversions'
import { addClickLine, addEventLine, LineBuffer } from '#facts'
import type { ClaimRequest, HotState } from '#hot-state'
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

function decode(batch: Batch, { logLines }: StepTools): void {
  const { partition, clicks, events, postbacks } = batch
  for (const items of [clicks, events, postbacks]) items.length = 0
  batch.undecodable = 0
  for (const damage of batch.damaged)
    logLines.error(
      { partition, from: damage.firstOffset, to: damage.nextOffset, where: damage.where },
      'records of the log are lost',
    )
  for (const { offset, payload } of batch.payloads) {
    const sound = readSound(payload)
    if (sound === undefined) {
      batch.undecodable++
      logLines.error({ partition, offset }, 'a record of the log cannot be read')
      continue
    }
    const { record } = sound
    if (record.kind === 'click')
      clicks.push({
        offset,
        record,
        payload: sound.payload,
        isDuplicate: false,
        isUniqueInCampaign: false,
        isUniqueInOffer: false,
      })
    else if (record.kind === 'event')
      events.push({ offset, record, click: undefined, verdict: NOT_JUDGED, isDuplicate: false })
    else postbacks.push({ offset, record, click: undefined, verdict: NOT_JUDGED })
  }
}

/** Finds the click of every event and postback. Only when one is missing does the batch wait for the index: the click may
 * stand further on in another partition, or the index be behind.
 */
async function identify(batch: Batch, { hotState, clickIndexIsComplete }: StepTools): Promise<void> {
  const found = new Map<ClickId, ClickRecord>()
  const find = (item: EventItem | PostbackItem): boolean => {
    const clickId = item.record.click_id
    if (clickId === undefined) return true
    item.click = found.get(clickId) ?? lookUp(hotState, clickId)
    if (item.click !== undefined) found.set(clickId, item.click)
    return item.click !== undefined
  }
  const missing = [...batch.events, ...batch.postbacks].filter((item) => !find(item))
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

const HASH_BYTES = 16
const keyOf = (identity: string): Buffer => hash('sha256', identity, 'buffer').subarray(0, HASH_BYTES)

/** An event holds its identity once it counts. What was refused for a mistake that can be mended holds none, so that the same
 * event counts when it comes again.
 */
async function dedupeEvents(batch: Batch, { hotState }: StepTools): Promise<void> {
  const counting = batch.events.filter(({ verdict }) => verdict.kind !== 'refused')
  const claims = await hotState.claim(
    'event_identity',
    counting.map(({ record, offset }) => ({
      key: keyOf(eventIdentity(record.click_id!, record.type, record.txid)),
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
      key: keyOf(record.signature_digest!),
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
  const given = batch.clicks.filter(({ record }) => uuidV7Time(record.click_id) !== record.at)
  if (given.length === 0) return
  await clickIndexIsComplete()
  const claims = await hotState.claim(
    'event_identity',
    given.map(({ record, offset }) => ({
      key: keyOf(eventIdentity(record.click_id, 'click', undefined)),
      origin: { partition: batch.partition, offset },
      at: record.at,
      ttlMs: Infinity,
    })),
  )
  given.forEach((click, index) => {
    const indexed = lookUp(hotState, click.record.click_id)
    const isFirst = indexed === undefined || isSameClick(indexed, click.record)
    click.isDuplicate = !isFirst || claims[index]!.kind === 'taken'
  })
}

const isSameClick = (one: ClickRecord, other: ClickRecord): boolean =>
  one.at === other.at && one.ip === other.ip && one.trace === other.trace

const HOUR_MS = 3_600_000

async function recogniseVisitors(batch: Batch, { hotState, plan }: StepTools): Promise<void> {
  const counting = batch.clicks.filter(
    ({ record, isDuplicate }) => record.class === 'click' && record.outcome === 'redirected' && !isDuplicate,
  )
  const ofCampaign = counting.filter(({ record }) => record.campaign_id !== undefined)
  const inCampaign = await claimVisitors(batch, hotState, 'visitor_campaign', ofCampaign, ({ record }) => ({
    id: record.campaign_id!,
    ttlHours: plan.campaignTtlHours.get(record.campaign_id!),
  }))
  ofCampaign.forEach((click, index) => (click.isUniqueInCampaign = inCampaign[index]!))
  const ofOffer = counting.filter(({ record }) => record.offer_id !== undefined)
  const inOffer = await claimVisitors(batch, hotState, 'visitor_offer', ofOffer, ({ record }) => ({
    id: record.offer_id!,
    ttlHours: plan.offers.get(record.offer_id!)?.unique_ttl_hours,
  }))
  ofOffer.forEach((click, index) => (click.isUniqueInOffer = inOffer[index]!))
}

/** Where the campaign or offer is gone from the configuration. */
const TTL_HOURS_DEFAULT = 24

async function claimVisitors(
  batch: Batch,
  hotState: HotState,
  space: 'visitor_campaign' | 'visitor_offer',
  clicks: readonly ClickItem[],
  scopeOf: (click: ClickItem) => { readonly id: string; readonly ttlHours: number | undefined },
): Promise<readonly boolean[]> {
  const requests = clicks.map((click): ClaimRequest => {
    const { id, ttlHours } = scopeOf(click)
    return {
      key: keyOf(`${id}\n${visitorOf(click.record)}`),
      origin: { partition: batch.partition, offset: click.offset },
      at: click.record.at,
      ttlMs: (ttlHours ?? TTL_HOURS_DEFAULT) * HOUR_MS,
    }
  })
  return (await hotState.claim(space, requests)).map(({ kind }) => kind === 'first')
}

/** The first-party cookie; a visitor without one is told apart by address and user agent. */
const visitorOf = (click: ClickRecord): string => click.visitor_code ?? `${click.ip}\n${click.user_agent ?? ''}`

/** The rows of a batch for the facts.
 * @param wanted offsets to write; left out: all
 */
export function renderFacts(
  batch: Batch,
  wanted: (offset: number) => boolean = () => true,
): { readonly clicks: LineBuffer; readonly events: LineBuffer } {
  const clicks = new LineBuffer()
  for (const click of batch.clicks) {
    if (click.isDuplicate || !wanted(click.offset)) continue
    const unique = { campaign: click.isUniqueInCampaign, offer: click.isUniqueInOffer }
    addClickLine(clicks, click.payload, unique, { partition: batch.partition, offset: click.offset })
  }
  const events = new LineBuffer()
  for (const { record, click, verdict, isDuplicate, offset } of batch.events) {
    if (isDuplicate || !wanted(offset)) continue
    const refusal = verdict.kind === 'refused' ? verdict.reason : undefined
    addEventLine(events, record, click, refusal, { partition: batch.partition, offset })
  }
  return { clicks, events }
}
