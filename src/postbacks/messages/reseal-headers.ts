import type { Pool } from '#platform/postgres'
import { secretKeys } from '#secrets'
import { openHeaders, sealHeaders, type StoredHeaders } from './stored-headers.ts'

/** A part of a day at a time: nobody waits for a lock on more. */
const ROWS_MAX = 2_000

/** Headers that an earlier key sealed, or none. Messages with headers are few, but the days are looked through. */
const NEXT = `
  SELECT created_at AS "createdAt", delivery_id AS "deliveryId", headers FROM deliveries
  WHERE (created_at, delivery_id) > ($1::timestamptz, $2::bigint) AND headers IS NOT NULL
    AND NOT starts_with(coalesce(headers #>> '{}', ''), $3)
  ORDER BY created_at, delivery_id LIMIT ${ROWS_MAX}`

const WRITE = `
  UPDATE deliveries AS d SET headers = g.headers
  FROM unnest($1::timestamptz[], $2::bigint[], $3::jsonb[]) AS g(created_at, delivery_id, headers)
  WHERE d.created_at = g.created_at AND d.delivery_id = g.delivery_id`

type Row = { readonly createdAt: Date; readonly deliveryId: bigint; readonly headers: StoredHeaders }

/** Seals the headers of all stored messages with the newest key, in parts that are each of its own: it can be repeated.
 * @returns how many messages were changed
 * @throws {WaypostError} secret_key_missing; secret_damaged: the rest stays as it was
 */
export async function resealHeaders(pool: Pool): Promise<number> {
  const sealedNow = `sealed:1:${secretKeys().currentId()}:`
  let last: Pick<Row, 'createdAt' | 'deliveryId'> = { createdAt: new Date(0), deliveryId: 0n }
  let count = 0
  for (;;) {
    const { rows } = await pool.query<Row>(NEXT, [last.createdAt, last.deliveryId, sealedNow])
    if (rows.length === 0) return count
    await pool.query(WRITE, [
      rows.map((row) => row.createdAt),
      rows.map((row) => row.deliveryId),
      rows.map((row) => sealHeaders(openHeaders(row.headers)!)),
    ])
    count += rows.length
    last = rows.at(-1)!
  }
}
