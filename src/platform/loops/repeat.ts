import { setTimeout as delay } from 'node:timers/promises'

import type { LogLines } from '#platform/log-lines'

export type Repeated = {
  /** Resolves when the round under way has ended; no other begins. */
  readonly stop: () => Promise<void>
}

export type RepeatOptions = {
  readonly logLines: LogLines
  /** Milliseconds from the end of a round to the beginning of the next. */
  readonly intervalMs: number
  /** Log line of the first failure in a row, with what was thrown. */
  readonly failed: string
  /** Log line of the first success after failures, with their number. */
  readonly recovered: string
}

/** Does something at once and then again and again until it is stopped, whatever a round throws: the engines may be away for any time.
 * @param round its signal aborts with the stop; what it throws after that is nobody's business
 */
export function repeat(round: (signal: AbortSignal) => Promise<void>, options: RepeatOptions): Repeated {
  const { logLines, intervalMs } = options
  const stopping = new AbortController()
  const { signal } = stopping
  let failures = 0

  async function tryRound(): Promise<void> {
    try {
      await round(signal)
      if (failures > 0) logLines.info({ failures }, options.recovered)
      failures = 0
    } catch (error) {
      if (signal.aborted) return
      if (failures === 0) logLines.warn({ err: error }, options.failed)
      failures += 1
    }
  }

  async function run(): Promise<void> {
    while (!signal.aborted) {
      await tryRound()
      await delay(intervalMs, undefined, { signal }).catch(() => undefined)
    }
  }

  const running = run()
  return {
    stop: async () => {
      stopping.abort()
      await running
    },
  }
}
