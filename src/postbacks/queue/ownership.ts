import type { Pool } from '#platform/postgres'

/** Who delivers to which endpoints, in PostgreSQL: an endpoint belongs to a shard, a shard to one worker at a time. */

export const SHARDS = 64

/** Of an endpoint, 0 to 63. The same in every version, since workers of two versions may run side by side. */
export function shardOf(endpointId: string): number {
  let hash = 0x811c9dc5
  for (let index = 0; index < endpointId.length; index += 1)
    hash = Math.imul(hash ^ endpointId.charCodeAt(index), 0x01000193)
  return ((hash ^ (hash >>> 15)) >>> 0) % SHARDS
}

const RENEW = `
  UPDATE delivery_workers SET lease_until = now() + $2 * interval '1 ms' WHERE worker_id = $1
  RETURNING (SELECT count(*)::int FROM delivery_workers WHERE lease_until >= now() OR worker_id = $1) AS workers`

/** Stays on record for another while, however late that is: only who was removed is gone.
 * @returns how many workers there are; undefined: others have taken this one for dead
 */
export async function renewLease(pool: Pool, workerId: string, leaseMs: number): Promise<number | undefined> {
  const { rows } = await pool.query<{ workers: number }>(RENEW, [workerId, leaseMs])
  return rows[0]?.workers
}

/** Enters a worker that owns nothing yet. */
export async function enterWorker(pool: Pool, workerId: string, leaseMs: number): Promise<void> {
  const sql = `INSERT INTO delivery_workers VALUES ($1, now() + $2 * interval '1 ms') ON CONFLICT DO NOTHING`
  await pool.query(sql, [workerId, leaseMs])
}

/** After a restart of PostgreSQL nobody could renew for a while: the leases get a whole new one before they mean anything. */
const BURY = `
  WITH dead AS (
    DELETE FROM delivery_workers WHERE worker_id IN (
      SELECT worker_id FROM delivery_workers
      WHERE lease_until < now() AND now() > pg_postmaster_start_time() + $1 * interval '1 ms'
      FOR UPDATE SKIP LOCKED
    ) RETURNING worker_id
  ), freed AS (
    UPDATE delivery_shards AS s SET worker_id = NULL, suspect_to = (SELECT last_value FROM delivery_ids)
    FROM dead WHERE s.worker_id = dead.worker_id
  ), closed AS (
    DELETE FROM endpoint_breakers AS b USING dead WHERE b.worker_id = dead.worker_id
  ), accused AS (
    UPDATE delivery_marks AS m SET worker_id = NULL, crashes = m.crashes + 1 FROM dead WHERE m.worker_id = dead.worker_id
  )
  SELECT count(*)::int AS workers FROM dead`

/** Removes workers whose lease ran out and frees what they owned. What they had marked counts one crash more. @returns how many */
export async function buryDeadWorkers(pool: Pool, leaseMs: number): Promise<number> {
  return (await pool.query<{ workers: number }>(BURY, [leaseMs])).rows[0]!.workers
}

const SET_ASIDE = `
  WITH pills AS (
    DELETE FROM delivery_marks WHERE worker_id IS NULL AND (crashes >= $1 OR is_once) RETURNING *
  ), gone AS (
    DELETE FROM delivery_ready AS r USING pills AS p
    WHERE r.endpoint_id = p.endpoint_id AND r.attempts >= 0 AND r.run_at = p.run_at AND r.delivery_id = p.delivery_id
    RETURNING r.*, p.is_once
  ), ended AS (
    INSERT INTO delivery_finals (delivery_id, created_at, endpoint_id, state, reason, attempts, finished_at)
    SELECT delivery_id, created_at, endpoint_id, CASE WHEN is_once THEN 'gave_up' ELSE 'quarantined' END,
      CASE WHEN is_once THEN 'outcome_unknown' ELSE 'crash_loop' END, attempts, now() FROM gone
    RETURNING state
  )
  SELECT count(*) FILTER (WHERE state = 'quarantined')::int AS quarantined, count(*) FILTER (WHERE state = 'gave_up')::int AS unknown
  FROM ended`

