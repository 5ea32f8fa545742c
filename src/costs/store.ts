import { asTenant, type Tenant } from '#accounts'
import { PIPELINE_CONSUMER } from '#pipeline'
import type { Pool, Tx } from '#platform/postgres'

import type { CostRow, Spread } from './cost-row.ts'
import type { Positions } from './spread.ts'

export const versionKinds = ['import', 'correction', 'respread', 'deletion'] as const
export type VersionKind = (typeof versionKinds)[number]

/** A version of an import, with its rows. */
export type CostVersion = {
  readonly importId: string
  readonly importKey: string
  readonly version: number
  readonly kind: VersionKind
  readonly state: 'booking' | 'booked'
  readonly contentHash: string
  readonly advertiserId: string
  readonly timezone: string
  readonly spread: Spread
  readonly positions: Positions
  readonly createdBy: string
  readonly createdAt: Date
  readonly rows: readonly (CostRow & { readonly clicks: number | undefined })[]
}

type VersionRow = {
  import_id: string
  import_key: string
  version: number
  kind: VersionKind
  state: 'booking' | 'booked'
  content_hash: string
  advertiser_id: string
  timezone: string
  spread: Spread
  positions: Positions
  created_by: string
  created_at: Date
}

type StoredRow = {
  row_no: number
  starts_at: Date
  ends_at: Date
  dimensions: Record<string, string>
  amount_micros: bigint
  currency: string
  clicks: bigint | null
}

const VERSION = `
  SELECT i.import_key, v.import_id, v.version, v.kind, v.state, v.content_hash, v.advertiser_id, v.timezone, v.spread, v.positions, v.created_by, v.created_at
  FROM cost_import_versions v JOIN cost_imports i USING (import_id)`
const LAST_BY_KEY = `${VERSION} WHERE i.advertiser_id = $1 AND i.import_key = $2 ORDER BY v.version DESC LIMIT 1`
const LAST_BY_ID = `${VERSION} WHERE v.import_id = $1 ORDER BY v.version DESC LIMIT 1`
const BY_IDEMPOTENCY_KEY = `${VERSION} WHERE v.advertiser_id = $1 AND v.idempotency_key = $2`
const UNFINISHED = `${VERSION} WHERE v.state = 'booking' ORDER BY v.created_at, v.import_id LIMIT 100`
const ROWS = `
  SELECT row_no, starts_at, ends_at, dimensions, amount_micros, currency, clicks FROM cost_import_rows
  WHERE import_id = $1 AND version = $2 ORDER BY row_no`

type Db = Pool | Tx

async function withRows(db: Db, row: VersionRow | undefined): Promise<CostVersion | undefined> {
  if (row === undefined) return undefined
  const { rows } = await db.query<StoredRow>(ROWS, [row.import_id, row.version])
  return {
    ...{ importId: row.import_id, importKey: row.import_key, version: row.version, kind: row.kind, state: row.state },
    ...{ contentHash: row.content_hash, advertiserId: row.advertiser_id, timezone: row.timezone, spread: row.spread },
    ...{ positions: row.positions, createdBy: row.created_by, createdAt: row.created_at },
    rows: rows.map((one) => ({
      rowNo: one.row_no,
      startsMs: one.starts_at.getTime(),
      endsMs: one.ends_at.getTime(),
      dimensions: sorted(one.dimensions),
      amountMicros: one.amount_micros,
      currency: one.currency,
      clicks: one.clicks === null ? undefined : Number(one.clicks),
    })),
  }
}

/** jsonb keeps no order of keys. */
const sorted = (dimensions: Record<string, string>): Record<string, string> =>
  Object.fromEntries(Object.entries(dimensions).sort(([one], [other]) => (one < other ? -1 : 1)))

const findOne = async (db: Db, sql: string, params: readonly unknown[]): Promise<CostVersion | undefined> =>
  withRows(db, (await db.query<VersionRow>(sql, [...params])).rows[0])

/** The last version of the import with a key. */
export const findByKey = (db: Db, advertiserId: string, key: string): Promise<CostVersion | undefined> =>
  findOne(db, LAST_BY_KEY, [advertiserId, key])

/** The last version of an import. */
export const findById = (db: Db, importId: string): Promise<CostVersion | undefined> =>
  findOne(db, LAST_BY_ID, [importId])

export const findByIdempotencyKey = (db: Db, advertiserId: string, key: string): Promise<CostVersion | undefined> =>
  findOne(db, BY_IDEMPOTENCY_KEY, [advertiserId, key])

