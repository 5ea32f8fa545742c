/** What `waypost doctor` looks at. Each check is one question with one answer; one that cannot be asked is an answer too. */
import { statSync } from 'node:fs'
import { statfs } from 'node:fs/promises'

import { openCapBooks } from '#caps'
import type { Config } from '#config'
import { readFetchState } from '#currencies'
import type { EventLog } from '#log'
import { PIPELINE_CONSUMER, readCapLag, readSavedCapPlace } from '#pipeline'
import type { FactsClient } from '#platform/clickhouse'
import type { Clock } from '#platform/clock'
import type { Pool } from '#platform/postgres'
import { readRetentionStatus } from '#retention'

import { dataPaths } from './data-directory.ts'

/** `warn` works and will not for long, or is unwise; `fail` does not work or is wrong. */
export type Finding = {
  readonly check: string
  readonly result: 'ok' | 'warn' | 'fail'
  readonly detail: string
  /** What to do about it; given with warn and fail. */
  readonly todo?: string
}

export type Installation = {
  readonly config: Config
  readonly pool: Pool
  readonly facts: FactsClient
  readonly log: EventLog
  readonly clock: Clock
  /** Of a pipeline of this process: caps have counted the revisions of conversions below; undefined: not all yet that a power cut took.
   * Left out: the pipeline runs elsewhere or not at all.
   */
  readonly capPlace?: () => number | undefined
}

type Answer = Omit<Finding, 'check'>
type Check = (installation: Installation) => Promise<Answer>

const GIGABYTE = 1_000_000_000
const DISK_FAIL_BYTES = GIGABYTE
const DISK_WARN_BYTES = 5 * GIGABYTE
/** Time-ordered ids, holds and signatures of five minutes all live with a second; minutes make partners refuse signatures. */
const CLOCK_WARN_MS = 1_000
const CLOCK_FAIL_MS = 30_000
const API_KEY_LENGTH_GOOD = 20
const LAG_WARN_RECORDS = 100_000
/** Conversions are counted in caps within a second, and a copy of the counts is saved every minute. */
const CAPS_LATE_SECONDS = 30
const CAPS_SAVED_LATE_SECONDS = 300
/** Lost leases are looked for every few seconds: one that ended a minute ago is looked after by nobody. */
const LEASE_LATE_SECONDS = 60
const DELIVERY_LATE_SECONDS = 600

/** Asks every question. Never throws: what cannot be asked is a `fail`. */
export async function examine(installation: Installation): Promise<readonly Finding[]> {
  const findings: Finding[] = []
  for (const [check, ask] of Object.entries(checks)) findings.push({ check, ...(await answer(ask, installation)) })
  return findings
}

async function answer(ask: Check, installation: Installation): Promise<Answer> {
  try {
    return await ask(installation)
  } catch (error) {
    return fail((error as Error).message.split('\n')[0]!, 'See the log lines of the process; docs/operations.md.')
  }
}

const ok = (detail: string): Answer => ({ result: 'ok', detail })
const warn = (detail: string, todo: string): Answer => ({ result: 'warn', detail, todo })
const fail = (detail: string, todo: string): Answer => ({ result: 'fail', detail, todo })

const checks: Readonly<Record<string, Check>> = {
  'PostgreSQL answers': askPostgres,
  'PostgreSQL keeps what it commits': askDurability,
  'ClickHouse answers': askClickHouse,
  'disk space': askDisk,
  'clocks agree': askClocks,
  'secrets are private': askSecrets,
  'owner key': askOwnerKey,
  'ledger balances': askLedger,
  'facts hold each record once': askDuplicates,
  'positions are within the log': askPositions,
  'pipeline keeps up': askLag,
  'caps are counted': askCaps,
  'leases are looked after': askLeases,
  'deliveries are sent in time': askDeliveries,
  'raw facts are retired': askRetention,
  'exchange rates are fresh': askRates,
  'cost imports are booked': askCosts,
}

async function rowOf<Row extends object>(pool: Pool, sql: string, values: readonly unknown[] = []): Promise<Row> {
  const { rows } = await pool.query<Row>(sql, [...values])
  return rows[0]!
}

async function askPostgres({ pool }: Installation): Promise<Answer> {
  const startedAt = performance.now()
  const { version } = await rowOf<{ version: string }>(pool, `SELECT current_setting('server_version') AS version`)
  return ok(`version ${version}, ${(performance.now() - startedAt).toFixed(1)} ms`)
}