/** Ends what must not be tried again after its worker died: what so many workers died with in a row, and what may arrive only once. */
export async function setAsideMarked(
  pool: Pool,
  crashesMax: number,
): Promise<{ readonly quarantined: number; readonly unknown: number }> {
  const { rows } = await pool.query<{ quarantined: number; unknown: number }>(SET_ASIDE, [crashesMax])
  return rows[0]!
}

/** A shard that is owned, and up to which delivery each must be marked before it is sent. */
export type OwnedShard = { readonly shard: number; readonly suspectTo: number }

const TAKE = `
  UPDATE delivery_shards SET worker_id = $1
  WHERE shard IN (SELECT shard FROM delivery_shards WHERE worker_id IS NULL ORDER BY shard LIMIT $2 FOR UPDATE SKIP LOCKED)
    AND EXISTS (SELECT FROM delivery_workers WHERE worker_id = $1 FOR KEY SHARE)
  RETURNING shard, suspect_to`

/** Takes free shards. */
export async function takeShards(pool: Pool, workerId: string, countMax: number): Promise<readonly OwnedShard[]> {
  const { rows } = await pool.query<{ shard: number; suspect_to: bigint }>(TAKE, [workerId, countMax])
  return rows.map(({ shard, suspect_to }) => ({ shard, suspectTo: Number(suspect_to) }))
}

/** Gives shards back, of which nothing is under way any more. */
export async function giveShards(pool: Pool, workerId: string, shards: readonly number[]): Promise<void> {
  await pool.query('UPDATE delivery_shards SET worker_id = NULL WHERE worker_id = $1 AND shard = ANY($2::int[])', [
    workerId,
    shards,
  ])
}

const LEAVE = `
  WITH gone AS (
    DELETE FROM delivery_workers WHERE worker_id = $1
  ), unmarked AS (
    UPDATE delivery_marks SET worker_id = NULL WHERE worker_id = $1
  ), closed AS (
    DELETE FROM endpoint_breakers WHERE worker_id = $1
  )
  UPDATE delivery_shards SET worker_id = NULL WHERE worker_id = $1`

/** Gives everything back and goes. */
export async function leave(pool: Pool, workerId: string): Promise<void> {
  await pool.query(LEAVE, [workerId])
}

/** A mark of a dead worker on what may arrive once at most is not taken over: that delivery is about to be set aside. */
const MARK = `
  INSERT INTO delivery_marks (delivery_id, endpoint_id, run_at, worker_id, is_once)
  SELECT delivery_id, endpoint_id, to_timestamp(micros / 1000000), $5, is_once
  FROM unnest($1::bigint[], $2::text[], $3::float8[], $4::bool[]) AS g(delivery_id, endpoint_id, micros, is_once)
  WHERE EXISTS (SELECT FROM delivery_workers WHERE worker_id = $5 FOR KEY SHARE)
  ON CONFLICT (delivery_id) DO UPDATE SET worker_id = excluded.worker_id, run_at = excluded.run_at, is_once = excluded.is_once
    WHERE (delivery_marks.worker_id IS NULL AND NOT delivery_marks.is_once)
      OR (delivery_marks.worker_id = $5 AND delivery_marks.delivery_id = ANY($6::bigint[]))
  RETURNING delivery_id, crashes`

export type Mark = {
  readonly deliveryId: number
  readonly endpointId: string
  readonly runAtMicros: number
  /** It may arrive once at most. */
  readonly isOnce: boolean
  /** An earlier statement may have marked it for this worker, which has not tried it since. */
  readonly isRepeat: boolean
}

/** Writes down that a worker is about to try these. @returns those that it may try, with how many workers died with each in a row */
export async function markUnderWay(
  pool: Pool,
  workerId: string,
  marks: readonly Mark[],
): Promise<ReadonlyMap<number, number>> {
  const { rows } = await pool.query<{ delivery_id: bigint; crashes: number }>(MARK, [
    marks.map((mark) => mark.deliveryId),
    marks.map((mark) => mark.endpointId),
    marks.map((mark) => mark.runAtMicros),
    marks.map((mark) => mark.isOnce),
    workerId,
    marks.filter((mark) => mark.isRepeat).map((mark) => mark.deliveryId),
  ])
  return new Map(rows.map((row) => [Number(row.delivery_id), row.crashes]))
}
