import { randomUUID } from 'node:crypto'
import { setTimeout as delay } from 'node:timers/promises'

import type { FactTable } from '#facts'
import type { FactsClient } from '#platform/clickhouse'
import type { Clock } from '#platform/clock'
import { inTransaction, type Pool, type Tx } from '#platform/postgres'

import {
  ARCHIVE_SETTINGS,
  archiveTable,
  explainArchiveError,
  keepFile,
  prepareFile,
  removeFile,
  type ArchivePlaces,
} from './archives.ts'
import { ask } from './ask.ts'
import { keepRowsSql, keptFacts, rawSign, sumsSql } from './kept-facts.ts'
import { earliestKept, keptFrom, dayOf, policyOf, type ArchiveKind, type Policies } from './policies.ts'
import {
  addRetirement,
  inDay,
  isBelow,
  listMoving,
  listRetirements,
  moveOn,
  rowsOf,
  type NewRetirement,
  type Retirement,
} from './retirements.ts'

export const factTables: readonly FactTable[] = ['clicks', 'events', 'conversions']

/** What the work needs. */
export type RetentionTools = {
  readonly pool: Pool
  /** A client of its own: neither the pipeline nor reports wait behind an archive. */
  readonly facts: FactsClient
  readonly places: ArchivePlaces
  /** Undefined: not known yet, nothing is due. */
  readonly policies: () => Policies | undefined
  readonly clock: Clock
  /** Between the moment from which reports count what is kept and the drop of the raw rows: longer than a report may take with its
   * wait for a connection.
   */
  readonly graceMs?: number
  readonly signal?: AbortSignal
  /** Called before every step; a test ends the run there. */
  readonly reach?: (step: string) => void
}

/** What planning needs. */
export type PlanTools = Pick<RetentionTools, 'pool' | 'facts' | 'policies' | 'clock'>

const GRACE_MS = 60_000

/** What a run did, or would do. */
export type RetentionRun = {
  readonly planned: readonly PlannedRetirement[]
  /** Retirements whose raw rows were dropped. */
  readonly dropped: number
  /** Rows that were dropped with them. */
  readonly rows: number
}

export type PlannedRetirement = Pick<Retirement, 'table_name' | 'day' | 'advertiser_ids' | 'archive'> & {
  readonly rows: number
}

/** Any number, the same for ever: one run at a time in the whole installation. */
const ADVISORY_LOCK = 7_229_020

/** Runs the work while no other run of this installation does.
 * @returns undefined: another one is under way
 */
export async function onlyOne<T>(pool: Pool, work: () => Promise<T>): Promise<T | undefined> {
  const lock = await pool.connect()
  try {
    const { rows } = await lock.query<{ is_mine: boolean }>('SELECT pg_try_advisory_lock($1) AS is_mine', [
      ADVISORY_LOCK,
    ])
    if (rows[0]?.is_mine !== true) return undefined
    try {
      return await work()
    } finally {
      await lock.query('SELECT pg_advisory_unlock($1)', [ADVISORY_LOCK])
    }
  } finally {
    lock.release()
  }
}

/** Retires what is past its age: first what an earlier run left unfinished, then what is due. Ended at any point, the next run goes on;
 * reports say the same before, meanwhile and afterwards.
 * @returns undefined: another run is under way
 * @throws {WaypostError} archive_unavailable: nothing of that day was dropped; what ClickHouse or PostgreSQL throws
 */
export async function runRetention(
  tools: RetentionTools,
  report?: (done: number, total: number) => void,
): Promise<RetentionRun | undefined> {
  return onlyOne(tools.pool, async () => {
    const planned = await planRetirements(tools)
    for (const one of planned) await plan(tools, one)
    const moving = (await listMoving(tools.pool)).filter(({ state }) => state !== 'restoring' && state !== 'unretired')
    let done = 0
    for (const one of moving) {
      tools.signal?.throwIfAborted()
      await bringToRetired(tools, one)
      report?.(++done, moving.length)
    }
    return { planned, ...(await dropRetired(tools)) }
  })
}

