import type { LogLines } from '#platform/log-lines'
import type { Pool, Tx } from '#platform/postgres'
import { supervise } from '../supervise.ts'

/** What waits for an endpoint. */
export type QueueLength = {
  readonly endpoint_id: string
  /** For its first try, or for one that is due. */
  readonly ready: number
  /** For its next try. */
  readonly deferred: number
  /** Due, and about an affiliate or advertiser that is paused. */
  readonly held: number
  /** When the oldest of them was made. */
  readonly oldest_at: Date
}

/** By endpoint, the longest queue first, as it was at one moment. */
export type QueueLengths = { readonly at: Date; readonly endpoints: ReadonlyMap<string, QueueLength> }

const SAMPLE = `
  SELECT endpoint_id, count(*) FILTER (WHERE place = 'ready')::float8 AS ready, count(*) FILTER (WHERE place = 'deferred')::float8 AS deferred,
    count(*) FILTER (WHERE place = 'held')::float8 AS held, min(created_at) AS oldest_at
  FROM (
    SELECT endpoint_id, created_at, 'ready' AS place FROM delivery_ready
    UNION ALL SELECT endpoint_id, created_at, 'deferred' FROM delivery_deferred
    UNION ALL SELECT endpoint_id, created_at, 'held' FROM delivery_held
  ) AS w GROUP BY endpoint_id ORDER BY count(*) DESC`

/** Counts what waits. Reads the hot tables once: its cost is what waits, never what was sent. */
export async function readQueueLengths(db: Pool | Tx): Promise<QueueLengths> {
  const { rows } = await db.query<QueueLength>(SAMPLE)
  return { at: new Date(), endpoints: new Map(rows.map((row) => [row.endpoint_id, row])) }
}

const INTERVAL_MS_MIN = 10_000
/** A million rows take some hundred milliseconds to count: never more than a twentieth of the time. */
const INTERVAL_SHARE = 20

/** Counts what waits again and again, so that whoever asks reads memory. */
export function watchQueueLengths(options: { readonly pool: Pool; readonly logLines: LogLines }): {
  readonly current: () => QueueLengths | undefined
  readonly stop: () => Promise<void>
} {
  let sample: QueueLengths | undefined
  const loop = supervise('queue lengths', options.logLines, async () => {
    const startedAt = performance.now()
    sample = await readQueueLengths(options.pool)
    return Math.max(INTERVAL_MS_MIN, (performance.now() - startedAt) * INTERVAL_SHARE)
  })
  return { current: () => sample, stop: loop.stop }
}
