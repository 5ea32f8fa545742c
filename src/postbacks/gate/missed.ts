import type { Pool, Tx } from '#platform/postgres'
import { countReplay, type ReplayFilter } from '../replay/replay-by-filter.ts'

/** Longest life of a delivery (`expires_hours`): older ones had ended before. */
const LIFE_MS_MAX = 720 * 3_600_000
/** Times of a failure and of the end that it led to are taken apart by some milliseconds. */
const APART_MS_MAX = 1_000

/** What an endpoint missed since a time, for createReplay and countReplay: ended without success and not replayed since. Of several replays of
 * one message the last counts. What was replayed is missed no more, so that a second replay takes up where the first ended.
 */
export const missedFilter = (endpointId: string, since: Date): ReplayFilter => ({
  endpoint_id: endpointId,
  from: new Date(since.getTime() - LIFE_MS_MAX).toISOString(),
  ended_from: new Date(since.getTime() - APART_MS_MAX).toISOString(),
  missed: true,
})

/** How many deliveries of an endpoint ended without success since a time and were not replayed; of more than 100 000 about that many. */
export async function countMissed(db: Pool | Tx, endpointId: string, since: Date): Promise<number> {
  return (await countReplay(db, missedFilter(endpointId, since), { role: 'owner' })).replayed
}
