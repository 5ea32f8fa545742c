import { setTimeout as delay } from 'node:timers/promises'
import type { Pool } from '#platform/postgres'

const LOOK_EVERY_MS = 2
const WAIT_MS_MAX = 30_000

/** Resolves when the query has no row any more.
 * @throws {Error} it has one for half a minute
 */
export async function eventuallyEmpty(pool: Pool, sql: string): Promise<void> {
  const until = performance.now() + WAIT_MS_MAX
  while ((await pool.query(sql)).rows.length > 0) {
    if (performance.now() > until) throw new Error(`there is still a row of: ${sql}`)
    await delay(LOOK_EVERY_MS)
  }
}
