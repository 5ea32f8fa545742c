import type { Pool, Tx } from '#platform/postgres'

import {
  dropPartition,
  historyTables,
  inHistoryTransaction,
  listPartitions,
  raiseHorizon,
  withLocks,
  type HistoryTable,
  type Partition,
} from './partitions.ts'

/** What was dropped, and what stays although its time is over because something in it still waits to be delivered. */
export type Dropped = { readonly dropped: readonly string[]; readonly kept: readonly string[] }

const DAY_MS = 86_400_000
/** Spans of endpoints are read for the last day. */
const SPAN_DAYS = 3

/** Whether something of the period waits. Rows of old deliveries never enter these tables anew, they only move from one to the
 * next, each time within one statement: whoever sees none will never see one.
 */
const WAITS = `
  SELECT EXISTS (SELECT FROM delivery_ready WHERE created_at >= $1 AND created_at < $2)
    OR EXISTS (SELECT FROM delivery_deferred WHERE created_at >= $1 AND created_at < $2)
    OR EXISTS (SELECT FROM delivery_held WHERE created_at >= $1 AND created_at < $2) AS waits`

async function waits(tx: Tx, { from, to }: Partition): Promise<boolean> {
  return (await tx.query<{ waits: boolean }>(WAITS, [from, to])).rows[0]!.waits
}

const isOver = (keptFromMs: number) => (partition: Partition) => partition.to.getTime() <= keptFromMs

/** Drops days of deliveries with how they ended and what their last tries were, unless something of the day still waits. */
export async function dropDeliveries(pool: Pool, keptFromMs: number): Promise<Dropped> {
  const days = (await listPartitions(pool, historyTables.deliveries)).filter(isOver(keptFromMs))
  const dropped: string[] = []
  const kept: string[] = []
  for (const day of days) {
    const isDropped = await withLocks(() => inHistoryTransaction(pool, (tx) => dropDeliveriesOf(tx, day)))
    ;(isDropped ? dropped : kept).push(day.name)
  }
  return { dropped, kept }
}

async function dropDeliveriesOf(tx: Tx, day: Partition): Promise<boolean> {
  if (await waits(tx, day)) return false
  const { deliveries, finals, lastTries } = historyTables
  // Together: a delivery without its end would look forgotten.
  for (const table of [deliveries, finals, lastTries]) {
    const name = day.name.replace(deliveries.name, table.name)
    const { rows } = await tx.query<{ is_there: boolean }>('SELECT to_regclass($1) IS NOT NULL AS is_there', [name])
    if (rows[0]!.is_there) await dropPartition(tx, table, name)
  }
  await raiseHorizon(tx, deliveries, day.to)
  return true
}

/** Drops what stands for itself: reasons why something was not sent, and the counts of endpoints.
 * @returns names of the partitions
 */
export async function dropReasonsAndSpans(pool: Pool, keptFromMs: number, nowMs: number): Promise<readonly string[]> {
  return [
    ...(await dropWhole(pool, historyTables.whyNot, keptFromMs)),
    ...(await dropWhole(pool, historyTables.spans, nowMs - SPAN_DAYS * DAY_MS)),
  ]
}

async function dropWhole(pool: Pool, table: HistoryTable, keptFromMs: number): Promise<readonly string[]> {
  const over = (await listPartitions(pool, table)).filter(isOver(keptFromMs))
  for (const partition of over)
    await withLocks(() =>
      inHistoryTransaction(pool, async (tx) => {
        await dropPartition(tx, table, partition.name)
        await raiseHorizon(tx, table, partition.to)
      }),
    )
  return over.map(({ name }) => name)
}

/** Drops the keys of clicks so old that nothing can come of them a second time: the week of the clicks is over, and nothing was
 * made of one of them since.
 * @returns names of the partitions
 */
export async function dropKeys(pool: Pool, keptFromMs: number): Promise<readonly string[]> {
  const over = (await listPartitions(pool, historyTables.keys)).filter(isOver(keptFromMs))
  const dropped: string[] = []
  for (const week of over) {
    const isDropped = await withLocks(() =>
      inHistoryTransaction(pool, async (tx) => {
        // Held against writers, so that no key comes between the look and the drop.
        await tx.query(`LOCK TABLE ONLY ${week.name} IN SHARE MODE`)
        const { rows } = await tx.query<{ is_used: boolean }>(
          `SELECT EXISTS (SELECT FROM ${week.name} WHERE created_at >= $1) AS is_used`,
          [new Date(keptFromMs)],
        )
        if (rows[0]!.is_used) return false
        await dropPartition(tx, historyTables.keys, week.name)
        return true
      }),
    )
    if (isDropped) dropped.push(week.name)
  }
  return dropped
}