/** Versions whose booking was cut off, the oldest first. */
export const listUnfinished = async (pool: Pool): Promise<readonly { advertiserId: string; importKey: string }[]> =>
  (await pool.query<VersionRow>(UNFINISHED)).rows.map((row) => ({
    advertiserId: row.advertiser_id,
    importKey: row.import_key,
  }))

/** What an import amounts to in a currency, by its last version that is booked. */
export type BookedAmount = {
  readonly import_id: string
  /** Of the version; 0: none is booked. */
  readonly version: number
  /** Empty: it has no amounts, as one that is deleted. */
  readonly currency: string
  /** Decimal text. */
  readonly micros: string
}

const BOOKED_AMOUNTS = `
  SELECT i.import_id, coalesce(v.version, 0) AS version, coalesce(r.currency, '') AS currency, coalesce(sum(r.amount_micros), 0)::text AS micros
  FROM cost_imports i
  LEFT JOIN LATERAL (
    SELECT version FROM cost_import_versions v WHERE v.import_id = i.import_id AND v.state = 'booked' ORDER BY version DESC LIMIT 1) AS v ON true
  LEFT JOIN cost_import_rows r ON r.import_id = i.import_id AND r.version = v.version
  GROUP BY 1, 2, 3 ORDER BY 1, 3`

/** Amounts of every import. */
export const listBookedAmounts = async (db: Db): Promise<readonly BookedAmount[]> =>
  (await db.query<BookedAmount>(BOOKED_AMOUNTS)).rows

const RECENT = `
  SELECT v.import_id FROM cost_imports i JOIN LATERAL (
    SELECT * FROM cost_import_versions v WHERE v.import_id = i.import_id ORDER BY v.version DESC LIMIT 1) AS v ON true
  WHERE v.kind <> 'deletion' AND EXISTS (
    SELECT FROM cost_import_rows r WHERE (r.import_id, r.version) = (v.import_id, v.version) AND r.ends_at > $1 AND r.starts_at < $2)
  ORDER BY i.created_at LIMIT 1000`

/** Imports of which a row ended since a moment and has begun by another. */
export const listRecent = async (pool: Pool, since: Date, until: Date): Promise<readonly string[]> =>
  (await pool.query<{ import_id: string }>(RECENT, [since, until])).rows.map(({ import_id }) => import_id)

const POSITIONS = `SELECT log_partition, position FROM consumer_positions WHERE consumer = '${PIPELINE_CONSUMER}'`

/** Below them every click is in the facts: a position moves after its facts are in. */
export async function readPositions(db: Db): Promise<Positions> {
  const { rows } = await db.query<{ log_partition: string; position: bigint }>(POSITIONS)
  return Object.fromEntries(rows.map(({ log_partition, position }) => [log_partition, Number(position)]))
}

export type NewVersion = Omit<CostVersion, 'state' | 'rows' | 'positions'> & {
  readonly rows: readonly CostRow[]
  readonly idempotencyKey: string | undefined
}

const INSERT_IMPORT = `
  INSERT INTO cost_imports (import_id, advertiser_id, import_key, created_at) VALUES ($1, $2, $3, $4) ON CONFLICT DO NOTHING`
const INSERT_VERSION = `
  INSERT INTO cost_import_versions (import_id, version, kind, state, content_hash, idempotency_key, advertiser_id, timezone, spread,
    positions, created_by, created_at)
  VALUES ($1, $2, $3, 'booking', $4, $5, $6, $7, $8, $9, $10, $11)`
const INSERT_ROWS = `
  INSERT INTO cost_import_rows (import_id, version, row_no, starts_at, ends_at, dimensions, amount_micros, currency)
  SELECT $1, $2, * FROM unnest($3::integer[], $4::timestamptz[], $5::timestamptz[], $6::jsonb[], $7::bigint[], $8::text[])`

