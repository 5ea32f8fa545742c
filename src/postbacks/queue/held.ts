import type { Pool } from '#platform/postgres'
import type { Claimed } from './queue.ts'

/** What is due and waits because the affiliate or advertiser that it is about is paused by hand:
 *
 *   ready ──hold, by the owner that meets it──▶ held ──release, when nothing of it is paused──▶ ready, due since when it was
 *                                                └──expire, retire──▶ final
 *
 * A row is held only while its pause is on record, which that statement locks: whoever looks after the end of a pause finds all
 * that was held for it.
 */
export type PausedSubjects = {
  readonly affiliate: ReadonlySet<string>
  readonly advertiser: ReadonlySet<string>
}

/** Rows moved by one statement. */
const MOVE_MAX = 5_000

/** The LIMIT keeps the planner at one look-up for each, as where deliveries are read. What is marked may be under way, or about to be
 * set aside after a crash: it is found where it was marked.
 */
const holdSql = (met: string): string => `
  WITH met AS MATERIALIZED (
    SELECT w.place, d.delivery_id, coalesce(d.affiliate_id, '') AS affiliate_id, coalesce(d.advertiser_id, '') AS advertiser_id
    FROM (${met}) AS w(place, created_at, delivery_id)
    CROSS JOIN LATERAL (
      SELECT * FROM deliveries AS m WHERE m.created_at = w.created_at AND m.delivery_id = w.delivery_id LIMIT 1
    ) AS d
    WHERE d.affiliate_id = ANY($1::text[]) OR d.advertiser_id = ANY($2::text[])
  ), paused AS MATERIALIZED (
    SELECT object, object_id FROM delivery_pauses
    WHERE object = 'affiliate' AND object_id = ANY($1::text[]) OR object = 'advertiser' AND object_id = ANY($2::text[])
    FOR KEY SHARE
  ), moved AS (
    DELETE FROM delivery_ready AS r USING met AS m
    WHERE r.ctid = m.place AND r.delivery_id = m.delivery_id
      AND EXISTS (
        SELECT FROM paused AS p
        WHERE p.object = 'affiliate' AND p.object_id = m.affiliate_id OR p.object = 'advertiser' AND p.object_id = m.advertiser_id
      )
      AND NOT EXISTS (SELECT FROM delivery_marks AS k WHERE k.delivery_id = m.delivery_id)
      AND EXISTS (SELECT FROM delivery_workers WHERE worker_id = $3::uuid FOR KEY SHARE)
    RETURNING r.*, m.affiliate_id, m.advertiser_id
  ), held AS (
    INSERT INTO delivery_held (delivery_id, created_at, endpoint_id, run_at, attempts, probes, affiliate_id, advertiser_id)
    SELECT delivery_id, created_at, endpoint_id, run_at, attempts, probes, affiliate_id, advertiser_id FROM moved
  )
  SELECT delivery_id AS "deliveryId" FROM met`

const HOLD = holdSql('SELECT * FROM unnest($4::tid[], $5::timestamptz[], $6::bigint[])')

const HOLD_AHEAD = holdSql(`
  SELECT r.ctid, r.created_at, r.delivery_id FROM unnest($4::text[]) AS q(endpoint_id)
  CROSS JOIN LATERAL (
    SELECT w.ctid, w.* FROM delivery_ready AS w
    WHERE w.endpoint_id = q.endpoint_id AND w.attempts >= 0 AND w.run_at <= now()
    ORDER BY w.run_at, w.delivery_id LIMIT ${MOVE_MAX} / cardinality($4::text[])
  ) AS r
  WHERE r.delivery_id <> ALL($5::bigint[])`)

/** What runs with every reading while an affiliate or advertiser is paused. */
export const heldStatements = [HOLD, HOLD_AHEAD] as const

const subjectsOf = ({ affiliate, advertiser }: PausedSubjects): readonly unknown[] => [[...affiliate], [...advertiser]]

/** Holds what is about a paused affiliate or advertiser, of rows that were read and are not under way.
 * @returns those that are about one, none of which may be sent: also those that could not be moved, because the pause has ended or
 * they are marked
 */
