import type { FactTable } from '#facts'
import type { Pool, Tx } from '#platform/postgres'

import type { ArchiveKind } from './policies.ts'

/** The manifest: rows of PostgreSQL's fact_retirements. See migrations/postgres/020_retention.sql for the states. */
export const retirementStates = [
  ...(['planned', 'archived', 'aggregated', 'retired', 'dropped'] as const),
  ...(['restoring', 'unretired', 'restored'] as const),
] as const
export type RetirementState = (typeof retirementStates)[number]

export type Retirement = {
  readonly retirement_id: bigint
  readonly table_name: FactTable
  /** UTC, `YYYY-MM-DD`. */
  readonly day: string
  readonly advertiser_ids: readonly string[]
  readonly archive: ArchiveKind
  /** Partition of the log → first offset that is not part of it; of conversions, `''` → first seq. */
  readonly below: Readonly<Record<string, number>>
  readonly state: RetirementState
  readonly rows: bigint
  /** Partition of the log → how many of the rows came from it. */
  readonly rows_by_partition: Readonly<Record<string, number>>
  /** Unsigned, decimal text. */
  readonly checksum: string
  readonly columns: readonly string[]
  readonly path: string | null
  readonly bytes: bigint
  readonly kept_rows: bigint
  readonly planned_at: Date
  readonly retired_at: Date | null
  readonly restored_at: Date | null
  readonly held_until: string | null
}

const COLUMNS = `retirement_id, table_name, day::text, advertiser_ids, archive, below, state, rows, rows_by_partition, checksum::text, columns, path, bytes,
  kept_rows, planned_at, retired_at, restored_at, held_until::text`

/** Reports count what is kept of these instead of their raw rows. */
export const KEPT_STATES: readonly RetirementState[] = ['retired', 'dropped', 'restoring']
/** Raw rows of these are there, or may be, and are not counted. */
export const HIDDEN_STATES: readonly RetirementState[] = ['retired', 'restoring']

export type NewRetirement = Pick<
  Retirement,
  'table_name' | 'day' | 'advertiser_ids' | 'archive' | 'below' | 'path' | 'planned_at'
>

export async function addRetirement(db: Pool | Tx, one: NewRetirement): Promise<Retirement> {
  const { rows } = await db.query<Retirement>(
    `INSERT INTO fact_retirements (table_name, day, advertiser_ids, archive, below, path, planned_at)
     VALUES ($1, $2, $3, $4, $5, $6, $7) RETURNING ${COLUMNS}`,
    [one.table_name, one.day, one.advertiser_ids, one.archive, JSON.stringify(one.below), one.path, one.planned_at],
  )
  return rows[0]!
}

type Change = Partial<
  Pick<
    Retirement,
    | 'rows'
    | 'rows_by_partition'
    | 'checksum'
    | 'columns'
    | 'bytes'
    | 'kept_rows'
    | 'retired_at'
    | 'restored_at'
    | 'held_until'
  >
>

/** Moves a retirement on.
 * @throws {Error} it is not in that state any more: another run moved it
 */
export async function moveOn(
  db: Pool | Tx,
  { retirement_id }: Pick<Retirement, 'retirement_id'>,
  from: RetirementState,
  to: RetirementState,
  change: Change = {},
): Promise<Retirement> {
  const names = Object.keys(change)
  const sets = names.map((name, index) => `, ${name} = $${index + 4}`).join('')
  const { rows } = await db.query<Retirement>(
    `UPDATE fact_retirements SET state = $3${sets} WHERE retirement_id = $1 AND state = $2 RETURNING ${COLUMNS}`,
    [retirement_id, from, to, ...Object.values(change)],
  )
  if (rows[0] === undefined) throw new Error(`The retirement ${retirement_id} is not ${from} any more.`)
  return rows[0]
}

export type RetirementFilter = {
  readonly states?: readonly RetirementState[]
  readonly fromDay?: string
  /** Included. */
  readonly toDay?: string
  readonly table?: FactTable
  readonly advertiserId?: string
  /** Continues after this one. */
  readonly after?: { readonly day: string; readonly retirementId: bigint }
  readonly limit?: number
}

/** By day, the newest first. */
export async function listRetirements(db: Pool | Tx, filter: RetirementFilter = {}): Promise<readonly Retirement[]> {
  const { rows } = await db.query<Retirement>(
    `SELECT ${COLUMNS} FROM fact_retirements
     WHERE ($1::text[] IS NULL OR state = ANY($1)) AND ($2::date IS NULL OR day >= $2) AND ($3::date IS NULL OR day <= $3)
       AND ($4::text IS NULL OR table_name = $4) AND ($5::text IS NULL OR $5 = ANY(advertiser_ids))
       AND ($6::date IS NULL OR (day, retirement_id) < ($6, $7::bigint))
     ORDER BY day DESC, retirement_id DESC LIMIT $8`,
    [
      filter.states ?? null,
      filter.fromDay ?? null,
      filter.toDay ?? null,
      filter.table ?? null,
      filter.advertiserId ?? null,
      filter.after?.day ?? null,
      filter.after?.retirementId ?? null,
      filter.limit ?? null,
    ],
  )
  return rows
}

/** Those that are neither done nor given back: reports must know of them whatever their range. */
export async function listMoving(db: Pool | Tx): Promise<readonly Retirement[]> {
  const { rows } = await db.query<Retirement>(
    `SELECT ${COLUMNS} FROM fact_retirements WHERE state NOT IN ('dropped', 'restored') ORDER BY retirement_id`,
  )
  return rows
}

/** SQL text of a string. */
export const quoted = (text: string): string => `'${text.replaceAll('\\', '\\\\').replaceAll("'", "\\'")}'`

/** Which raw rows a retirement is about. The rows of the condition never change: what comes later is beyond its places. */
export function rowsOf({
  table_name,
  day,
  advertiser_ids,
  below,
}: Pick<Retirement, 'table_name' | 'day' | 'advertiser_ids' | 'below'>): string {
  const advertisers = advertiser_ids.map(quoted).join(', ')
  return `${inDay(day)} AND advertiser_id IN (${advertisers}) AND ${isBelow(table_name, below)}`
}

/** Rows of a day (UTC). */
export const inDay = (day: string): string =>
  `at >= toDateTime64('${day} 00:00:00', 3, 'UTC') AND at < toDateTime64('${day} 00:00:00', 3, 'UTC') + INTERVAL 1 DAY`

/** Rows that came before some places. */
export function isBelow(table: FactTable, below: Retirement['below']): string {
  if (table === 'conversions') return `seq < ${below[''] ?? 0}`
  const entries = Object.entries(below)
  if (entries.length === 0) return '0'
  const partitions = entries.map(([partition]) => quoted(partition)).join(', ')
  const offsets = entries.map(([, offset]) => `toUInt64(${offset})`).join(', ')
  return `log_offset < transform(log_partition, [${partitions}], [${offsets}], toUInt64(0))`
}
