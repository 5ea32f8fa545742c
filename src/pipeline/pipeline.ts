import type { CapState } from '#caps'
import type { FaultGuard } from '#config'
import { offersById, releaseHolds } from '#conversions'
import type { HotState } from '#hot-state'
import type { EventLog, LogBatch, Partition, ReadLimits, RetentionPolicy } from '#log'
import type { FactsClient } from '#platform/clickhouse'
import type { Clock } from '#platform/clock'
import { WaypostError } from '#platform/errors'
import type { LogLines } from '#platform/log-lines'
import type { Pool } from '#platform/postgres'
import type { Snapshot } from '#routing'

import { countBatch, type Batch } from './batch.ts'
import { startClickIndexer } from './click-indexer.ts'
import { startConversionFacts } from './conversion-facts.ts'
import { createPipelineMetrics } from './metrics.ts'
import { takeOver, type Place } from './positions.ts'
import { pause, Stopped, untilDone, waitUnlessStopped } from './retry.ts'
import { startCapSettlement, type CapSettlement } from './settle-caps.ts'
import { steps, type Plan } from './steps.ts'
import { writeBatch } from './write-batch.ts'

export type PipelineOptions = {
  readonly log: EventLog
  readonly hotState: HotState
  readonly pool: Pool
  readonly facts: FactsClient
  /** Counts of caps, which conversions settle in; left out: nobody asks for them. */
  readonly caps?: CapState | undefined
  /** The configuration; the pipeline waits until there is one. */
  readonly snapshots: { readonly current: () => Snapshot | undefined }
  readonly clock: Clock
  readonly logLines: LogLines
  /** How long a click can be found by its id; default 90 days. */
  readonly clickIndexMs?: number
  /** Left out: nothing of the log is dropped. */
  readonly logRetention?: RetentionPolicy
  /** Guards that the fault run switches off to see it turn red; never set otherwise. `token`: facts are inserted without a
   * deduplication token. `position`: the place in the log moves before, not with, what was made of it. `fence`: a consumer that
   * was taken over goes on committing. `outbox`: deliveries are enqueued outside of the transaction of their conversion.
   */
  readonly guardsOff?: ReadonlySet<FaultGuard>
}

export type Pipeline = {
  /** Ends after the batch at hand is written, or given up where an engine is away: the next start sends it again. */
  readonly stop: () => Promise<void>
  /** Prometheus text of its metrics. */
  readonly readMetrics: () => Promise<string>
  /** Caps have counted the revisions of conversions below; undefined: not all yet that a power cut took, or there are no caps. */
  readonly capPlace: () => number | undefined
  /** Partitions that another consumer took over; this one left them alone from then on. Normally empty. */
  readonly fencedPartitions: () => readonly Partition[]
  /** Resolves when everything that is in the log now, and every revision of a conversion made from it, is in the facts and caps. */
  readonly drained: () => Promise<void>
}

/** Name of the pipeline's rows in consumer_positions and to the log. */
export const PIPELINE_CONSUMER = 'pipeline'

/** Large batches cost less to merge; two of them are in memory at a time. */
const LIMITS: ReadLimits = { maxRecords: 20_000, maxBytes: 24 << 20 }
/** With little to do, records gather this long before they are written: each batch is a part for ClickHouse to merge, and five
 * a second are no burden. Longer only makes reports later.
 */
const LINGER_MS = 200
/** From this many waiting records on nothing lingers. */
const BACKLOG_RECORDS = 2_000
/** The longest that a new partition goes unnoticed. */
const LOOK_AGAIN_MS = 1_000
const HOLDS_EVERY_MS = 60_000
const CLEAN_EVERY_MS = 600_000
const DAY_MS = 86_400_000
/** Claims of visitors last a year at most; those of events as long as their clicks. */
const CLAIMS_KEPT_MS = 366 * DAY_MS

type Reader = { readonly place: Place; next: number; pendingTo: number | undefined; isFenced: boolean }

/** Starts everything between the log and the databases: the click index, the pipeline itself, the way of conversions into the
 * facts, and the end of holds. PostgreSQL and ClickHouse may be away at any time: it waits and goes on.
 */
