import type { FactsClient } from '#platform/clickhouse'
import type { Clock } from '#platform/clock'
import type { LogLines } from '#platform/log-lines'
import type { Pool } from '#platform/postgres'

import { supervise } from '../supervise.ts'
import { archiveAttempts, dropArchived } from './archive-attempts.ts'
import { dropDeliveries, dropKeys, dropReasonsAndSpans } from './drop-history.ts'
import { makePartitions } from './partitions.ts'

const DAY_MS = 86_400_000
const INTERVAL_MS = 600_000
/** Beyond the time in which a click can be found: clocks, and a pipeline that is behind. */
const KEY_MARGIN_DAYS = 7

/** How long each part of the history is kept. */
export type HistoryRetention = {
  /** Messages, how they ended, and reasons why others were not sent. */
  readonly deliveryDays: number
  /** Attempts in PostgreSQL. */
  readonly attemptDays: number
  /** Attempts in ClickHouse. */
  readonly archiveDays: number
  /** Days that a click can be found by its id, and so cause something again. */
  readonly clickDays: number
}

export type HistoryOptions = {
  readonly pool: Pool
  /** The client for writing. */
  readonly facts: FactsClient
  readonly retention: HistoryRetention
  readonly clock: Clock
  readonly logLines: LogLines
}

/** What one round did. */
export type HistoryRound = {
  readonly made: number
  readonly dropped: readonly string[]
  /** Over, and kept because something of it still waits or has not arrived in ClickHouse. */
  readonly kept: readonly string[]
}

/** One round: makes partitions ahead, moves old attempts to ClickHouse, drops what is over.
 * @throws what PostgreSQL or ClickHouse throws; the next round goes on
 */
export async function keepHistoryOnce(
  { pool, facts, retention, clock }: Omit<HistoryOptions, 'logLines'>,
  stopSignal?: AbortSignal,
): Promise<HistoryRound> {
  const nowMs = clock.now()
  const before = (days: number): number => nowMs - days * DAY_MS
  const made = await makePartitions(pool, nowMs)
  // Attempts first: they say how the deliveries ended.
  const attempts = await archiveAttempts(pool, facts, before(retention.attemptDays), stopSignal)
  const deliveries = await dropDeliveries(pool, before(retention.deliveryDays))
  const keyDays = Math.max(retention.clickDays, retention.deliveryDays) + KEY_MARGIN_DAYS
  return {
    made,
    dropped: [
      ...attempts.dropped,
      ...deliveries.dropped,
      ...(await dropReasonsAndSpans(pool, before(retention.deliveryDays), nowMs)),
      ...(await dropKeys(pool, before(keyDays))),
      ...(await dropArchived(facts, before(retention.archiveDays))).map((day) => `ClickHouse ${day}`),
    ],
    kept: [...attempts.kept, ...deliveries.kept],
  }
}

const NOTHING: HistoryRound = { made: 0, dropped: [], kept: [] }

/** Keeps the history of deliveries in shape, a round every ten minutes. Several may run: one works at a time. */
export function keepHistory(options: HistoryOptions): { readonly stop: () => Promise<void> } {
  const stopping = new AbortController()
  const loop = supervise('history', options.logLines, async () => {
    const round = await keepHistoryOnce(options, stopping.signal).catch((error: unknown) => {
      if (stopping.signal.aborted) return NOTHING
      throw error
    })
    if (round.made + round.dropped.length > 0) options.logLines.info(round, 'history of deliveries')
    if (round.kept.length > 0)
      options.logLines.warn({ kept: round.kept }, 'history that is over is kept: it still waits')
    return INTERVAL_MS
  })
  return {
    stop: () => {
      stopping.abort()
      return loop.stop()
    },
  }
}
