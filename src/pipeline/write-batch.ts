import { setTimeout as delay } from 'node:timers/promises'

import {
  decideConversions,
  lockByClick,
  openConversionScores,
  recordRevisions,
  storeConversions,
  storeInbound,
  type ConversionOutcome,
  type ConversionRequest,
  type Decided,
  type JudgedInbound,
} from '#conversions'
import type { FaultGuard } from '#config'
import { findPresent, insertFacts, type FactTable } from '#facts'
import type { FactsClient } from '#platform/clickhouse'
import { inTransaction, type Pool, type Tx } from '#platform/postgres'
import { enqueueDeliveries, enqueueDeliveriesUnsafely, type DeliveryCause } from '#postbacks'
import type { PostbackTrigger, Snapshot } from '#routing'

import { countBatch, type Batch } from './batch.ts'
import { addCounts } from './counters.ts'
import type { PipelineMetrics } from './metrics.ts'
import { advance, markPending, type Place } from './positions.ts'
import { readSoundClick } from './sound-record.ts'
import { renderFacts } from './steps.ts'

export type WriteTools = {
  readonly pool: Pool
  readonly facts: FactsClient
  readonly snapshot: Snapshot
  readonly metrics: PipelineMetrics
  /** Switched off only in the fault run. */
  readonly guardsOff: ReadonlySet<FaultGuard>
}

/** Writes a prepared batch: facts, then everything of PostgreSQL in one transaction together with the position.
 *
 *   mark pending ─▶ insert facts (token = range) ──────┐
 *               └─▶ begin, lock, store conversions ────┴─▶ revisions, ledger, deliveries, counters, position, commit
 *
 * A crash before the commit leaves the range marked; it is sent again as it was, and the facts drop what they have. The lock
 * of the revisions is taken after the facts are in: a slow ClickHouse holds up nobody else who changes a conversion.
 * @throws {WaypostError} position_fenced: nothing was committed; {Error} an engine is away: try again
 */
export async function writeBatch(batch: Batch, place: Place, tools: WriteTools): Promise<void> {
  const { pool, guardsOff, metrics } = tools
  const isFenced = !guardsOff.has('fence')
  await markPending(pool, place, batch.from, batch.to, isFenced)
  if (guardsOff.has('position')) {
    await advance(pool, place, batch.from, batch.to, isFenced)
    await delay(UNGUARDED_PAUSE_MS)
  }
  /** Empty, unless the outbox is switched off. */
  const unboxed: DeliveryCause[] = []
  const factsAreIn = timed(metrics, 'insert_facts', () => insertBatch(batch, tools))
  const [facts, booked] = await Promise.allSettled([
    factsAreIn,
    inTransaction(pool, async (tx) => {
      const decided = await timed(metrics, 'convert', () => convert(tx, batch, tools.snapshot))
      await factsAreIn
      await timed(metrics, 'book', () => record(tx, batch, decided, tools, unboxed))
      await addCounts(tx, batch.partition, countBatch(batch))
      if (!guardsOff.has('position')) await advance(tx, place, batch.from, batch.to, isFenced)
      return decided.outcomes
    }),
  ])
  if (facts.status === 'rejected') throw facts.reason
  if (booked.status === 'rejected') throw booked.reason
  if (unboxed.length > 0) await enqueueAfterwards(unboxed, tools)
  for (const outcome of booked.value)
    metrics.countConversions(outcome.kind === 'refused' ? outcome.reason : outcome.kind)
}

async function timed<T>(metrics: PipelineMetrics, step: string, work: () => Promise<T>): Promise<T> {
  const startedAt = performance.now()
  const result = await work()
  metrics.timeStep(step, performance.now() - startedAt)
  return result
}

async function insertBatch(batch: Batch, tools: WriteTools): Promise<void> {
  const { clicks, events } = renderFacts(batch)
  await insertTable(batch, tools, 'clicks', clicks.toBuffer())
  await insertTable(batch, tools, 'events', events.toBuffer())
  if (tools.guardsOff.has('token')) await delay(UNGUARDED_PAUSE_MS)
  if (batch.isResent) await mendFacts(batch, tools)
}

const rangeOf = (batch: Batch): string => `${batch.partition}:${batch.from}-${batch.to}`

const insertTable = (batch: Batch, tools: WriteTools, table: FactTable, lines: Buffer): Promise<void> =>
  insertFacts(tools.facts, { table, lines, range: rangeOf(batch) }, !tools.guardsOff.has('token'))

/** A table notes a token a moment before the part with the rows gets its name. A kill in between leaves the token without the
 * rows, and the range that is sent again would be dropped for ever: so what was sent again is looked for, and what is
 * missing is sent under a token of its own.
 */
