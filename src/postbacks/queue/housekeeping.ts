import type { Pool } from '#platform/postgres'
import { noticeOf, NOTIFY_OWNERS } from './notices.ts'

/** Due from now on rather than from when they should have been: who reads ahead has passed that moment. */
const PROMOTE = `
  WITH due AS MATERIALIZED (
    SELECT ctid AS row_place FROM delivery_deferred WHERE run_at <= now() ORDER BY run_at LIMIT $1 FOR UPDATE SKIP LOCKED
  ), taken AS (
    DELETE FROM delivery_deferred AS f USING due WHERE f.ctid = due.row_place RETURNING f.*
  ), moved AS (
    INSERT INTO delivery_ready (delivery_id, created_at, endpoint_id, run_at, attempts, probes)
    SELECT delivery_id, created_at, endpoint_id, clock_timestamp(), attempts, probes FROM taken
    RETURNING endpoint_id
  )
  SELECT endpoint_id, count(*)::int AS count FROM moved GROUP BY endpoint_id`

/** Moves what is due from deferred to ready and tells the owners of the endpoints. @returns how many */
export async function promoteDue(pool: Pool, countMax: number): Promise<number> {
  const { rows } = await pool.query<{ endpoint_id: string; count: number }>(PROMOTE, [countMax])
  if (rows.length === 0) return 0
  await pool.query(NOTIFY_OWNERS, [noticeOf(rows.map((row) => row.endpoint_id))])
  return rows.reduce((sum, row) => sum + row.count, 0)
}

/** The tables are read whole: once in some minutes that costs less than an index that every delivery would have to keep. */
const expireSql = (table: 'delivery_ready' | 'delivery_deferred' | 'delivery_held'): string => `
  WITH old AS MATERIALIZED (
    SELECT r.ctid AS row_place FROM ${table} AS r
    JOIN unnest($1::text[], $2::int[]) AS e(endpoint_id, hours) USING (endpoint_id)
    WHERE r.created_at < now() - hours * interval '1 hour' AND r.delivery_id <> ALL($4::bigint[])
    LIMIT $3 FOR UPDATE OF r SKIP LOCKED
  ), taken AS (
    DELETE FROM ${table} AS r USING old WHERE r.ctid = old.row_place RETURNING r.*
  )
  INSERT INTO delivery_finals (delivery_id, created_at, endpoint_id, state, reason, attempts, finished_at)
  SELECT delivery_id, created_at, endpoint_id, 'gave_up', 'expired', attempts, now() FROM taken`

const EXPIRE = [expireSql('delivery_ready'), expireSql('delivery_deferred'), expireSql('delivery_held')]

/** Ends what could not be delivered in time, also where nothing is sent at all.
 * @param underWay deliveries that are being tried just now: their outcome decides
 * @returns how many
 */
export async function expireOld(
  pool: Pool,
  endpoints: readonly { readonly endpoint_id: string; readonly expires_hours: number }[],
  countMax: number,
  underWay: readonly number[],
): Promise<number> {
  const values = [
    endpoints.map((one) => one.endpoint_id),
    endpoints.map((one) => one.expires_hours),
    countMax,
    underWay,
  ]
  let expired = 0
  for (const sql of EXPIRE) expired += (await pool.query(sql, values)).rowCount ?? 0
  return expired
}

/** Steps from endpoint to endpoint in the index instead of reading every row: cost is the number of endpoints that wait. */
const WAITING_ENDPOINTS = `
  WITH RECURSIVE waiting AS (
    (SELECT endpoint_id FROM delivery_ready WHERE attempts >= 0 ORDER BY endpoint_id LIMIT 1)
    UNION ALL
    SELECT (SELECT r.endpoint_id FROM delivery_ready AS r WHERE r.endpoint_id > w.endpoint_id AND r.attempts >= 0 ORDER BY r.endpoint_id LIMIT 1)
    FROM waiting AS w WHERE w.endpoint_id IS NOT NULL
  ), held AS (
    (SELECT endpoint_id FROM delivery_held ORDER BY endpoint_id LIMIT 1)
    UNION ALL
    SELECT (SELECT r.endpoint_id FROM delivery_held AS r WHERE r.endpoint_id > h.endpoint_id ORDER BY r.endpoint_id LIMIT 1)
    FROM held AS h WHERE h.endpoint_id IS NOT NULL
  )
  SELECT endpoint_id FROM waiting WHERE endpoint_id IS NOT NULL
  UNION SELECT endpoint_id FROM held WHERE endpoint_id IS NOT NULL
  ORDER BY endpoint_id`

/** Endpoints that have something due or held, sorted. */
export async function findWaitingEndpoints(pool: Pool): Promise<readonly string[]> {
  const { rows } = await pool.query<{ endpoint_id: string }>(WAITING_ENDPOINTS)
  return rows.map((row) => row.endpoint_id)
}

const retireSql = (table: 'delivery_ready' | 'delivery_held'): string => `
  WITH gone AS MATERIALIZED (
    SELECT r.ctid AS row_place FROM ${table} AS r
    JOIN deliveries AS d ON d.created_at = r.created_at AND d.delivery_id = r.delivery_id
    WHERE r.endpoint_id = ANY($1::text[]) AND r.attempts >= 0 AND d.config_version <= $2
    LIMIT $3 FOR UPDATE OF r SKIP LOCKED
  ), taken AS (
    DELETE FROM ${table} AS r USING gone WHERE r.ctid = gone.row_place RETURNING r.*
  )
  INSERT INTO delivery_finals (delivery_id, created_at, endpoint_id, state, reason, attempts, finished_at)
  SELECT delivery_id, created_at, endpoint_id, 'gave_up', 'endpoint_removed', attempts, now() FROM taken`

const RETIRE = [retireSql('delivery_ready'), retireSql('delivery_held')]

/** Ends deliveries to endpoints that are no longer configured.
 * @param configVersion the version that lacks them; deliveries of a newer one are left alone, since this worker may be behind
 */
export async function retireRemoved(
  pool: Pool,
  endpointIds: readonly string[],
  configVersion: number,
  countMax: number,
): Promise<number> {
  let retired = 0
  for (const sql of RETIRE) retired += (await pool.query(sql, [endpointIds, configVersion, countMax])).rowCount ?? 0
  return retired
}