export async function holdRead(
  pool: Pool,
  workerId: string,
  paused: PausedSubjects,
  rows: readonly Claimed[],
): Promise<ReadonlySet<number>> {
  const values = [
    ...subjectsOf(paused),
    workerId,
    rows.map((row) => row.place),
    rows.map((row) => row.createdAt),
    rows.map((row) => row.deliveryId),
  ]
  const found = await pool.query<{ deliveryId: bigint }>({ name: 'hold', text: HOLD, values })
  return new Set(found.rows.map((row) => Number(row.deliveryId)))
}

/** The same for the next thousands of what is due for some endpoints, unread.
 * @param underWay deliveries that are being tried
 */
export async function holdAhead(
  pool: Pool,
  workerId: string,
  paused: PausedSubjects,
  endpointIds: readonly string[],
  underWay: readonly number[],
): Promise<void> {
  await pool.query(HOLD_AHEAD, [...subjectsOf(paused), workerId, endpointIds, underWay])
}

const NOT_PAUSED = (row: string): string => `
  NOT EXISTS (SELECT FROM delivery_pauses WHERE object = 'affiliate' AND object_id = ${row}.affiliate_id)
  AND NOT EXISTS (SELECT FROM delivery_pauses WHERE object = 'advertiser' AND object_id = ${row}.advertiser_id)`

/** Steps from group to group in the index: its cost is the number of groups, however much is held. */
const FREE_GROUPS = `
  WITH RECURSIVE held AS (
    SELECT h.* FROM unnest($1::text[]) AS e(endpoint_id) CROSS JOIN LATERAL (
      SELECT endpoint_id, affiliate_id, advertiser_id FROM delivery_held AS f WHERE f.endpoint_id = e.endpoint_id
      ORDER BY f.affiliate_id, f.advertiser_id LIMIT 1
    ) AS h
    UNION ALL
    SELECT h.* FROM held AS g CROSS JOIN LATERAL (
      SELECT endpoint_id, affiliate_id, advertiser_id FROM delivery_held AS f
      WHERE f.endpoint_id = g.endpoint_id AND (f.affiliate_id, f.advertiser_id) > (g.affiliate_id, g.advertiser_id)
      ORDER BY f.affiliate_id, f.advertiser_id LIMIT 1
    ) AS h
  )
  SELECT * FROM held WHERE ${NOT_PAUSED('held')}`

const RELEASE = `
  WITH free AS MATERIALIZED (
    SELECT h.ctid AS place FROM delivery_held AS h
    WHERE h.endpoint_id = $1 AND h.affiliate_id = $2 AND h.advertiser_id = $3 AND ${NOT_PAUSED('h')} LIMIT $4
  ), taken AS (
    DELETE FROM delivery_held AS h USING free AS f WHERE h.ctid = f.place RETURNING h.*
  ), moved AS (
    INSERT INTO delivery_ready (delivery_id, created_at, endpoint_id, run_at, attempts, probes)
    SELECT delivery_id, created_at, endpoint_id, run_at, attempts, probes FROM taken
  )
  SELECT (SELECT count(*) FROM free)::int AS found, (SELECT count(*) FROM taken)::int AS moved`

type Group = { readonly endpoint_id: string; readonly affiliate_id: string; readonly advertiser_id: string }

/** Makes what is held for some endpoints and not paused any more due again. Several may do it at once, and a crash in between leaves the
 * rest to the next.
 * @returns how many; when it resolves nothing of them is left
 */
export async function releaseFree(pool: Pool, endpointIds: readonly string[]): Promise<number> {
  const { rows: groups } = await pool.query<Group>(FREE_GROUPS, [endpointIds])
  let released = 0
  for (const group of groups)
    for (let found = MOVE_MAX; found === MOVE_MAX;) {
      const values = [group.endpoint_id, group.affiliate_id, group.advertiser_id, MOVE_MAX]
      const row = (await pool.query<{ found: number; moved: number }>(RELEASE, values)).rows[0]!
      found = row.found
      released += row.moved
    }
  return released
}
