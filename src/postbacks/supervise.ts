import type { LogLines } from '#platform/log-lines'
import { createWake } from '#platform/loops'

/** Pauses after failures in a row: the first retry is quick, a long outage costs one try in five seconds. */
const PAUSE_MS_MIN = 100
const PAUSE_MS_MAX = 5_000

export const pauseAfterFailures = (failures: number): number =>
  Math.min(PAUSE_MS_MIN * 2 ** (failures - 1), PAUSE_MS_MAX)

export type Loop = { readonly stop: () => Promise<void>; readonly wake: () => void }

/** Runs `work` again and again until stopped. A failure is logged when it begins and when it is over; the loop never ends by
 * itself, because a worker that gave up while the database was away would have to be restarted by hand.
 * @param work resolves with the milliseconds until the next round, unless woken before
 */
export function supervise(name: string, logLines: LogLines, work: () => Promise<number>): Loop {
  const wake = createWake()
  let isStopping = false
  let failures = 0
  const round = async (): Promise<number> => {
    try {
      const pauseMs = await work()
      if (failures > 0) logLines.info({ loop: name, failures }, 'delivery works again')
      failures = 0
      return pauseMs
    } catch (error) {
      failures += 1
      if (failures === 1) logLines.warn({ loop: name, error }, 'delivery failed and tries again')
      return pauseAfterFailures(failures)
    }
  }
  const run = async (): Promise<void> => {
    while (!isStopping) {
      const pauseMs = await round()
      if (!isStopping && pauseMs > 0) await wake.wait(pauseMs)
    }
  }
  const ended = run()
  return {
    wake: wake.signal,
    stop: () => {
      isStopping = true
      wake.signal()
      return ended
    },
  }
}
