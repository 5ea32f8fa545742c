import { setTimeout as delay } from 'node:timers/promises'

import type { Pool } from '#platform/postgres'
import { listAttempts, type AttemptRow } from './deliveries.ts'

/** The worker may be in another process: the try is seen when it is on record. */
const LOOK_INTERVAL_MS = 50

/** A test is tried once: its owner has seen what came of it. One that the next try has begun of already is left alone. */
const CANCEL = `
  WITH gone AS (
    DELETE FROM delivery_deferred WHERE delivery_id = $1 RETURNING delivery_id, created_at, endpoint_id, attempts
  )
  INSERT INTO delivery_finals (delivery_id, created_at, endpoint_id, state, reason, attempts, finished_at)
  SELECT delivery_id, created_at, endpoint_id, 'cancelled', NULL, attempts, now() FROM gone`

/** Waits for the try of a test, and cancels the tries after it. Its record keeps the time at which there would have been another;
 * what is returned has none.
 * @returns undefined where none was made in the time; it will be when a worker comes to it
 */
export async function awaitTest(pool: Pool, deliveryId: bigint, waitMs: number): Promise<AttemptRow | undefined> {
  const until = performance.now() + waitMs
  for (;;) {
    const attempt = (await listAttempts(pool, [deliveryId])).find((row) => !row.is_fenced)
    if (attempt?.outcome === 'retry') {
      const { rowCount } = await pool.query(CANCEL, [deliveryId])
      return rowCount === 0 ? attempt : { ...attempt, next_at: null }
    }
    if (attempt !== undefined || performance.now() >= until) return attempt
    await delay(LOOK_INTERVAL_MS)
  }
}
