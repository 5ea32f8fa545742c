import { insertLines, type FactsClient } from '#platform/clickhouse'
import type { Pool, Tx } from '#platform/postgres'

import {
  dropPartition,
  historyTables,
  inHistoryTransaction,
  listPartitions,
  raiseHorizon,
  withLocks,
  type Partition,
} from './partitions.ts'

/** Days of attempts go to ClickHouse before PostgreSQL drops them.
 *
 * A day that is over has the same rows in the same blocks for ever, so a part of its blocks is the same insert whenever it is
 * made: with the token of that part ClickHouse drops a repeat after a crash. The day is dropped only when ClickHouse has as many
 * rows of the last pass as PostgreSQL has; where not, that pass is taken back and a new one begins.
 */

/** Blocks of 8 KiB that make one insert: some ten thousand rows without answers, and some 50 MB at worst, with whole ones. */
const BLOCKS_PER_INSERT = 256

const HEAD_COLUMNS = [
  ...['delivery_id', 'created_at', 'endpoint_id', 'attempt_no', 'attempted_at', 'outcome', 'http_status', 'error'],
  ...['error_detail', 'first_byte_ms', 'total_ms', 'remote_address', 'response_head', 'response_bytes', 'next_at'],
  ...['is_fenced', 'is_probe'],
]

const utc = (column: string): string => `to_char(${column} AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI:SS.US')`

const linesSql = (table: string): string => `
  SELECT json_build_object('archive', $3::text, 'delivery_id', delivery_id, 'created_at', ${utc('created_at')},
    'endpoint_id', endpoint_id, 'attempt_no', attempt_no, 'attempted_at', ${utc('attempted_at')}, 'outcome', outcome,
    'http_status', http_status, 'error', error, 'error_detail', error_detail, 'first_byte_ms', first_byte_ms,
    'total_ms', total_ms, 'remote_address', host(remote_address),
    'response_head_base64', translate(encode(coalesce(response_head, ''), 'base64'), E'\\n', ''),
    'response_bytes', response_bytes, 'next_at', ${utc('next_at')}, 'is_fenced', is_fenced, 'is_probe', is_probe,
    'more', (to_jsonb(a) - '{${HEAD_COLUMNS.join(',')}}'::text[])::text)::text AS line
  FROM ONLY ${table} AS a WHERE ctid >= $1::tid AND ctid < $2::tid ORDER BY ctid`

export type Archived = { readonly dropped: readonly string[]; readonly kept: readonly string[] }

/** Moves days of attempts that are over to ClickHouse and drops them here. A day stays while one of its deliveries still waits.
 * @param facts the client for writing
 * @param stopSignal ends the work between two parts of a day
 * @throws what PostgreSQL or ClickHouse throws, or the signal's reason; the next call goes on where this one stopped
 */
export async function archiveAttempts(
  pool: Pool,
  facts: FactsClient,
  keptFromMs: number,
  stopSignal?: AbortSignal,
): Promise<Archived> {
  const days = await listPartitions(pool, historyTables.attempts)
  const dropped: string[] = []
  const kept: string[] = []
  for (const day of days.filter(({ to }) => to.getTime() <= keptFromMs)) {
    if (await isAwaited(pool, day)) {
      kept.push(day.name)
      continue
    }
    const archive = await copyDay(pool, facts, day, stopSignal)
    const outcome = await withLocks(() => inHistoryTransaction(pool, (tx) => dropDay(tx, facts, day, archive)))
    if (outcome === 'counts_differ') await beginAgain(pool, facts, day, archive)
    ;(outcome === 'dropped' ? dropped : kept).push(day.name)
  }
  return { dropped, kept }
}

/** Whether a delivery waits that was tried on this day: its place on the ladder and its last answer are read from here. */
async function isAwaited(db: Pool | Tx, { name }: Partition): Promise<boolean> {
  const { rows } = await db.query<{ is_awaited: boolean }>(`
    SELECT EXISTS (
      SELECT FROM (
        SELECT delivery_id FROM delivery_ready WHERE attempts > 0
        UNION ALL SELECT delivery_id FROM delivery_deferred
        UNION ALL SELECT delivery_id FROM delivery_held WHERE attempts > 0
      ) AS w JOIN ONLY ${name} AS a USING (delivery_id)
    ) AS is_awaited`)
  return rows[0]!.is_awaited
}

type Archive = { readonly generation: number; readonly nextBlock: number }

const BEGIN = `
  INSERT INTO delivery_archives (day, generation, next_block) VALUES ($1, 1, 0)
  ON CONFLICT (day) DO UPDATE SET generation = delivery_archives.generation
  RETURNING generation, next_block`

const dayOf = ({ from }: Partition): string => from.toISOString().slice(0, 10)
const archiveName = (day: Partition, { generation }: Archive): string => `${dayOf(day)}:${generation}`

async function copyDay(
  pool: Pool,
  facts: FactsClient,
  day: Partition,
  stopSignal: AbortSignal | undefined,
): Promise<Archive> {
  const { rows } = await pool.query<{ generation: number; next_block: bigint }>(BEGIN, [dayOf(day)])
  let archive: Archive = { generation: rows[0]!.generation, nextBlock: Number(rows[0]!.next_block) }
  const blocks = await countBlocks(pool, day)
  while (archive.nextBlock < blocks) {
    stopSignal?.throwIfAborted()
    await copyPart(pool, facts, day, archive)
    archive = { ...archive, nextBlock: archive.nextBlock + BLOCKS_PER_INSERT }
    await pool.query('UPDATE delivery_archives SET next_block = $2 WHERE day = $1', [dayOf(day), archive.nextBlock])
  }
  return archive
}

