import type { Clock } from '#platform/clock'
import type { Pool } from '#platform/postgres'

/** PostgreSQL's time, without asking for it each time: what it said last, and what the monotonic clock has counted since. The wall
 * clock of this machine may be wrong or jump; deliveries are made, put off and given up by the queue's time alone.
 */
export type DatabaseClock = Clock & {
  readonly isSet: () => boolean
  /** @throws what the database throws */
  readonly synchronize: () => Promise<void>
}

const NOW = 'SELECT extract(epoch FROM clock_timestamp())::float8 * 1000 AS now_ms'

/** @param untilSet what the time is before PostgreSQL was asked */
export function createDatabaseClock(pool: Pool, untilSet: Clock): DatabaseClock {
  let aheadOfMonotonicMs: number | undefined
  return {
    now: () => (aheadOfMonotonicMs === undefined ? untilSet.now() : Math.round(performance.now() + aheadOfMonotonicMs)),
    isSet: () => aheadOfMonotonicMs !== undefined,
    synchronize: async () => {
      const askedAt = performance.now()
      const { rows } = await pool.query<{ now_ms: number }>(NOW)
      aheadOfMonotonicMs = rows[0]!.now_ms - (askedAt + performance.now()) / 2
    },
  }
}