/** What is due now, day by day; nothing is changed. */
export async function planRetirements(tools: PlanTools): Promise<readonly PlannedRetirement[]> {
  const policies = tools.policies()
  const nowMs = tools.clock.now()
  const before = policies && earliestKept(policies, nowMs)
  if (policies === undefined || before === undefined) return []
  const busy = new Set((await listMoving(tools.pool)).map(({ table_name, day }) => `${table_name} ${day}`))
  const held = await listHeld(tools, dayOf(nowMs))
  const planned: PlannedRetirement[] = []
  for (const table of factTables) {
    const present = await listPresent(tools, table, before)
    const due = present.filter(({ day, advertiser_id }) => {
      const first = keptFrom(policyOf(policies, advertiser_id), nowMs)
      return (
        first !== undefined &&
        day < first &&
        !busy.has(`${table} ${day}`) &&
        !held.has(`${table} ${day} ${advertiser_id}`)
      )
    })
    planned.push(...groupDue(table, due, policies))
  }
  return planned.sort((a, b) => (a.day < b.day ? -1 : a.day > b.day ? 1 : 0))
}

type Present = { readonly day: string; readonly advertiser_id: string; readonly rows: string }

/** Advertisers with rows of days before one, as far as the rows cannot change any more. */
async function listPresent({ pool, facts }: PlanTools, table: FactTable, before: string): Promise<readonly Present[]> {
  const below = isBelow(table, await readPlaces(pool, table))
  return ask<Present>(
    facts,
    `SELECT toString(toDate(at, 'UTC')) AS day, advertiser_id, count() AS rows FROM ${table}
     WHERE at < toDateTime64('${before} 00:00:00', 3, 'UTC') AND ${below} GROUP BY day, advertiser_id ORDER BY day, advertiser_id`,
  )
}

function groupDue(table: FactTable, due: readonly Present[], policies: Policies): readonly PlannedRetirement[] {
  const groups = new Map<string, { archive: ArchiveKind; day: string; rows: Present[] }>()
  for (const one of due) {
    const { archive } = policyOf(policies, one.advertiser_id)
    const key = `${one.day} ${archive}`
    const group = groups.get(key) ?? { archive, day: one.day, rows: [] }
    groups.set(key, group)
    group.rows.push(one)
  }
  return [...groups.values()].map(({ archive, day, rows }) => ({
    ...{ table_name: table, day, archive },
    advertiser_ids: rows.map(({ advertiser_id }) => advertiser_id),
    rows: rows.reduce((sum, { rows }) => sum + Number(rows), 0),
  }))
}

async function listHeld({ pool }: PlanTools, today: string): Promise<ReadonlySet<string>> {
  const { rows } = await pool.query<{ key: string }>(
    `SELECT DISTINCT table_name || ' ' || day || ' ' || unnest(advertiser_ids) AS key FROM fact_retirements
     WHERE state = 'restored' AND held_until >= $1`,
    [today],
  )
  return new Set(rows.map(({ key }) => key))
}

/** How far each source of a table is in the facts for good: what was sent up to there is never sent again. */
async function readPlaces(db: Pool | Tx, table: FactTable): Promise<Record<string, number>> {
  const { rows } = await db.query<{ log_partition: string; position: bigint }>(
    'SELECT log_partition, position FROM consumer_positions WHERE consumer = $1 ORDER BY log_partition',
    [consumerOf(table)],
  )
  if (table === 'conversions') return { '': Number(rows[0]?.position ?? 0) }
  return Object.fromEntries(rows.map(({ log_partition, position }) => [log_partition, Number(position)]))
}

/** Who writes a table: names of consumer_positions (src/pipeline). */
const consumerOf = (table: FactTable): string => (table === 'conversions' ? 'conversion-facts' : 'pipeline')

async function plan(tools: RetentionTools, { rows: _rows, ...one }: PlannedRetirement): Promise<void> {
  tools.reach?.('plan')
  const retirement: NewRetirement = {
    ...one,
    below: await readPlaces(tools.pool, one.table_name),
    path: one.archive === 'none' ? null : `${one.table_name}/${one.day}/${randomUUID()}.parquet`,
    planned_at: new Date(tools.clock.now()),
  }
  await addRetirement(tools.pool, retirement)
}

async function bringToRetired(tools: RetentionTools, retirement: Retirement): Promise<void> {
  let one = retirement
  if (one.state === 'planned') one = await archive(tools, one)
  if (one.state === 'archived') one = await aggregate(tools, one)
  if (one.state !== 'aggregated') return
  tools.reach?.('retire')
  await moveOn(tools.pool, one, 'aggregated', 'retired', { retired_at: new Date(tools.clock.now()) })
}

type Content = { readonly rows: string; readonly checksum: string }

/** How many rows there are, and the sum of their hashes. */
export async function readContent(
  facts: FactsClient,
  columns: readonly string[],
  from: string,
  where: string,
  settings = '',
): Promise<Content> {
  const rows = await ask<Content>(
    facts,
    `SELECT toString(count()) AS rows, toString(sum(cityHash64(${columns.join(', ')}))) AS checksum FROM ${from} WHERE ${where}${settings}`,
  )
  return rows[0]!
}