async function askDurability({ pool }: Installation): Promise<Answer> {
  const settings = ['fsync', 'synchronous_commit', 'full_page_writes']
  const { rows } = await pool.query<{ name: string; setting: string }>(
    `SELECT name, setting FROM pg_settings WHERE name = ANY($1) AND setting = 'off'`,
    [settings],
  )
  if (rows.length === 0) return ok(`${settings.join(', ')} are on`)
  const off = rows.map((row) => row.name).join(', ')
  return fail(`${off} off: a power cut loses money that was booked`, `Switch ${off} on in the server.`)
}

async function askClickHouse({ facts }: Installation): Promise<Answer> {
  const startedAt = performance.now()
  const [row] = await readFacts<{ version: string }>(facts, 'SELECT version() AS version')
  return ok(`version ${row!.version}, ${(performance.now() - startedAt).toFixed(1)} ms`)
}

async function readFacts<Row>(facts: FactsClient, query: string): Promise<readonly Row[]> {
  return (await facts.query({ query, format: 'JSONEachRow' })).json<Row>()
}

async function askDisk({ config }: Installation): Promise<Answer> {
  const { bavail, bsize, blocks } = await statfs(config.dataDir)
  const freeBytes = bavail * bsize
  const detail = `${(freeBytes / GIGABYTE).toFixed(1)} GB of ${((blocks * bsize) / GIGABYTE).toFixed(0)} GB free in ${config.dataDir}`
  const todo = 'Free some space, or keep less: WAYPOST_LOG_MAX_GB, WAYPOST_LOG_MAX_DAYS. A full disk refuses clicks.'
  if (freeBytes < DISK_FAIL_BYTES) return fail(detail, todo)
  return freeBytes < DISK_WARN_BYTES ? warn(detail, todo) : ok(detail)
}

async function askClocks({ pool, clock }: Installation): Promise<Answer> {
  const beforeMs = clock.now()
  const { now_ms } = await rowOf<{ now_ms: number }>(
    pool,
    'SELECT (extract(epoch FROM clock_timestamp()) * 1000)::float8 AS now_ms',
  )
  // The answer was made somewhere between the question and now.
  const differenceMs = Math.abs(now_ms - (beforeMs + clock.now()) / 2)
  const detail = `PostgreSQL and this process differ by ${differenceMs.toFixed(0)} ms`
  const todo = 'Let NTP (chrony, systemd-timesyncd) set the clocks of both machines.'
  if (differenceMs > CLOCK_FAIL_MS) return fail(detail, todo)
  return differenceMs > CLOCK_WARN_MS ? warn(detail, todo) : ok(detail)
}

async function askSecrets({ config }: Installation): Promise<Answer> {
  const { secrets, secretKeys, snapshot } = dataPaths(config.dataDir)
  const files = [secrets, secretKeys, snapshot].flatMap((file) => {
    const mode = statSync(file, { throwIfNoEntry: false })?.mode
    return mode === undefined ? [] : [{ file, mode: mode & 0o777 }]
  })
  const open = files.find(({ mode }) => (mode & 0o077) !== 0)
  if (open === undefined) return ok(files.map(({ file }) => file).join(', '))
  return fail(`${open.file} can be read by others (mode ${open.mode.toString(8)})`, `chmod 600 ${open.file}`)
}

async function askOwnerKey({ config, pool }: Installation): Promise<Answer> {
  const { count } = await rowOf<{ count: number }>(
    pool,
    `SELECT count(*)::int AS count FROM api_keys WHERE role = 'owner' AND revoked_at IS NULL`,
  )
  if (count === 0) return fail('there is no key of an owner', 'Start Waypost: it makes one.')
  const short = config.apiKey !== undefined && config.apiKey.length < API_KEY_LENGTH_GOOD
  if (!short) return ok(`${count} active`)
  return warn('WAYPOST_API_KEY is short enough to be guessed', `Use ${API_KEY_LENGTH_GOOD} or more random characters.`)
}

/** A day without a rate has one of the seven before it: after three days there is time to do something. */
const RATES_LATE_DAYS = 3