export async function startPipeline(options: PipelineOptions): Promise<Pipeline> {
  const { log, hotState, pool, facts, snapshots, clock, logLines } = options
  const guardsOff = options.guardsOff ?? new Set()
  const stopping = new AbortController()
  const { signal } = stopping
  const retry = { signal, logLines }
  const metrics = createPipelineMetrics()
  const indexer = startClickIndexer({ log, hotState, logLines })
  const conversionFacts = startConversionFacts({ pool, facts, logLines, guardsOff })
  const capSettlement =
    options.caps && startCapSettlement({ log, pool, clock, logLines, metrics, caps: options.caps, currentSnapshot })
  const readers = new Map<Partition, Reader>()
  let written: Promise<void> = Promise.resolve()

  async function readerOf(partition: Partition): Promise<Reader> {
    const known = readers.get(partition)
    if (known !== undefined) return known
    const taken = await untilDone('taking a partition over', () => takeOver(pool, PIPELINE_CONSUMER, partition), retry)
    const reader = { place: taken.place, next: taken.position, pendingTo: taken.pendingTo, isFenced: false }
    readers.set(partition, reader)
    return reader
  }

  /** The next batch of a partition; the one that an earlier run left unfinished goes first, cut as it was. */
  async function readNext(partition: Partition, reader: Reader): Promise<Batch | undefined> {
    const from = reader.next
    const isResent = reader.pendingTo !== undefined
    const read =
      reader.pendingTo === undefined
        ? await log.read(partition, from, LIMITS)
        : await log.readRange(partition, from, reader.pendingTo)
    const to = reader.pendingTo ?? read.nextOffset
    if (to === from) return undefined
    reader.next = to
    reader.pendingTo = undefined
    return toBatch(read, partition, from, to, isResent)
  }

  function tellOfRevisions(): void {
    conversionFacts.wake()
    capSettlement?.wake()
  }

  async function currentSnapshot(): Promise<Snapshot> {
    for (;;) {
      const snapshot = snapshots.current()
      if (snapshot !== undefined) return snapshot
      await pause(LINGER_MS, signal)
    }
  }

  const planOf = makePlanCache()

  async function prepare(batch: Batch, snapshot: Snapshot): Promise<void> {
    const tools = {
      hotState,
      logLines,
      plan: planOf(snapshot),
      clickIndexIsComplete: indexer.isComplete,
      clickIndexHasPassed: indexer.hasPassed,
    }
    for (const step of steps) {
      const startedAt = performance.now()
      await untilDone(`step ${step.name}`, async () => step.run(batch, tools), retry)
      metrics.timeStep(step.name, performance.now() - startedAt)
    }
  }

  async function write(batch: Batch, reader: Reader, snapshot: Snapshot): Promise<void> {
    if (reader.isFenced) return
    try {
      const tools = { pool, facts, snapshot, metrics, guardsOff }
      await untilDone('writing a batch', () => writeBatch(batch, reader.place, tools), retry)
    } catch (error) {
      if (!(error instanceof WaypostError)) throw error
      reader.isFenced = true
      logLines.error({ err: error, partition: batch.partition }, 'another pipeline works on this partition: leaving it')
      return
    }
    metrics.countRecords(batch.partition, countBatch(batch))
    metrics.setAge(batch.partition, clock.now() - batch.appendedAt)
    tellOfRevisions()
    const tellPlace = (): Promise<void> => log.commitPosition(PIPELINE_CONSUMER, batch.partition, batch.to)
    await untilDone('telling the log its place', tellPlace, retry)
  }

  /** While one batch is written, the next is read and prepared. @returns records left in the partition */
  async function workOn(partition: Partition): Promise<number> {
    const reader = await readerOf(partition)
    if (reader.isFenced) return 0
    const batch = await untilDone('reading the log', () => readNext(partition, reader), retry)
    const { nextOffset } = await untilDone('reading the log', () => log.bounds(partition), retry)
    metrics.setLag(partition, nextOffset - reader.next)
    if (batch === undefined) return 0
    const snapshot = await currentSnapshot()
    await prepare(batch, snapshot)
    await written
    written = write(batch, reader, snapshot)
    // Awaited with the next batch, or when there is none: until then a failure is nobody's.
    written.catch(() => undefined)
    return nextOffset - reader.next
  }

  const waitForMore = (): Promise<void> => waitUnlessStopped(log.waitForAppend(LOOK_AGAIN_MS), signal)

  async function run(): Promise<void> {
    while (!signal.aborted) {
      let left = 0
      const partitions = await untilDone('reading the log', () => log.partitions(), retry)
      for (const partition of partitions) left = Math.max(left, await workOn(partition))
      if (left >= BACKLOG_RECORDS) continue
      await written
      if (left === 0) await untilDone('reading the log', waitForMore, retry)
      await pause(LINGER_MS, signal)
    }
    await written
  }

  async function every(ms: number, what: string, work: (nowMs: number) => Promise<void>): Promise<void> {
    for (;;) {
      await untilDone(what, () => work(clock.now()), retry)
      await pause(ms, signal)
    }
  }

  async function releaseEndedHolds(nowMs: number): Promise<void> {
    const snapshot = await currentSnapshot()
    while (!signal.aborted && (await releaseHolds(pool, snapshot, nowMs)) > 0) tellOfRevisions()
  }

  async function clean(nowMs: number): Promise<void> {
    const clicksBeforeMs = nowMs - (options.clickIndexMs ?? 90 * DAY_MS)
    await hotState.forgetBefore({ clicksBeforeMs, claimsBeforeMs: nowMs - CLAIMS_KEPT_MS })
    if (options.logRetention !== undefined) await log.enforceRetention(options.logRetention, nowMs)
  }

  const loops = [
    run(),
    every(HOLDS_EVERY_MS, 'releasing holds', releaseEndedHolds),
    every(CLEAN_EVERY_MS, 'dropping what is past its time', clean),
  ].map((loop) =>
    loop.catch((error: unknown) => {
      if (!(error instanceof Stopped))
        logLines.fatal({ err: error }, 'a loop of the pipeline ended by a mistake of ours')
    }),
  )

  return {
    stop: async () => {
      stopping.abort()
      await indexer.stop()
      await Promise.all(loops)
      await written.catch(() => undefined)
      await conversionFacts.stop()
      await capSettlement?.stop()
    },
    readMetrics: () => metrics.registry.metrics(),
    capPlace: () => capSettlement?.place(),
    fencedPartitions: () => [...readers].filter(([, { isFenced }]) => isFenced).map(([partition]) => partition),
    drained: () => waitUntilDrained(options, capSettlement, signal),
  }
}

