import { dryCaps, liveCaps, type CapCounters, type CapKey, type RoutingCaps } from '#caps'
import type { Clock } from '#platform/clock'
import type { ClickId } from '#platform/ids'
import type { LogLines } from '#platform/log-lines'
import type { CapAnswer } from './metrics.ts'

/** Caps as the edge asks them. */
export type EdgeCaps = {
  /** Takes room. */
  readonly live: RoutingCaps
  /** Only looks. */
  readonly dry: RoutingCaps
  /** Gives back what caps took for a click that is not to be. Where that fails, the room comes back with the end of its hold or
   * period: too few clicks, never too many.
   */
  readonly giveBack: (clickId: ClickId, reserved: readonly CapKey[]) => void
}

const SILENCE_MS = 5_000

/** A state that cannot be written is told once in a while, not once for each of thousands of clicks.
 * @param count told what caps answer to clicks that take room
 */
export function edgeCaps(
  counters: Pick<CapCounters, 'reserve' | 'peek' | 'release'>,
  clock: Clock,
  logLines: LogLines,
  count: (answer: CapAnswer) => void = () => undefined,
): EdgeCaps {
  let toldAt = Number.NEGATIVE_INFINITY
  const tell = (error: unknown): void => {
    const now = clock.now()
    if (now - toldAt < SILENCE_MS) return
    toldAt = now
    logLines.error({ err: error }, 'The counts of caps cannot be written; their offers take no clicks.')
  }
  const live = liveCaps(counters, tell)
  return {
    live: {
      reserve: (clickId, at, keys) => {
        const verdict = live.reserve(clickId, at, keys)
        if (keys.length > 0) count(verdict.kind)
        return verdict
      },
    },
    dry: dryCaps(counters),
    giveBack: (clickId, reserved) => {
      if (reserved.length === 0) return
      try {
        counters.release(clickId, reserved)
        count('given_back')
      } catch (error) {
        tell(error)
      }
    },
  }
}