async function askRates({ config, pool, clock }: Installation): Promise<Answer> {
  if (config.ratesUrl === undefined) return ok('WAYPOST_RATES_URL is not set: rates are stored by hand')
  const state = await readFetchState(pool)
  if (state === undefined) return ok('not fetched yet')
  const days = state.succeeded_at === null ? Infinity : (clock.now() - state.succeeded_at.getTime()) / 86_400_000
  const last = state.newest_day === null ? 'none so far' : `the newest are of ${state.newest_day}`
  if (days <= RATES_LATE_DAYS) return ok(last)
  return warn(`they cannot be fetched: ${state.problem}; ${last}`, 'Look at WAYPOST_RATES_URL, or store them: waypost rates import FILE.') // prettier-ignore
}

/** What was cut off is finished within minutes. */
const BOOKING_LATE_MINUTES = 15

async function askCosts({ pool }: Installation): Promise<Answer> {
  const { late } = await rowOf<{ late: number }>(
    pool,
    `SELECT count(*)::int AS late FROM cost_import_versions WHERE state = 'booking' AND created_at < now() - interval '${BOOKING_LATE_MINUTES} minutes'`,
  )
  if (late === 0) return ok('none waits')
  return fail(
    `${late} have waited for more than ${BOOKING_LATE_MINUTES} minutes`,
    'See the log lines of the process that runs the pipeline.',
  )
}

async function askLedger({ pool }: Installation): Promise<Answer> {
  const { transactions, unbalanced } = await rowOf<{ transactions: bigint; unbalanced: bigint }>(
    pool,
    `SELECT count(*) AS transactions, count(*) FILTER (WHERE NOT is_balanced) AS unbalanced FROM (
       SELECT bool_and(total = 0) AS is_balanced FROM (
         SELECT transaction_id, sum(amount_micros) AS total FROM ledger_entries GROUP BY transaction_id, currency
       ) AS per_currency GROUP BY transaction_id
     ) AS per_transaction`,
  )
  if (unbalanced === 0n) return ok(`${transactions} transactions, each sums to zero`)
  return fail(`${unbalanced} of ${transactions} transactions do not sum to zero`, 'Run reconcile and keep a copy of the data directory.') // prettier-ignore
}

/** What is written once: a record of the log, a revision of a conversion. Not an event id: what was refused may come again under
 * the same one, and both are kept. The last day only: a repeat can come from the crash before the last start, not from last month.
 */
async function askDuplicates({ facts }: Installation): Promise<Answer> {
  const repeats = await readFacts<{ table: string; repeated: string | number }>(
    facts,
    `SELECT 'clicks' AS table, count() - uniqExact(log_partition, log_offset) AS repeated FROM clicks
       WHERE at > now() - INTERVAL 1 DAY
     UNION ALL SELECT 'events', count() - uniqExact(log_partition, log_offset) FROM events
       WHERE at > now() - INTERVAL 1 DAY
     UNION ALL SELECT 'conversions', count() - uniqExact(seq, sign) FROM conversions
       WHERE at > now() - INTERVAL 1 DAY`,
  )
  const found = repeats.filter(({ repeated }) => Number(repeated) !== 0)
  if (found.length === 0) return ok('clicks, events and conversions of the last day')
  const detail = found.map(({ table, repeated }) => `${repeated} repeated rows in ${table}`).join(', ')
  return fail(detail, 'Run reconcile: it names the ids.')
}

type Place = { readonly partition: string; readonly position: number; readonly end: number }

/** How far the pipeline is in each partition of the log. */
async function readPlaces({ pool, log }: Installation): Promise<readonly Place[]> {
  const { rows } = await pool.query<{ log_partition: string; position: bigint }>(
    'SELECT log_partition, position FROM consumer_positions WHERE consumer = $1',
    [PIPELINE_CONSUMER],
  )
  const positions = new Map(rows.map((row) => [row.log_partition, Number(row.position)]))
  const partitions = await log.partitions()
  const gone = [...positions.keys()].filter((partition) => !partitions.includes(partition))
  const present = partitions.map(async (partition) => ({
    partition,
    position: positions.get(partition) ?? 0,
    end: (await log.bounds(partition)).nextOffset,
  }))
  return [...(await Promise.all(present)), ...gone.map((partition) => ({ partition, position: positions.get(partition)!, end: 0 }))] // prettier-ignore
}

