import type { Pool, Tx } from '#platform/postgres'
import { replayDelivery } from '../replay/replay.ts'

/** Longest life of a delivery (`expires_hours`): older ones had ended before. */
const LIFE_HOURS_MAX = 720
/** Replayed by one call at most. */
export const RECOVER_MAX = 1_000

/** Ended without success since a time and not replayed since. Of several replays of one message the last counts. Times of a failure and of
 * the end that it led to are taken apart by some milliseconds.
 */
const MISSED = `
  FROM deliveries AS d JOIN delivery_ends AS e ON e.created_at = d.created_at AND e.delivery_id = d.delivery_id
  WHERE d.endpoint_id = $1 AND d.created_at >= $2::timestamptz - ${LIFE_HOURS_MAX} * interval '1 hour'
    AND d.kind <> 'test' AND e.state IN ('gave_up', 'quarantined') AND e.finished_at >= $2::timestamptz - interval '1 second'
    AND NOT EXISTS (
      SELECT FROM delivery_keys AS k
      WHERE k.endpoint_id = d.endpoint_id AND k.event_id = d.event_id AND k.replay_no > d.replay_no
    )`

const COUNT = `SELECT count(*)::int AS missed ${MISSED}`
const FIND = `SELECT d.delivery_id ${MISSED} ORDER BY d.created_at, d.delivery_id LIMIT $3`

/** How many deliveries of an endpoint ended without success since a time and were not replayed. */
export async function countMissed(db: Pool | Tx, endpointId: string, since: Date): Promise<number> {
  const { rows } = await db.query<{ missed: number }>(COUNT, [endpointId, since])
  return rows[0]!.missed
}

export type Recovery = {
  readonly replayed: number
  /** Still to be replayed: call again. */
  readonly remaining: number
}

/** Replays what an endpoint missed since a time, oldest first, 1 000 at most. Each keeps its event id, and a second call takes up where
 * the first ended: what was replayed is missed no more.
 */
export async function recoverMissed(pool: Pool, endpointId: string, since: Date): Promise<Recovery> {
  const { rows } = await pool.query<{ delivery_id: bigint }>(FIND, [endpointId, since, RECOVER_MAX])
  for (const { delivery_id } of rows) await replayDelivery(pool, delivery_id)
  return { replayed: rows.length, remaining: await countMissed(pool, endpointId, since) }
}
