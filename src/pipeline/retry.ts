import { setTimeout as delay } from 'node:timers/promises'

import { WaypostError } from '#platform/errors'
import type { LogLines } from '#platform/log-lines'

/** Thrown by a wait that was cut off because the worker stops; ends its loop without a word. */
export class Stopped extends Error {}

const DELAY_MS_MIN = 100
const DELAY_MS_MAX = 5_000

/** Waits, unless the signal aborts first. @throws {Stopped} */
export async function pause(ms: number, signal: AbortSignal): Promise<void> {
  await delay(ms, undefined, { signal }).catch(() => undefined)
  if (signal.aborted) throw new Stopped()
}

/** Does the work, again and again until it succeeds: the engines may be away for any time. The first failure in a row is
 * logged, and that it is over.
 * @param what the work in a few words, for the log line
 * @throws {Stopped} the signal aborted between two attempts; {WaypostError} position_fenced, which no repeat can mend
 */
export async function untilDone<T>(
  what: string,
  work: () => Promise<T>,
  { signal, logLines }: { readonly signal: AbortSignal; readonly logLines: LogLines },
): Promise<T> {
  for (let failures = 0; ; failures++) {
    try {
      const result = await work()
      if (failures > 0) logLines.info({ failures }, `${what}: works again`)
      return result
    } catch (error) {
      if (signal.aborted) throw new Stopped()
      if (error instanceof Stopped || (error instanceof WaypostError && error.code === 'position_fenced')) throw error
      if (failures === 0) logLines.warn({ err: error }, `${what}: failed, trying again until it works`)
      await pause(Math.min(DELAY_MS_MIN * 2 ** Math.min(failures, 10), DELAY_MS_MAX), signal)
    }
  }
}

/** Waits for something that cannot be called off, unless the signal aborts first; what it comes to then is nobody's.
 * @throws {Stopped}
 */
export async function waitUnlessStopped(wait: Promise<void>, signal: AbortSignal): Promise<void> {
  if (signal.aborted) throw new Stopped()
  const aborted = Promise.withResolvers<never>()
  const stop = (): void => aborted.reject(new Stopped())
  signal.addEventListener('abort', stop)
  try {
    await Promise.race([wait, aborted.promise])
  } finally {
    signal.removeEventListener('abort', stop)
  }
}
