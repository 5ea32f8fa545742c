import { setTimeout as delay } from 'node:timers/promises'

import type { CapCounters } from '#caps'
import type { FactsClient } from '#platform/clickhouse'
import type { Clock } from '#platform/clock'
import type { LogLines } from '#platform/log-lines'
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
  const stopping = new AbortController()
  const { signal } = stopping
  let failures = 0

  async function run(): Promise<void> {
    const snapshot = snapshots.current()
    if (snapshot === undefined) return
    try {
      await learnOnce(options, snapshot, clock.now(), signal)
      if (failures > 0) logLines.info({ failures }, 'Weights are learned again.')
      failures = 0
    } catch (error) {
      if (failures === 0) logLines.warn({ err: error }, 'Weights cannot be learned; those in use stay.')
      failures += 1
    }
  }

  async function runAgainAndAgain(): Promise<void> {
    while (!signal.aborted) {
      await run()
      await delay(intervalMs, undefined, { signal }).catch(() => undefined)
    }
  }

  const running = runAgainAndAgain()
  return {
    stop: async () => {
      stopping.abort()
      await running
    },
  }
}
