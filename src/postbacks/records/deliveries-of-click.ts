import type { Pool, Tx } from '#platform/postgres'
import { listAllAttempts, type AskArchive } from './archived-attempts.ts'
import { listDeliveries, ROWS_MAX, type ClickDeliveries } from './deliveries.ts'
import { searchWhyNot } from './why-not.ts'

/** Everything that was sent for a click, newest first and try by try, and what was not and why, oldest first.
 * @param ask reads the tries that are in ClickHouse only
 */
export async function deliveriesOfClick(db: Tx | Pool, ask: AskArchive, clickId: string): Promise<ClickDeliveries> {
  const rows = await listDeliveries(db, { click_id: clickId }, undefined, ROWS_MAX)
  const tries = await listAllAttempts(db, ask, rows)
  const byDelivery = Map.groupBy(tries, (row) => row.delivery_id)
  return {
    deliveries: rows.map((row) => ({ ...row, tries: byDelivery.get(row.delivery_id) ?? [] })),
    whyNot: (await searchWhyNot(db, { click_id: clickId }, undefined, ROWS_MAX)).toReversed(),
  }
}
