import { setTimeout as delay } from 'node:timers/promises'

import { inTransaction, type Pool, type Tx } from '#platform/postgres'

/** Partitions of the history: one for each step of days (UTC), named for its first day, made ahead, never changed, dropped whole.
 *
 * The default partition is for what nobody foresaw: clocks, and events of long ago. What it holds is moved to a partition of its
 * own by the next round, so that it stays empty and nothing outlives its time there.
 */
export type HistoryTable = {
  readonly name: string
  readonly column: string
  /** Days of a partition; its first day is a whole number of these after 1970-01-01. */
  readonly stepDays: number
}

export const historyTables = {
  deliveries: { name: 'deliveries', column: 'created_at', stepDays: 1 },
  finals: { name: 'delivery_finals', column: 'created_at', stepDays: 1 },
  lastTries: { name: 'delivery_last_tries', column: 'created_at', stepDays: 1 },
  attempts: { name: 'delivery_attempts', column: 'attempted_at', stepDays: 1 },
  whyNot: { name: 'delivery_why_not', column: 'at', stepDays: 1 },
  spans: { name: 'delivery_endpoint_spans', column: 'span_start', stepDays: 1 },
  // By the day of the click, see the migration; a week each, because conversions come for months.
  keys: { name: 'delivery_keys', column: 'clicked_on', stepDays: 7 },
} as const satisfies Record<string, HistoryTable>

const DAY_MS = 86_400_000
/** Made ahead: an installation that stands still for a week finds its partitions. */
const AHEAD_DAYS = 8
/** Steps taken out of a default partition in one round, and the last day that has a partition. */
const STRAYS_MAX = 400
const LAST_DAY = '2100-01-01'

/** Locks are taken for moments only: whoever waits longer for one holds up everybody behind it. */
const LOCK_TIMEOUT_MS = 200
const LOCK_TRIES_MAX = 40
const LOCK_PAUSE_MS = 250
const LOCK_NOT_AVAILABLE = '55P03'
/** One process makes and drops at a time. */
const ADVISORY_LOCK = 7_229_009

export type Partition = { readonly name: string; readonly from: Date; readonly to: Date }

const partitionAt = (table: HistoryTable, step: number): Partition => {
  const from = new Date(step * table.stepDays * DAY_MS)
  const day = from.toISOString().slice(0, 10).replaceAll('-', '')
  return { name: `${table.name}_${day}`, from, to: new Date(from.getTime() + table.stepDays * DAY_MS) }
}

const LIST = `
  SELECT c.relname AS name FROM pg_inherits AS i JOIN pg_class AS c ON c.oid = i.inhrelid
  WHERE i.inhparent = $1::regclass AND c.relname ~ '_\\d{8}$' ORDER BY c.relname`

/** The partitions of a table but the default one, oldest first. */
export async function listPartitions(db: Pool | Tx, table: HistoryTable): Promise<readonly Partition[]> {
  const { rows } = await db.query<{ name: string }>(LIST, [table.name])
  return rows.map(({ name }) => {
    const [, year, month, day] = /_(\d{4})(\d\d)(\d\d)$/.exec(name)!
    return partitionAt(table, Date.UTC(Number(year), Number(month) - 1, Number(day)) / DAY_MS / table.stepDays)
  })
}

/** Makes the partitions of today and of the days ahead, and those of rows that lie in a default partition.
 * @returns how many were made
 */
export async function makePartitions(pool: Pool, nowMs: number): Promise<number> {
  let made = 0
  for (const table of Object.values(historyTables)) {
    const known = new Set((await listPartitions(pool, table)).map(({ name }) => name))
    const first = Math.floor(nowMs / DAY_MS / table.stepDays)
    const last = Math.floor(nowMs / DAY_MS / table.stepDays + AHEAD_DAYS / table.stepDays)
    const ahead = Array.from({ length: last - first + 1 }, (_, index) => first + index)
    for (const step of new Set([...ahead, ...(await strayedSteps(pool, table))])) {
      const partition = partitionAt(table, step)
      if (known.has(partition.name)) continue
      await withLocks(() => makePartition(pool, table, partition))
      made += 1
    }
  }
  return made
}

