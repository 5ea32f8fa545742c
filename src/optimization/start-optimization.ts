import type { CapCounters } from '#caps'
import type { FactsClient } from '#platform/clickhouse'
import type { Clock } from '#platform/clock'
import type { LogLines } from '#platform/log-lines'
import { repeat } from '#platform/loops'
import type { Pool } from '#platform/postgres'
import type { SnapshotFollower } from '#snapshots'

import { learnOnce } from './learn.ts'

export type OptimizationOptions = {
  readonly pool: Pool
  readonly facts: FactsClient
  /** Counts of caps; left out: every arm is taken to have room. */
  readonly caps?: Pick<CapCounters, 'read'> | undefined
  readonly snapshots: Pick<SnapshotFollower, 'current'>
  readonly clock: Clock
  readonly logLines: LogLines
  /** Between two runs; a minute unless given. */
  readonly intervalMs?: number
}

export type Optimization = {
  /** Ends after the place at hand. */
  readonly stop: () => Promise<void>
}

const INTERVAL_MS = 60_000

/** Learns weights once a minute. While PostgreSQL or ClickHouse is away nothing is learned, the weights in use stay, and the first
 * failure in a row is logged.
 */
export function startOptimization(options: OptimizationOptions): Optimization {
  const { snapshots, clock, logLines, intervalMs = INTERVAL_MS } = options
  const learn = async (signal: AbortSignal): Promise<void> => {
    const snapshot = snapshots.current()
    if (snapshot !== undefined) await learnOnce(options, snapshot, clock.now(), signal)
  }
  return repeat(learn, {
    ...{ logLines, intervalMs },
    failed: 'Weights cannot be learned; those in use stay.',
    recovered: 'Weights are learned again.',
  })
}