const toBatch = (read: LogBatch, partition: Partition, from: number, to: number, isResent: boolean): Batch => ({
  partition,
  from,
  to,
  payloads: read.records,
  damaged: read.damaged,
  isResent,
  appendedAt: read.records.at(-1)?.appendedAt ?? 0,
  clicks: [],
  events: [],
  postbacks: [],
  undecodable: 0,
})

/** Derived once per snapshot, not once per batch. */
function makePlanCache(): (snapshot: Snapshot) => Plan {
  let cached: { readonly snapshot: Snapshot; readonly plan: Plan } | undefined
  return (snapshot) => {
    if (cached?.snapshot !== snapshot)
      cached = {
        snapshot,
        plan: {
          offers: offersById(snapshot.offers),
          campaignTtlHours: new Map(
            snapshot.campaigns.map(({ campaign_id, unique_ttl_hours }) => [campaign_id, unique_ttl_hours]),
          ),
        },
      }
    return cached.plan
  }
}

const POSITIONS = `
  SELECT log_partition, position FROM consumer_positions WHERE consumer = '${PIPELINE_CONSUMER}'`
const REVISIONS_LEFT = `
  SELECT coalesce((SELECT max(seq) + 1 FROM conversion_revisions), 0)::bigint
    - coalesce((SELECT position FROM consumer_positions WHERE consumer = 'conversion-facts'), 0) AS "left"`
const LAST_REVISION = 'SELECT coalesce(max(seq), -1)::bigint AS seq FROM conversion_revisions'
const DRAIN_POLL_MS = 25

/** @throws {Stopped} */
async function waitUntilDrained(
  { log, pool }: PipelineOptions,
  caps: CapSettlement | undefined,
  signal: AbortSignal,
): Promise<void> {
  const bounds = new Map<Partition, number>()
  for (const partition of await log.partitions()) bounds.set(partition, (await log.bounds(partition)).nextOffset)
  while (!(await isDrained(pool, bounds))) await pause(DRAIN_POLL_MS, signal)
  const { rows } = await pool.query<{ seq: bigint }>(LAST_REVISION)
  while (caps?.hasPassed(rows[0]!.seq) === false) await pause(DRAIN_POLL_MS, signal)
}

/** Whether positions have reached the bounds and no revision waits. */
export async function isDrained(pool: Pool, bounds: ReadonlyMap<Partition, number>): Promise<boolean> {
  const { rows } = await pool.query<{ log_partition: string; position: bigint }>(POSITIONS)
  const positions = new Map(rows.map(({ log_partition, position }) => [log_partition, Number(position)]))
  if ([...bounds].some(([partition, offset]) => (positions.get(partition) ?? 0) < offset)) return false
  const answer = await pool.query<{ left: bigint }>(REVISIONS_LEFT)
  return answer.rows[0]!.left <= 0n
}
