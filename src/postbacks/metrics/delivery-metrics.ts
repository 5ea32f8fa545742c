import type { Pool } from '#platform/postgres'
import type { Completion } from '../queue/queue.ts'

/** Tries since the start of the process. */
export type AttemptCounts = {
  readonly delivered: number
  readonly retry: number
  readonly gave_up: number
  /** Recorded too late: another worker had taken the lease over. Also counted under their outcome. */
  readonly late: number
}

export type DeliveryCounters = {
  readonly count: (completions: readonly Completion[], lateCount: number) => void
  readonly attempts: () => AttemptCounts
}

export function createDeliveryCounters(): DeliveryCounters {
  const counts = { delivered: 0, retry: 0, gave_up: 0, late: 0 }
  return {
    count: (completions, lateCount) => {
      for (const { outcome } of completions) counts[outcome] += 1
      counts.late += lateCount
    },
    attempts: () => ({ ...counts }),
  }
}

/** What waits, over all workers. */
export type QueueDepth = {
  /** Due now, or being tried. */
  readonly readyCount: number
  /** Waiting for their next try, for an earlier message of their click, or for the end of a pause. */
  readonly deferredCount: number
  /** Age of the delivery that has been due longest, seconds; 0 where none is. */
  readonly oldestDueSeconds: number
}

const DEPTH = `
  SELECT
    (SELECT count(*) FROM delivery_deferred) + (SELECT count(*) FROM delivery_held) + count(*) FILTER (WHERE run_at = 'infinity') AS deferred,
    count(*) FILTER (WHERE run_at <> 'infinity') AS ready,
    coalesce(extract(epoch FROM now() - min(run_at) FILTER (WHERE run_at <> 'infinity')), 0)::float8 AS oldest
  FROM delivery_ready`

/** Depth of the queue, for /metrics. Reads the hot tables only, whose size is what waits and not what was ever sent. */
export async function readQueueDepth(pool: Pool): Promise<QueueDepth> {
  const { rows } = await pool.query<{ deferred: bigint; ready: bigint; oldest: number }>(DEPTH)
  const row = rows[0]!
  return {
    readyCount: Number(row.ready),
    deferredCount: Number(row.deferred),
    oldestDueSeconds: Math.max(0, row.oldest),
  }
}
