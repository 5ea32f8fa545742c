import type { FactTable } from '#facts'
import type { Pool, Tx } from '#platform/postgres'

import { dayOf } from './policies.ts'
import { KEPT_STATES, listMoving, listRetirements } from './retirements.ts'
import { keptSource, rawSource } from './sources.ts'

/** What `waypost reconcile` must know of rows that are not in the facts any more. */
export type RetiredBooks = {
  readonly isEmpty: boolean
  /** Retired rows of a table that came from a partition of the log. */
  readonly rowsOf: (table: FactTable, partition: string) => number
  /** Retired rows of a table, wherever they came from. */
  readonly rowsOfTable: (table: FactTable) => number
  /** Whether a record of the log may have a row that was retired: of its day rows were, up to beyond its place. */
  readonly mayBeRetired: (table: FactTable, partition: string, offset: number, atMs: number) => boolean
  /** What stands after FROM for rows of a table that were not retired. */
  readonly raw: (table: FactTable) => string
  /** The same for what is kept of those that were; its `sign` says for how many rows a row stands. */
  readonly kept: (table: FactTable) => string
}

export async function readRetiredBooks(db: Pool | Tx): Promise<RetiredBooks> {
  const retired = await listRetirements(db, { states: KEPT_STATES })
  const moving = await listMoving(db)
  const rows = new Map<string, number>()
  const below = new Map<string, number>()
  for (const { table_name, day, rows_by_partition, below: places } of retired) {
    for (const [partition, count] of Object.entries(rows_by_partition)) {
      const key = `${table_name} ${partition}`
      rows.set(key, (rows.get(key) ?? 0) + count)
    }
    for (const [partition, offset] of Object.entries(places)) {
      const key = `${table_name} ${partition} ${day}`
      below.set(key, Math.max(below.get(key) ?? 0, offset))
    }
  }
  return {
    isEmpty: retired.length === 0,
    rowsOf: (table, partition) => rows.get(`${table} ${partition}`) ?? 0,
    rowsOfTable: (table) =>
      retired.filter(({ table_name }) => table_name === table).reduce((sum, one) => sum + Number(one.rows), 0),
    mayBeRetired: (table, partition, offset, atMs) =>
      below.size > 0 && offset < (below.get(`${table} ${partition} ${dayOf(atMs)}`) ?? 0),
    raw: (table) => rawSource(table, moving).from,
    kept: (table) => keptSource(table, moving).from,
  }
}