async function mendFacts(batch: Batch, tools: WriteTools): Promise<void> {
  const range = { partition: batch.partition, from: batch.from, to: batch.to, column: 'log_offset' } as const
  const hasClick = await findPresent(tools.facts, { table: 'clicks', ...range })
  const hasEvent = await findPresent(tools.facts, { table: 'events', ...range })
  const { clicks, events } = renderFacts(batch, (offset) => !hasClick.has(offset) && !hasEvent.has(offset))
  const mended = { range: `${rangeOf(batch)}:mended` }
  await insertFacts(tools.facts, { table: 'clicks', lines: clicks.toBuffer(), ...mended })
  await insertFacts(tools.facts, { table: 'events', lines: events.toBuffer(), ...mended })
}

type Converted = Decided & { readonly inbound: readonly JudgedInbound[] }

/** Decides the batch's requests in the order of the log on top of the conversions that stand, and stores the result. */
async function convert(tx: Tx, batch: Batch, snapshot: Snapshot): Promise<Converted> {
  const asking = requestsOf(batch)
  const existing = await lockByClick(tx, [...new Set(asking.map(({ request }) => request.click.click_id))])
  const requests = asking.map(({ request }) => request)
  const decided = decideConversions(existing, requests, await openConversionScores(tx, snapshot, requests))
  await storeConversions(tx, decided.revisions)
  const outcomes = new Map(asking.map(({ offset }, index) => [offset, decided.outcomes[index]!]))
  return { ...decided, inbound: inboundOf(batch, outcomes) }
}

function requestsOf(batch: Batch): readonly { readonly offset: number; readonly request: ConversionRequest }[] {
  const requests: { readonly offset: number; readonly request: ConversionRequest }[] = []
  for (const { offset, verdict, isDuplicate } of batch.events)
    if (verdict.kind === 'conversion' && !isDuplicate) requests.push({ offset, request: verdict.request })
  for (const { offset, verdict } of batch.postbacks)
    if (verdict.kind === 'conversion') requests.push({ offset, request: verdict.request })
  return requests.sort((a, b) => a.offset - b.offset)
}

const inboundOf = (batch: Batch, outcomes: ReadonlyMap<number, ConversionOutcome>): readonly JudgedInbound[] =>
  batch.postbacks.map(({ offset, record, click, verdict }) => ({
    record,
    click,
    outcome: verdict.kind === 'refused' ? verdict : outcomes.get(offset)!,
  }))

async function record(
  tx: Tx,
  batch: Batch,
  decided: Converted,
  { snapshot, guardsOff }: WriteTools,
  unboxed: DeliveryCause[],
): Promise<void> {
  const enqueue: typeof enqueueDeliveries = guardsOff.has('outbox')
    ? async (_tx, causes) => void unboxed.push(...causes)
    : enqueueDeliveries
  await recordRevisions(tx, decided.revisions, snapshot, enqueue)
  await enqueue(tx, [...plainClicks(batch, snapshot), ...plainEvents(batch, snapshot)], snapshot)
  await storeInbound(tx, decided.inbound)
}

/** Between two steps that a guard holds together, where it is off: so long that a kill falls between them in every run, and not in one of
 * three.
 */
const UNGUARDED_PAUSE_MS = 300
/** Between the commit of conversions and that of their deliveries when the outbox is switched off: so long that a kill falls
 * into it within a minute. Without the wait the run would need an hour to show the same.
 */
const UNBOXED_PAUSE_MS = 400

/** What a program without an outbox does: books, commits, and then tells the queue. */
async function enqueueAfterwards(causes: readonly DeliveryCause[], { pool, snapshot }: WriteTools): Promise<void> {
  await delay(UNBOXED_PAUSE_MS)
  try {
    await enqueueDeliveriesUnsafely(pool, causes, snapshot)
  } catch {
    // The conversions are committed and the position has moved: nobody comes back to these. That is the loss to be shown.
    return
  }
}

const isWanted = (trigger: PostbackTrigger, { endpoints }: Snapshot): boolean =>
  endpoints.some(({ status, triggers }) => status === 'active' && triggers.includes(trigger))

/** Clicks that an offer or a flow took, where an endpoint wants to hear of them. Their records are read once more only then. */
function plainClicks(batch: Batch, snapshot: Snapshot): readonly DeliveryCause[] {
  if (!isWanted('click', snapshot)) return []
  return batch.clicks.flatMap(({ payload, isTaken, isDuplicate }) => {
    const click = isTaken && !isDuplicate ? readSoundClick(payload) : undefined
    return click === undefined ? [] : [{ trigger: 'click', click, at: click.at } as const]
  })
}

/** Events that made no conversion, where an endpoint wants to hear of them. */
function plainEvents(batch: Batch, snapshot: Snapshot): readonly DeliveryCause[] {
  if (!isWanted('event', snapshot)) return []
  return batch.events.flatMap(({ record: event, verdict, isDuplicate }) =>
    verdict.kind === 'accepted' && !isDuplicate
      ? [{ trigger: 'event', event, click: verdict.click, at: event.at } as const]
      : [],
  )
}
