import type { Config } from '#config'
import type { HotState } from '#hot-state'
import type { EventLog } from '#log'
import type { Clock } from '#platform/clock'
import type { LogLines } from '#platform/log-lines'

const INTERVAL_MS = 10 * 60_000
const DAY_MS = 86_400_000

/** Drops what is past its retention from the event log and the hot state, every ten minutes.
 * @returns stops it, after the round in progress
 */
export function startHousekeeping(options: {
  readonly config: Pick<Config, 'logRetention' | 'clickIndexDays'>
  readonly log: EventLog
  readonly hotState: HotState
  readonly clock: Clock
  readonly logLines: LogLines
}): () => Promise<void> {
  let round = Promise.resolve()
  const timer = setInterval(() => {
    round = round.then(() => keepHouse(options))
  }, INTERVAL_MS)
  return async () => {
    clearInterval(timer)
    await round
  }
}

/** One round. A failure is reported; the next round tries again. */
export async function keepHouse({
  config,
  log,
  hotState,
  clock,
  logLines,
}: Parameters<typeof startHousekeeping>[0]): Promise<void> {
  try {
    const beforeMs = clock.now() - config.clickIndexDays * DAY_MS
    const freedBytes = await log.enforceRetention(config.logRetention, clock.now())
    const droppedEntries = await hotState.forgetBefore({ clicksBeforeMs: beforeMs, claimsBeforeMs: beforeMs })
    if (freedBytes > 0 || droppedEntries > 0)
      logLines.info({ freedBytes, droppedEntries }, 'Dropped what is past its retention')
  } catch (error) {
    logLines.error({ err: error }, 'Housekeeping failed; the next round tries again')
  }
}
