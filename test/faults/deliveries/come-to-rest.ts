import { setTimeout as delay } from 'node:timers/promises'
import type { Pool } from '#platform/postgres'

const LOOK_MS = 250
const UNENDED = `
  SELECT count(*)::int AS count FROM deliveries AS d
  WHERE NOT EXISTS (SELECT FROM delivery_ends AS e WHERE e.delivery_id = d.delivery_id)`
/** As if the time until then had passed: a ladder of three days is nothing to wait for. */
const PULL_FORWARD = 'UPDATE delivery_deferred SET run_at = now() WHERE run_at > now()'

/** Waits until every delivery has ended; what waits for its next try is made due.
 * @returns deliveries that had not ended when the time was over
 */
export async function comeToRest(pool: Pool, secondsMax: number): Promise<number> {
  const deadline = performance.now() + secondsMax * 1000
  for (;;) {
    await pool.query(PULL_FORWARD)
    const { rows } = await pool.query<{ count: number }>(UNENDED)
    const [{ count }] = rows as [{ count: number }]
    if (count === 0 || performance.now() > deadline) return count
    await delay(LOOK_MS)
  }
}

export const notAtRest = (unended: number): readonly string[] =>
  unended === 0 ? [] : [`${unended} deliveries had not ended when everything should have been at rest`]