async function askPositions(installation: Installation): Promise<Answer> {
  const places = await readPlaces(installation)
  const beyond = places.find(({ position, end }) => position > end)
  if (beyond === undefined) return ok(`${places.length} partitions`)
  return fail(
    `the pipeline is at ${beyond.position} of ${beyond.partition}, which ends at ${beyond.end}: records are missing`,
    'The log was lost or is another one. Put the directory of the log back that belongs to this database.',
  )
}

async function askLag(installation: Installation): Promise<Answer> {
  const places = await readPlaces(installation)
  const waiting = places.reduce((sum, { position, end }) => sum + Math.max(0, end - position), 0)
  const detail = `${waiting} records wait`
  if (waiting <= LAG_WARN_RECORDS) return ok(detail)
  return warn(detail, 'Look at the log lines of the pipeline; it catches up at some 20 000 records a second.')
}

async function askCaps({ config, pool, clock, capPlace }: Installation): Promise<Answer> {
  const books = openCapBooks({ directory: dataPaths(config.dataDir).caps })
  books?.close()
  if (books?.gap !== undefined) {
    const [since, until] = [books.gap.sinceMs, books.gap.untilMs].map((ms) => new Date(ms).toISOString())
    return warn(
      `clicks from ${since} to ${until}, before the machine went down, are not counted yet`,
      'A process with the role pipeline counts them again from the log; its log lines say how far it is.',
    )
  }
  const place = capPlace?.()
  const lag = await readCapLag(pool, place ?? (await readSavedCapPlace(pool)), clock.now())
  const since = place === undefined ? ' since the last saved copy' : ''
  const state = books === undefined ? 'nothing was counted since the machine started' : 'the counts can be read'
  const waiting = lag.revisions === 0 ? '' : `, the oldest for ${lag.seconds.toFixed(0)} s`
  const detail = `${state}, ${lag.revisions} revisions of conversions wait${since}${waiting}`
  if (lag.seconds <= (place === undefined ? CAPS_SAVED_LATE_SECONDS : CAPS_LATE_SECONDS)) return ok(detail)
  return warn(
    detail,
    'Is a process with the role pipeline running? Its log lines say what is in the way, as a full disk.',
  )
}

async function askLeases({ pool }: Installation): Promise<Answer> {
  const { late, all } = await rowOf<{ late: bigint; all: bigint }>(
    pool,
    `SELECT count(*) AS all, count(*) FILTER (WHERE lease_until < now() - make_interval(secs => $1)) AS late
     FROM delivery_workers`,
    [LEASE_LATE_SECONDS],
  )
  if (late === 0n) return ok(`${all} workers`)
  return fail(
    `${late} of ${all} delivery workers are gone and nobody took their endpoints over`,
    'Start a process with the role delivery.',
  )
}

async function askDeliveries({ pool }: Installation): Promise<Answer> {
  const { late, all } = await rowOf<{ late: bigint; all: bigint }>(
    pool,
    `SELECT count(*) AS all, count(*) FILTER (WHERE run_at < now() - make_interval(secs => $1)) AS late
     FROM delivery_ready`,
    [DELIVERY_LATE_SECONDS],
  )
  if (late === 0n) return ok(`${all} due`)
  return warn(
    `${late} deliveries have been due for more than ten minutes`,
    'Is a process with the role delivery running? Is an endpoint slow, or paused?',
  )
}

/** A run takes minutes, an archive that cannot be written nights. */
const RETENTION_LATE_MS = 86_400_000

async function askRetention({ pool, clock, config }: Installation): Promise<Answer> {
  const { retired, moving, moving_since } = await readRetentionStatus(pool)
  const count = Object.values(moving).reduce((sum, one) => sum + one, 0)
  const rows = retired.reduce((sum, one) => sum + one.rows, 0)
  const needsS3 = config.rawArchive === 's3' && config.s3 === undefined
  if (needsS3) return fail('archives go to S3, and there is no bucket', 'Set WAYPOST_S3_BUCKET and the keys.')
  if (config.rawArchive === 'files' && config.clickhouseUrl !== undefined)
    return fail('archives go to files, which a ClickHouse on a server does not see', 'Set WAYPOST_RAW_ARCHIVE=s3.')
  const detail = `${rows} rows so far, ${count} retirements under way`
  if (moving_since === null || clock.now() - moving_since.getTime() < RETENTION_LATE_MS) return ok(detail)
  return warn(
    `${detail} since ${moving_since.toISOString()}`,
    'GET /v1/jobs?kind=retention says what is in the way; waypost retention run goes on.',
  )
}