async function countBlocks(pool: Pool, { name }: Partition): Promise<number> {
  const { rows } = await pool.query<{ blocks: bigint }>(
    `SELECT pg_relation_size($1::regclass) / current_setting('block_size')::int AS blocks`,
    [name],
  )
  return Number(rows[0]!.blocks)
}

async function copyPart(pool: Pool, facts: FactsClient, day: Partition, archive: Archive): Promise<void> {
  const { rows } = await pool.query<{ line: string }>(linesSql(day.name), [
    `(${archive.nextBlock},0)`,
    `(${archive.nextBlock + BLOCKS_PER_INSERT},0)`,
    archiveName(day, archive),
  ])
  if (rows.length === 0) return
  await insertLines(facts, {
    table: 'delivery_attempts',
    lines: Buffer.from(`${rows.map(({ line }) => line).join('\n')}\n`),
    token: `attempts:${archiveName(day, archive)}:${archive.nextBlock}`,
  })
}

async function countArchived(facts: FactsClient, archive: string): Promise<number> {
  const answer = await facts.query({
    query: 'SELECT count() AS rows FROM delivery_attempts WHERE archive = {archive:String}',
    query_params: { archive },
    format: 'JSONEachRow',
  })
  const [row] = await answer.json<{ rows: string | number }>()
  return Number(row!.rows)
}

/** How the deliveries of the day ended stays as long as they do. */
const keepEnds = (name: string): string => `
  INSERT INTO delivery_finals (delivery_id, created_at, endpoint_id, state, reason, attempts, finished_at)
  SELECT delivery_id, created_at, endpoint_id, outcome, reason, attempt_no, attempted_at + total_ms * interval '1 ms'
  FROM ONLY ${name} AS a
  WHERE a.outcome <> 'retry' AND NOT a.is_fenced AND a.created_at >= delivery_kept_from('deliveries')
  ON CONFLICT DO NOTHING`

const keepLastTries = (name: string): string => `
  INSERT INTO delivery_last_tries (delivery_id, created_at, attempts, attempted_at, http_status, error)
  SELECT DISTINCT ON (a.created_at, a.delivery_id) a.delivery_id, a.created_at, a.attempt_no, a.attempted_at, a.http_status, a.error
  FROM ONLY ${name} AS a
  WHERE NOT a.is_fenced AND a.created_at >= delivery_kept_from('deliveries')
  ORDER BY a.created_at, a.delivery_id, a.attempt_no DESC
  ON CONFLICT (created_at, delivery_id) DO UPDATE
    SET attempts = excluded.attempts, attempted_at = excluded.attempted_at, http_status = excluded.http_status, error = excluded.error
    WHERE delivery_last_tries.attempts < excluded.attempts`

async function dropDay(
  tx: Tx,
  facts: FactsClient,
  day: Partition,
  archive: Archive,
): Promise<'dropped' | 'awaited' | 'counts_differ'> {
  // Held against writers: what is counted is what is dropped.
  await tx.query(`LOCK TABLE ONLY ${day.name} IN SHARE MODE`)
  if (await isAwaited(tx, day)) return 'awaited'
  const { rows } = await tx.query<{ rows: bigint }>(`SELECT count(*) AS rows FROM ONLY ${day.name}`)
  if (Number(rows[0]!.rows) !== (await countArchived(facts, archiveName(day, archive)))) return 'counts_differ'
  await tx.query(keepEnds(day.name))
  await tx.query(keepLastTries(day.name))
  await dropPartition(tx, historyTables.attempts, day.name)
  await raiseHorizon(tx, historyTables.attempts, day.to)
  // Rows of the day that come later make a pass of their own.
  await tx.query('UPDATE delivery_archives SET generation = generation + 1, next_block = 0 WHERE day = $1', [
    dayOf(day),
  ])
  return 'dropped'
}

/** Takes a pass back whose rows are not those of the day: somebody wrote to it meanwhile, or moved its rows. */
async function beginAgain(pool: Pool, facts: FactsClient, day: Partition, archive: Archive): Promise<void> {
  await facts.command({
    query: 'ALTER TABLE delivery_attempts DELETE WHERE archive = {archive:String} SETTINGS mutations_sync = 1',
    query_params: { archive: archiveName(day, archive) },
  })
  await pool.query('UPDATE delivery_archives SET generation = $2, next_block = 0 WHERE day = $1', [
    dayOf(day),
    archive.generation + 1,
  ])
}

/** Drops days of attempts from ClickHouse too. @returns the days, `YYYYMMDD` */
export async function dropArchived(facts: FactsClient, keptFromMs: number): Promise<readonly string[]> {
  const answer = await facts.query({
    query: `SELECT DISTINCT partition FROM system.parts
      WHERE database = currentDatabase() AND table = 'delivery_attempts' AND active AND partition < {day:String}`,
    query_params: { day: new Date(keptFromMs).toISOString().slice(0, 10).replaceAll('-', '') },
    format: 'JSONEachRow',
  })
  const days = (await answer.json<{ partition: string }>()).map(({ partition }) => partition)
  for (const day of days) await facts.command({ query: `ALTER TABLE delivery_attempts DROP PARTITION ${day}` })
  return days
}