/** Steps of which the default partition has rows. */
async function strayedSteps(pool: Pool, { name, column, stepDays }: HistoryTable): Promise<readonly number[]> {
  const { rows } = await pool.query<{ step: number }>(
    `SELECT DISTINCT floor(extract(epoch FROM ${column}) / ${stepDays * 86_400})::int AS step FROM ${name}_default
     WHERE ${column} >= '1970-01-01' AND ${column} < '${LAST_DAY}' LIMIT ${STRAYS_MAX}`,
  )
  return rows.map(({ step }) => step)
}

const literal = (date: Date): string => `'${date.toISOString()}'`

/** Attached rather than made as a partition, which would lock the whole table against readers. */
async function makePartition(pool: Pool, table: HistoryTable, { name, from, to }: Partition): Promise<void> {
  await inHistoryTransaction(pool, async (tx) => {
    const { rows } = await tx.query<{ is_there: boolean }>('SELECT to_regclass($1) IS NOT NULL AS is_there', [name])
    if (rows[0]!.is_there) return
    await tx.query(`SET LOCAL TimeZone = 'UTC'`)
    await tx.query(`CREATE TABLE ${name} (LIKE ${table.name} INCLUDING ALL)`)
    await tx.query(`ALTER TABLE ${name} ENABLE ROW LEVEL SECURITY`)
    await tx.query(`LOCK TABLE ${table.name}_default IN ACCESS EXCLUSIVE MODE`)
    await tx.query(`
      WITH moved AS (
        DELETE FROM ${table.name}_default WHERE ${table.column} >= ${literal(from)} AND ${table.column} < ${literal(to)} RETURNING *
      ) INSERT INTO ${name} SELECT * FROM moved`)
    await tx.query(
      `ALTER TABLE ${table.name} ATTACH PARTITION ${name} FOR VALUES FROM (${literal(from)}) TO (${literal(to)})`,
    )
  })
}

/** Takes a partition away with everything in it.
 * @param tx of inHistoryTransaction
 */
export async function dropPartition(tx: Tx, table: HistoryTable, name: string): Promise<void> {
  await tx.query(`ALTER TABLE ${table.name} DETACH PARTITION ${name}`)
  await tx.query(`DROP TABLE ${name}`)
}

const KEEP_FROM = `
  INSERT INTO delivery_horizons (table_name, kept_from) VALUES ($1, $2)
  ON CONFLICT (table_name) DO UPDATE SET kept_from = greatest(delivery_horizons.kept_from, excluded.kept_from)`

/** Notes that what is older than this was dropped, in the transaction that drops it. */
export const raiseHorizon = async (tx: Tx, table: HistoryTable, keptFrom: Date): Promise<void> =>
  void (await tx.query(KEEP_FROM, [table.name, keptFrom]))

/** A transaction that no other process of this kind runs beside, and that waits for a lock for a moment only.
 * @throws what the work threw; with the code 55P03 where a lock was not to be had: see withLocks
 */
export async function inHistoryTransaction<T>(pool: Pool, work: (tx: Tx) => Promise<T>): Promise<T> {
  return inTransaction(pool, async (tx) => {
    await tx.query('SELECT pg_advisory_xact_lock($1)', [ADVISORY_LOCK])
    await tx.query(`SET LOCAL lock_timeout = ${LOCK_TIMEOUT_MS}`)
    await tx.query('SET LOCAL statement_timeout = 0')
    return work(tx)
  })
}

/** Tries again while a lock is not to be had.
 * @throws after ten seconds of trying, what the work threw
 */
export async function withLocks<T>(work: () => Promise<T>): Promise<T> {
  for (let tries = 1; ; tries++) {
    try {
      return await work()
    } catch (error) {
      if ((error as { code?: unknown }).code !== LOCK_NOT_AVAILABLE || tries === LOCK_TRIES_MAX) throw error
      await delay(LOCK_PAUSE_MS)
    }
  }
}
