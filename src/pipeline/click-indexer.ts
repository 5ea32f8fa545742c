import type { HotState } from '#hot-state'
import type { EventLog, Partition, ReadLimits } from '#log'
import type { LogLines } from '#platform/log-lines'
import { clickIdOf } from '#records'

import { Stopped, untilDone, waitUnlessStopped } from './retry.ts'

const LIMITS: ReadLimits = { maxRecords: 10_000, maxBytes: 16 << 20 }
/** The longest that a new partition goes unnoticed. */
const LOOK_AGAIN_MS = 1_000

/** Keeps the click index up with the log. It needs neither PostgreSQL nor ClickHouse, so clicks stay known while both are away;
 * its place is in the hot state itself, and where that is lost the index is built again from the log.
 */
export type ClickIndexer = {
  /** Resolves when the index has passed everything that was in the log when this was called.
   * @throws {Stopped} the indexer was stopped before
   */
  readonly isComplete: () => Promise<void>
  /** Resolves when the index has passed the records of a partition before an offset.
   * @throws {Stopped} the indexer was stopped before
   */
  readonly hasPassed: (partition: Partition, offset: number) => Promise<void>
  readonly stop: () => Promise<void>
}

type Waiter = {
  readonly bounds: ReadonlyMap<Partition, number>
  readonly resolve: () => void
  readonly reject: (error: Stopped) => void
}

/** Starts indexing at once. */
export function startClickIndexer(options: {
  readonly log: EventLog
  readonly hotState: HotState
  readonly logLines: LogLines
}): ClickIndexer {
  const { log, hotState, logLines } = options
  const stopping = new AbortController()
  const { signal } = stopping
  let waiters: Waiter[] = []

  const placeOf = (partition: Partition): number => hotState.indexPosition(partition)?.nextOffset ?? 0
  const isPast = ({ bounds }: Waiter): boolean =>
    [...bounds].every(([partition, offset]) => placeOf(partition) >= offset)

  function releaseWaiters(): void {
    const isReady = waiters.map(isPast)
    waiters.filter((_, index) => isReady[index]).forEach(({ resolve }) => resolve())
    waiters = waiters.filter((_, index) => !isReady[index])
  }

  async function indexNext(partition: Partition): Promise<boolean> {
    const from = placeOf(partition)
    const batch = await log.read(partition, from, LIMITS)
    if (batch.nextOffset === from) return false
    const clicks = batch.records.flatMap(({ payload }) => {
      const clickId = clickIdOf(payload)
      return clickId === undefined ? [] : [{ clickId, payload }]
    })
    const appendedAt = batch.records.at(-1)?.appendedAt ?? hotState.indexPosition(partition)?.appendedAt ?? 0
    await hotState.indexClicks(clicks, { partition, nextOffset: batch.nextOffset, appendedAt })
    releaseWaiters()
    return true
  }

  async function indexAll(): Promise<boolean> {
    let hasMoved = false
    for (const partition of await log.partitions()) if (await indexNext(partition)) hasMoved = true
    return hasMoved
  }

  const waitForMore = (): Promise<void> => waitUnlessStopped(log.waitForAppend(LOOK_AGAIN_MS), signal)

  async function run(): Promise<void> {
    while (!signal.aborted) {
      const hasMoved = await untilDone('indexing clicks', indexAll, { signal, logLines })
      if (!hasMoved) await untilDone('waiting for the log', waitForMore, { signal, logLines })
    }
  }

  const finished = run().catch((error: unknown) => {
    if (!(error instanceof Stopped)) throw error
  })

  async function waitUntilPast(bounds: ReadonlyMap<Partition, number>): Promise<void> {
    if (signal.aborted) throw new Stopped()
    await new Promise<void>((resolve, reject) => {
      waiters.push({ bounds, resolve, reject })
      releaseWaiters()
    })
  }

  return {
    isComplete: async () => {
      const bounds = new Map<Partition, number>()
      for (const partition of await log.partitions()) bounds.set(partition, (await log.bounds(partition)).nextOffset)
      await waitUntilPast(bounds)
    },
    hasPassed: (partition, offset) => waitUntilPast(new Map([[partition, offset]])),
    stop: async () => {
      stopping.abort()
      for (const { reject } of waiters) reject(new Stopped())
      waiters = []
      await finished
    },
  }
}
