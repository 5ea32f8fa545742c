import type { Pool, Tx } from '#platform/postgres'
import { listAttempts, ROWS_MAX, type AttemptRow, type DeliveryRow } from './deliveries.ts'

const ARCHIVED = `
  SELECT delivery_id, attempt_no, attempted_at, outcome, http_status, error, error_detail, first_byte_ms, total_ms, remote_address,
    response_head_base64, response_bytes, next_at, is_fenced, is_probe, more
  FROM delivery_attempts WHERE delivery_id IN {ids:Array(UInt64)}
  ORDER BY delivery_id, attempt_no, attempted_at LIMIT ${ROWS_MAX}`

type ArchivedRow = Omit<AttemptRow, 'delivery_id' | 'attempted_at' | 'next_at' | 'response_head'> & {
  readonly delivery_id: string
  readonly attempted_at: string
  readonly next_at: string | null
  readonly response_head_base64: string
  readonly more: string
}

const instant = (text: string): Date => new Date(`${text.replace(' ', 'T').slice(0, 23)}Z`)

function attemptOf({
  delivery_id,
  attempted_at,
  next_at,
  response_head_base64,
  more,
  ...rest
}: ArchivedRow): AttemptRow {
  // Columns that are nobody's business outside, as in PostgreSQL.
  const { worker_id: _worker, try_no: _try, reason: _reason, ...others } = JSON.parse(more) as Record<string, unknown>
  return {
    ...others,
    ...rest,
    delivery_id: BigInt(delivery_id),
    attempted_at: instant(attempted_at),
    next_at: next_at === null ? null : instant(next_at),
    response_head: Buffer.from(response_head_base64, 'base64').toString('utf8'),
  }
}

const KEPT_FROM = `SELECT nullif(delivery_kept_from('delivery_attempts'), '-infinity') AS kept_from`

/** Each HTTP try of the deliveries, oldest first, from PostgreSQL and where they are older from ClickHouse.
 * @param ask reads rows of ClickHouse; its errors are passed on
 */
export async function listAllAttempts(
  db: Tx | Pool,
  ask: AskArchive,
  deliveries: readonly Pick<DeliveryRow, 'delivery_id' | 'created_at'>[],
): Promise<readonly AttemptRow[]> {
  const here = await listAttempts(db, deliveries.map(({ delivery_id }) => delivery_id)) // prettier-ignore
  const { rows } = await db.query<{ kept_from: Date | null }>(KEPT_FROM)
  const keptFrom = rows[0]!.kept_from
  const older = deliveries.filter(({ created_at }) => keptFrom !== null && created_at < keptFrom)
  if (older.length === 0) return here
  const archived = await ask<ArchivedRow>(ARCHIVED, { ids: older.map(({ delivery_id }) => delivery_id) })
  // A day that is just being moved is in both places.
  const seen = new Set(here.map(identityOf))
  const missing = archived.map(attemptOf).filter((row) => !seen.has(identityOf(row)))
  return [...missing, ...here].sort((a, b) => compare(a.delivery_id, b.delivery_id) || a.attempt_no - b.attempt_no || a.attempted_at.getTime() - b.attempted_at.getTime()) // prettier-ignore
}

/** Reads rows of ClickHouse. */
export type AskArchive = <Row>(sql: string, params: Readonly<Record<string, unknown>>) => Promise<readonly Row[]>

const compare = (a: bigint, b: bigint): number => (a < b ? -1 : a > b ? 1 : 0)
const identityOf = ({ delivery_id, attempt_no, attempted_at }: AttemptRow): string =>
  `${delivery_id}|${attempt_no}|${attempted_at.getTime()}`
