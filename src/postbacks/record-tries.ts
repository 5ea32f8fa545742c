import type { LogLines } from '#platform/log-lines'
import { isConnectionFailure, type Pool } from '#platform/postgres'
import { completeTries, type Completion } from './queue.ts'
import { pauseAfterFailures } from './supervise.ts'
import { createWake } from './wake.ts'

/** Rows per statement at most. */
const BATCH_MAX = 500

export type Recorder = {
  /** Resolves once the outcome is committed, or can no longer be: then its lease runs out and another try follows. */
  readonly record: (completion: Completion) => Promise<void>
  /** Gives up on what cannot be written, so that a stop ends although the database is away. */
  readonly abandon: () => void
}

export type RecorderOptions = {
  readonly pool: Pool
  readonly workerId: string
  readonly isFenced: boolean
  readonly logLines: LogLines
  /** Called per commit with what was in it. */
  readonly onRecorded: (completions: readonly Completion[], lateCount: number) => void
}

type Pending = { readonly completion: Completion; readonly done: () => void }

/** Writes outcomes down in groups: while one statement runs the next group gathers, so that a single delivery is on record at
 * once and many share a commit. Outcomes are kept in memory while the database is away; their number is bounded by the
 * worker's slots, which are given back only when this has recorded them.
 */
export function createRecorder(options: RecorderOptions): Recorder {
  const pending: Pending[] = []
  const pause = createWake()
  let isWriting = false
  let isAbandoned = false

  const write = async (): Promise<void> => {
    isWriting = true
    let failures = 0
    while (pending.length > 0) {
      const batch = pending.slice(0, BATCH_MAX)
      const isWritten = isAbandoned || (await tryToWrite(options, batch.map((item) => item.completion), failures)) // prettier-ignore
      if (!isWritten) {
        failures += 1
        await pause.wait(pauseAfterFailures(failures))
        continue
      }
      failures = 0
      pending.splice(0, batch.length).forEach((item) => item.done())
    }
    isWriting = false
  }
  return {
    record: (completion) =>
      new Promise((done) => {
        pending.push({ completion, done })
        if (!isWriting) void write()
      }),
    abandon: () => {
      isAbandoned = true
      pause.signal()
    },
  }
}

/** @returns false while the database cannot be reached: the same group is tried again */
async function tryToWrite(options: RecorderOptions, batch: readonly Completion[], failures: number): Promise<boolean> {
  try {
    await writeTogether(options, batch)
    return true
  } catch (error) {
    if (!isConnectionFailure(error)) return writeOneByOne(options, batch)
    if (failures === 0)
      options.logLines.warn({ error, waiting: batch.length }, 'outcomes of deliveries wait for PostgreSQL')
    return false
  }
}

async function writeTogether(options: RecorderOptions, batch: readonly Completion[]): Promise<void> {
  const late = await completeTries(options.pool, batch, options)
  options.onRecorded(batch, late)
}

/** A row that PostgreSQL does not take must not hold back its neighbours. @returns false when the database went away meanwhile */
async function writeOneByOne(options: RecorderOptions, batch: readonly Completion[]): Promise<boolean> {
  for (const completion of batch) {
    try {
      await writeTogether(options, [completion])
    } catch (error) {
      if (isConnectionFailure(error)) return false
      options.logLines.error(
        { error, delivery_id: String(completion.claimed.deliveryId) },
        'an attempt cannot be recorded',
      )
    }
  }
  return true
}