/** Writes a version that is to be booked, with the places of the log that decide which clicks it has. */
export async function addVersion(tx: Tx, one: NewVersion): Promise<CostVersion> {
  const positions = await readPositions(tx)
  await tx.query(INSERT_IMPORT, [one.importId, one.advertiserId, one.importKey, one.createdAt])
  await tx.query(INSERT_VERSION, [
    ...[one.importId, one.version, one.kind, one.contentHash, one.idempotencyKey, one.advertiserId, one.timezone],
    ...[one.spread, JSON.stringify(positions), one.createdBy, one.createdAt],
  ])
  await tx.query(INSERT_ROWS, [
    ...[one.importId, one.version],
    one.rows.map(({ rowNo }) => rowNo),
    one.rows.map(({ startsMs }) => new Date(startsMs)),
    one.rows.map(({ endsMs }) => new Date(endsMs)),
    one.rows.map(({ dimensions }) => JSON.stringify(dimensions)),
    one.rows.map(({ amountMicros }) => amountMicros),
    one.rows.map(({ currency }) => currency),
  ])
  return { ...one, state: 'booking', positions, rows: one.rows.map((row) => ({ ...row, clicks: undefined })) }
}

const NOTE_CLICKS = `
  UPDATE cost_import_rows r SET clicks = c.clicks FROM unnest($3::integer[], $4::bigint[]) AS c (row_no, clicks)
  WHERE r.import_id = $1 AND r.version = $2 AND r.row_no = c.row_no`
const MARK_BOOKED = `UPDATE cost_import_versions SET state = 'booked', booked_at = $3 WHERE import_id = $1 AND version = $2`

/** Notes that a version stands in the facts. @param clicks by the number of the row */
export async function markBooked(
  tx: Tx,
  { importId, version, rows }: CostVersion,
  clicks: ReadonlyMap<number, number>,
  at: Date,
): Promise<void> {
  const numbers = rows.map(({ rowNo }) => rowNo)
  await tx.query(NOTE_CLICKS, [importId, version, numbers, numbers.map((no) => clicks.get(no) ?? 0)])
  await tx.query(MARK_BOOKED, [importId, version, at])
}

/** An import as a list shows it. */
export type ImportSummary = {
  readonly import_id: string
  readonly key: string
  readonly advertiser_id: string
  readonly version: number
  readonly kind: VersionKind
  readonly state: 'booking' | 'booked'
  readonly spread: Spread
  readonly timezone: string
  readonly created_at: Date
  readonly created_by: string
  readonly booked_at: Date | null
  readonly rows: number
  readonly clicks: number
  readonly amounts: readonly { currency: string; amount_micros: string; unallocated_micros: string }[]
}

const SUMMARIES = `
  SELECT i.import_id, i.import_key AS key, i.advertiser_id, v.version, v.kind, v.state, v.spread, v.timezone, v.created_at, v.created_by,
    v.booked_at, i.created_at AS first_at,
    (SELECT count(*) FROM cost_import_rows r WHERE (r.import_id, r.version) = (v.import_id, v.version))::integer AS rows,
    (SELECT coalesce(sum(r.clicks), 0) FROM cost_import_rows r WHERE (r.import_id, r.version) = (v.import_id, v.version))::float8 AS clicks,
    (SELECT coalesce(json_agg(a ORDER BY a.currency), '[]') FROM (
      SELECT r.currency, sum(r.amount_micros)::text AS amount_micros,
        coalesce(sum(r.amount_micros) FILTER (WHERE r.clicks = 0), 0)::text AS unallocated_micros
      FROM cost_import_rows r WHERE (r.import_id, r.version) = (v.import_id, v.version) GROUP BY r.currency) AS a) AS amounts
  FROM cost_imports i JOIN LATERAL (
    SELECT * FROM cost_import_versions v WHERE v.import_id = i.import_id ORDER BY v.version DESC LIMIT 1) AS v ON true
  WHERE ($1::text IS NULL OR i.advertiser_id = $1) AND ($2::uuid IS NULL OR i.import_id = $2)
    AND ($3::timestamptz IS NULL OR (i.created_at, i.import_id) < ($3, $4::uuid))
  ORDER BY i.created_at DESC, i.import_id DESC LIMIT $5`

export type ImportQuestion = {
  readonly advertiserId?: string | undefined
  readonly importId?: string | undefined
  readonly before?: { readonly atMs: number; readonly id: string } | undefined
  readonly limit: number
}

/** Imports by their last version, the newest first: those that the tenant may see. */
export async function listImports(
  pool: Pool,
  tenant: Tenant,
  { advertiserId, importId, before, limit }: ImportQuestion,
): Promise<readonly (ImportSummary & { readonly first_at: Date })[]> {
  const params = [advertiserId, importId, before && new Date(before.atMs), before?.id, limit]
  return asTenant(
    pool,
    tenant,
    async (tx) => (await tx.query<ImportSummary & { first_at: Date }>(SUMMARIES, params)).rows,
  )
}