/** The columns of a table with their types, without those that it computes. */
export async function readColumns(
  facts: FactsClient,
  table: string,
): Promise<readonly { readonly name: string; readonly type: string }[]> {
  return ask(
    facts,
    `SELECT name, type FROM system.columns WHERE database = currentDatabase() AND table = '${table}' AND default_kind NOT IN ('ALIAS', 'EPHEMERAL', 'MATERIALIZED')
     ORDER BY position`,
  )
}

export const structureOf = (columns: readonly { readonly name: string; readonly type: string }[]): string =>
  columns.map(({ name, type }) => `${name} ${type}`).join(', ')

async function archive(tools: RetentionTools, one: Retirement): Promise<Retirement> {
  const { pool, facts, places } = tools
  tools.reach?.('archive')
  const columns = await readColumns(facts, one.table_name)
  const names = columns.map(({ name }) => name)
  const content = await readContent(facts, names, one.table_name, rowsOf(one))
  const bytes = one.path === null ? 0 : await writeArchive(tools, one, columns, content)
  tools.reach?.('archived')
  if (one.archive === 'files') keepFile(places, one.path!)
  return moveOn(pool, one, 'planned', 'archived', {
    rows_by_partition: await countByPartition(facts, one),
    ...{ rows: BigInt(content.rows), checksum: content.checksum, columns: names, bytes: BigInt(bytes) },
  })
}

async function countByPartition(facts: FactsClient, one: Retirement): Promise<Record<string, number>> {
  if (one.table_name === 'conversions') return {}
  const rows = await ask<{ log_partition: string; rows: string }>(
    facts,
    `SELECT log_partition, count() AS rows FROM ${one.table_name} WHERE ${rowsOf(one)} GROUP BY log_partition`,
  )
  return Object.fromEntries(rows.map(({ log_partition, rows }) => [log_partition, Number(rows)]))
}

/** Writes the rows and reads them back. @returns bytes of the file; 0 for storage elsewhere, which does not say */
async function writeArchive(
  { facts, places, reach }: RetentionTools,
  one: Retirement,
  columns: readonly { readonly name: string; readonly type: string }[],
  content: Content,
): Promise<number> {
  const { archive, path, table_name } = one
  const names = columns.map(({ name }) => name)
  try {
    const table = archiveTable(places, archive, path!, structureOf(columns))
    if (archive === 'files') prepareFile(places, path!)
    await facts.command({
      query: `INSERT INTO FUNCTION ${table} SELECT ${names.join(', ')} FROM ${table_name} WHERE ${rowsOf(one)}
        ORDER BY advertiser_id, at SETTINGS ${ARCHIVE_SETTINGS}, max_bytes_before_external_sort = 500000000`,
    })
    reach?.('verify')
    const read = await readContent(facts, names, table, '1', ` SETTINGS ${ARCHIVE_SETTINGS}`)
    if (read.rows !== content.rows || read.checksum !== content.checksum)
      throw new Error(
        `The archive ${path} reads back as ${read.rows} rows of checksum ${read.checksum} instead of ${content.rows} of ${content.checksum}; nothing was dropped.`,
      )
    return archive === 'files' ? keepFile(places, path!) : 0
  } catch (cause) {
    if (archive === 'files' && places.directory !== undefined) removeFile(places, path!)
    throw explainArchiveError(cause, places)
  }
}

/** Keeps what stays, anew where an earlier run was cut off, and compares its sums with those of the raw rows. */
async function aggregate({ pool, facts, reach }: RetentionTools, one: Retirement): Promise<Retirement> {
  reach?.('aggregate')
  const { table_name, retirement_id } = one
  await forgetKept(facts, one)
  await facts.command({
    query: `${keepRowsSql(table_name, retirement_id, rowsOf(one))} SETTINGS max_bytes_before_external_group_by = 500000000`,
  })
  reach?.('compare')
  const kept = await readSums(facts, table_name, keptFacts[table_name].table, 'sign', ofRetirement(one))
  const raw = await readSums(facts, table_name, table_name, rawSign(table_name), rowsOf(one))
  if (kept.sums !== raw.sums)
    throw new Error(
      `What was kept of ${table_name} of ${one.day} adds up to ${kept.sums}, its raw rows to ${raw.sums}; nothing was dropped.`,
    )
  return moveOn(pool, one, 'archived', 'aggregated', { kept_rows: BigInt(kept.rows) })
}

