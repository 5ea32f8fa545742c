import { chmodSync, mkdirSync, rmSync, statSync } from 'node:fs'
import { totalmem } from 'node:os'
import { join } from 'node:path'

import type { FactsClient } from '#platform/clickhouse'
import { createLogLines } from '#platform/log-lines'
import { createPool, startEmbeddedPostgres, type EmbeddedPostgres, type Pool } from '#platform/postgres'

import { WORLD_DAYS, WORLD_FROM_MS } from './generate-facts.ts'

/** The same facts in PostgreSQL 18, as somebody who knows it would keep them: only the columns that are asked for, the time
 * and numbers first so that rows are short, conversions as they stand now instead of by revision.
 */
const TABLES: Readonly<Record<'clicks' | 'events' | 'conversions', readonly string[]>> = {
  clicks: [
    ...['at timestamptz', 'cost_micros bigint', 'is_unique_campaign boolean', 'is_unique_offer boolean', 'class text'],
    ...['outcome text', 'currency text'],
  ],
  events: ['at timestamptz', 'type text', 'refusal text'],
  conversions: [
    ...['at timestamptz', 'payout_micros bigint', 'revenue_micros bigint', 'type text', 'status text', 'currency text'],
  ],
}

const DIMENSIONS: readonly string[] = [
  ...['advertiser_id', 'campaign_id', 'offer_id', 'affiliate_id', 'source_id', 'creative_id', 'country', 'device_type'],
  ...['os', 'browser', 'bot', 'sub1'],
]

/** Which indexes and why. Reports over all of the time read the whole table whatever there is; what they can read instead is an
 * index that has all columns of the commonest reports and is a third of the table (an index-only scan).
 */
const INDEXES: readonly string[] = [
  // A tenant's range of time.
  ...['clicks', 'events', 'conversions'].map(
    (table) => `CREATE INDEX ${table}_by_advertiser ON ${table} (advertiser_id, at)`,
  ),
  // Everybody's range of time: rows come in the order of time, so a block range index does it in some kilobytes.
  ...['clicks', 'events', 'conversions'].map(
    (table) => `CREATE INDEX ${table}_by_time ON ${table} USING brin (at) WITH (pages_per_range = 32)`,
  ),
  // Reports by day and by campaign without the table.
  `CREATE INDEX clicks_of_campaigns ON clicks (campaign_id, at)
    INCLUDE (is_unique_campaign, is_unique_offer, bot, cost_micros, currency, class, outcome)`,
  // One sub id or affiliate at a time.
  `CREATE INDEX clicks_of_affiliates ON clicks (affiliate_id, at)`,
  `CREATE INDEX clicks_of_sub1 ON clicks (sub1)`,
]

const dimensionsOf = (): readonly string[] => DIMENSIONS.map((name) => `${name} text COLLATE "C"`)

/** Two cores: a leader and a worker for each, memory for hash tables of a million groups. */
const SETTINGS: Readonly<Record<string, string>> = {
  shared_buffers: `${Math.min(4096, Math.round(totalmem() / 2 ** 20 / 6))}MB`,
  effective_cache_size: `${Math.round((totalmem() / 2 ** 20) * 0.6)}MB`,
  work_mem: '512MB',
  hash_mem_multiplier: '2',
  maintenance_work_mem: '1GB',
  max_parallel_workers_per_gather: '2',
  max_parallel_workers: '4',
  max_parallel_maintenance_workers: '2',
  max_wal_size: '8GB',
  jit: 'on',
  // Nothing of the load has to survive; readers do not notice.
  fsync: 'off',
  synchronous_commit: 'off',
  full_page_writes: 'off',
}

export type PostgresFacts = { readonly pool: Pool; readonly bytes: number; readonly close: () => Promise<void> }

/** Starts a server of its own and copies the facts into it.
 * @param directory of server and copies in between; must exist
 */
export async function copyToPostgres(facts: FactsClient, directory: string): Promise<PostgresFacts> {
  const server = await startEmbeddedPostgres({
    dataDir: join(directory, 'postgres'),
    password: 'bench',
    logLines: createLogLines('bench', 'error'),
    settings: SETTINGS,
  })
  const pool = createPool(server.url, { max: 2, statementTimeoutMs: 0 })
  try {
    await fill(facts, pool, join(directory, 'copies'))
    const { rows } = await pool.query<{ bytes: bigint }>(
      `SELECT sum(pg_total_relation_size(oid))::int8 AS bytes FROM pg_class WHERE relname IN ('clicks', 'events', 'conversions')`,
    )
    return { pool, bytes: Number(rows[0]!.bytes), close: () => end(pool, server) }
  } catch (error) {
    await end(pool, server)
    throw error
  }
}

async function end(pool: Pool, server: EmbeddedPostgres): Promise<void> {
  await pool.end()
  await server.stop()
}

async function fill(facts: FactsClient, pool: Pool, copies: string): Promise<void> {
  for (const [table, columns] of Object.entries(TABLES))
    await pool.query(`CREATE UNLOGGED TABLE ${table} (${[...columns, ...dimensionsOf()].join(', ')})`)
  mkdirSync(copies, { recursive: true })
  // The server runs as another user.
  chmodSync(copies, 0o755)
  for (let day = 0; day <= WORLD_DAYS; day++)
    for (const table of ['clicks', 'events', 'conversions'] as const) await copyDay(facts, pool, table, day, copies)
  rmSync(copies, { recursive: true, force: true })
  for (const index of INDEXES) await pool.query(index)
  await pool.query('VACUUM (ANALYZE)')
  await pool.query('CHECKPOINT')
}

async function copyDay(
  facts: FactsClient,
  pool: Pool,
  table: keyof typeof TABLES,
  day: number,
  copies: string,
): Promise<void> {
  const file = join(copies, `${table}-${day}.tsv`)
  const names = [...TABLES[table], ...dimensionsOf()].map((column) => column.split(' ')[0]!)
  const values = names.map((name) => (name === 'at' ? `concat(toString(at), '+00') AS time` : name))
  const isDay = `toYYYYMMDD(at) = toYYYYMMDD(fromUnixTimestamp64Milli(toInt64(${WORLD_FROM_MS + day * 86_400_000}), 'UTC'))`
  // What was taken back is no row here: of a conversion the last revision stands.
  const current =
    table === 'conversions' ? 'ORDER BY at, revision DESC, sign DESC LIMIT 1 BY conversion_id' : 'ORDER BY at'
  await facts.command({
    query: `SELECT ${values.join(', ')} FROM ${table} WHERE ${isDay} ${current} INTO OUTFILE '${file}' TRUNCATE FORMAT TSV`,
  })
  chmodSync(file, 0o644)
  if (statSync(file).size > 0) await pool.query(`COPY ${table} (${names.join(', ')}) FROM '${file}'`)
  rmSync(file)
}
