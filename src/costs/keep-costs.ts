import { WaypostError } from '#platform/errors'
import type { LogLines } from '#platform/log-lines'
import { repeat, type Repeated } from '#platform/loops'

import { finishBookings, respreadImport, type CostBooks } from './book.ts'
import { costLimits } from './limits.ts'
import { listRecent } from './store.ts'

export type KeepCostsOptions = CostBooks & {
  readonly logLines: LogLines
  /** Between two looks for bookings that were cut off; five minutes unless given. */
  readonly intervalMs?: number
}

const INTERVAL_MS = 300_000
const DAY_MS = 86_400_000

/** Spreads the imports of the last days again of which the clicks have changed. One that cannot be is logged and does not keep the others.
 * @returns how many were
 */
export async function respreadRecent(options: KeepCostsOptions, signal?: AbortSignal): Promise<number> {
  const { pool, clock, logLines } = options
  const since = new Date(clock.now() - costLimits.respreadDays * DAY_MS)
  let changed = 0
  for (const importId of await listRecent(pool, since, new Date(clock.now()))) {
    if (signal?.aborted === true) break
    try {
      const outcome = await respreadImport(options, importId, 'every night')
      if (outcome?.kind === 'booked') changed++
    } catch (error) {
      // Clicks that bear a part of it were retired: it stays as it is, tonight and every night.
      if (error instanceof WaypostError && error.code === 'conflict') continue
      logLines.warn({ err: error, importId }, 'A cost import cannot be spread again.')
    }
  }
  return changed
}

/** Finishes bookings that were cut off, and once a day (UTC) spreads again what has got clicks since. While an engine is away nothing is
 * done, and the first failure in a row is logged.
 */
export function keepCosts(options: KeepCostsOptions): Repeated {
  const { clock, logLines, intervalMs = INTERVAL_MS } = options
  let lastDay: number | undefined
  const tend = async (signal: AbortSignal): Promise<void> => {
    const finished = await finishBookings(options)
    if (finished > 0) logLines.info({ finished }, 'Cost imports that were cut off are booked.')
    const today = Math.floor(clock.now() / DAY_MS)
    if (today !== lastDay) await respreadRecent(options, signal)
    lastDay = today
  }
  return repeat(tend, {
    ...{ logLines, intervalMs },
    failed: 'Cost imports cannot be looked after; it is tried again.',
    recovered: 'Cost imports are looked after again.',
  })
}