const ofRetirement = ({ retirement_id, day }: Retirement): string =>
  `retirement_id = ${retirement_id} AND ${inDay(day)}`

/** Takes back what was kept of a retirement. */
export async function forgetKept(facts: FactsClient, one: Retirement): Promise<void> {
  const { table } = keptFacts[one.table_name]
  const rows = await ask<{ rows: string }>(facts, `SELECT count() AS rows FROM ${table} WHERE ${ofRetirement(one)}`)
  if (rows[0]!.rows === '0') return
  await facts.command({ query: `ALTER TABLE ${table} DELETE WHERE ${ofRetirement(one)} SETTINGS mutations_sync = 2` })
}

async function readSums(
  facts: FactsClient,
  table: FactTable,
  from: string,
  sign: string,
  where: string,
): Promise<{ readonly rows: string; readonly sums: string }> {
  const rows = await ask<{ rows: string; sums: string }>(
    facts,
    `SELECT toString(count()) AS rows, ${sumsSql(table, sign)} AS sums FROM ${from} WHERE ${where}`,
  )
  return rows[0]!
}

/** Drops raw rows that reports count no longer, once no report can be under way that still does. */
async function dropRetired(tools: RetentionTools): Promise<{ readonly dropped: number; readonly rows: number }> {
  const { pool, clock, signal, graceMs = GRACE_MS } = tools
  const retired = await listRetirements(pool, { states: ['retired'] })
  if (retired.length === 0) return { dropped: 0, rows: 0 }
  const newest = Math.max(...retired.map(({ retired_at }) => retired_at!.getTime()))
  const waitMs = Math.min(newest + graceMs - clock.now(), graceMs)
  if (waitMs > 0) await delay(waitMs, undefined, { signal })
  const days = Map.groupBy(retired, ({ table_name, day }) => `${table_name} ${day}`)
  for (const ofDay of [...days.values()].reverse()) {
    signal?.throwIfAborted()
    await dropRows(tools, ofDay)
    for (const one of ofDay) {
      tools.reach?.('dropped')
      await moveOn(pool, one, 'retired', 'dropped')
    }
  }
  return { dropped: retired.length, rows: retired.reduce((sum, { rows }) => sum + Number(rows), 0) }
}

/** Drops the raw rows of retirements of one table and day: its partition, where nothing else is in it. */
async function dropRows(tools: RetentionTools, retired: readonly Retirement[]): Promise<void> {
  const { facts, reach } = tools
  const { table_name, day } = retired[0]!
  const rows = retired.map((one) => `(${rowsOf(one)})`).join(' OR ')
  const partition = day.replaceAll('-', '')
  reach?.('drop')
  if (await dropPartition(tools, table_name, day, rows)) return
  await facts.command({
    query: `ALTER TABLE ${table_name} DELETE IN PARTITION ${partition} WHERE ${rows} SETTINGS mutations_sync = 2`,
  })
}

const DROP_TRIES = 40
const DROP_PAUSE_MS = 50

/** Drops the partition of a day if all of its rows are among those given. Writers of the facts note in consumer_positions what they are
 * about to send: with the table locked and nothing noted, no row can come between the count and the drop.
 * @returns false: there are other rows, or a writer was at work each time
 */
async function dropPartition(
  { pool, facts, signal }: RetentionTools,
  table: FactTable,
  day: string,
  rows: string,
): Promise<boolean> {
  const others = async (): Promise<boolean> => {
    const found = await ask<{ others: string }>(
      facts,
      `SELECT count() AS others FROM (SELECT 1 FROM ${table} WHERE ${inDay(day)} AND NOT (${rows}) LIMIT 1)`,
    )
    return found[0]!.others !== '0'
  }
  if (await others()) return false
  for (let attempt = 0; attempt < DROP_TRIES; attempt++) {
    const outcome = await inTransaction(pool, async (tx) => {
      await tx.query(`SET LOCAL lock_timeout = '2s'`)
      await tx.query('LOCK TABLE consumer_positions IN EXCLUSIVE MODE')
      const { rows: pending } = await tx.query(
        'SELECT FROM consumer_positions WHERE consumer = $1 AND pending_to IS NOT NULL LIMIT 1',
        [consumerOf(table)],
      )
      if (pending.length > 0) return 'busy'
      if (await others()) return 'others'
      await facts.command({ query: `ALTER TABLE ${table} DROP PARTITION ${day.replaceAll('-', '')}` })
      return 'dropped'
    })
    if (outcome !== 'busy') return outcome === 'dropped'
    await delay(DROP_PAUSE_MS, undefined, { signal })
  }
  return false
}
