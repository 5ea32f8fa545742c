import type { Clock } from '#platform/clock'
import type { LogLines } from '#platform/log-lines'
import { repeat, type Repeated } from '#platform/loops'
import type { Pool } from '#platform/postgres'

import { queueDueRuns, tidyRuns } from './queue-due-runs.ts'

const INTERVAL_MS = 10_000
/** Rounds between two that tidy up. */
const TIDY_EVERY = 6

/** Queues the runs of schedules as they fall due, until stopped. Any number of processes may: each moment is one's. While PostgreSQL is
 * away nothing runs, and what passed meanwhile runs once when it is back.
 */
export function runSchedules(options: {
  readonly pool: Pool
  readonly clock: Clock
  readonly logLines: LogLines
}): Repeated {
  const { pool, clock, logLines } = options
  let rounds = 0
  const look = async (signal: AbortSignal): Promise<void> => {
    while (!signal.aborted && (await queueDueRuns(pool, clock.now())) > 0);
    if (rounds++ % TIDY_EVERY === 0) await tidyRuns(pool, clock.now())
  }
  return repeat(look, {
    ...{ logLines, intervalMs: INTERVAL_MS },
    failed: 'schedules of reports cannot be looked at; trying until they can',
    recovered: 'schedules of reports run again',
  })
}
