import type { LogLines } from '#platform/log-lines'
import { isConnectionFailure, type Pool } from '#platform/postgres'
import { completeTries, type Completion } from '../queue/queue.ts'
import { pauseAfterFailures } from '../supervise.ts'
import { createWake } from '#platform/loops'

/** From so many rows on a statement takes no further request. */
const BATCH_MAX = 500
/** A group that follows another waits until it is full, but no longer than this: many small commits would cost more than they save. */
const GATHER_MS = 30
/** Statements at once at most: one more begins only when a whole group waits. */
const WRITERS_MAX = 2
/** Outcomes in memory at most; from here on nothing new is sent. */
const PENDING_MAX = 4_096

export type Recorder = {
  /** @param completions those of one request: they are written by one statement, so that those put off come due together */
  readonly record: (completions: readonly Completion[]) => void
  /** More wait for the database than may: nothing should be sent until some are written. */
  readonly isFull: () => boolean
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
  /** Called with what is on record, or can no longer be: then another worker tries again. */
  readonly onSettled: (completions: readonly Completion[]) => void
}

/** Writes outcomes down in groups: while one statement runs the next group gathers, so that a single delivery is on record at
 * once and many share a commit. Outcomes are kept in memory while the database is away.
 */
export function createRecorder(options: RecorderOptions): Recorder {
  const requests: (readonly Completion[])[] = []
  let pending = 0
  let unwritten = 0
  let writers = 0
  let isAbandoned = false
  const pause = createWake()
  const gathering = createWake()

  const writeBatch = async (batch: readonly Completion[]): Promise<void> => {
    for (let failures = 0; !isAbandoned;) {
      if (await tryToWrite(options, batch, failures)) return
      failures += 1
      await pause.wait(pauseAfterFailures(failures))
    }
  }
  const takeBatch = (): readonly Completion[] => {
    let [rows, count] = [0, 0]
    while (rows < BATCH_MAX && count < requests.length) rows += requests[count++]!.length
    pending -= rows
    return requests.splice(0, count).flat()
  }
  const write = async (): Promise<void> => {
    writers += 1
    while (pending > 0) {
      const batch = takeBatch()
      await writeBatch(batch)
      unwritten -= batch.length
      options.onSettled(batch)
      if (pending > 0 && pending < BATCH_MAX && !isAbandoned) await gathering.wait(GATHER_MS)
    }
    writers -= 1
  }
  return {
    record: (completions) => {
      requests.push(completions)
      pending += completions.length
      unwritten += completions.length
      if (pending >= BATCH_MAX && pending - completions.length < BATCH_MAX) gathering.signal()
      if (writers === 0 || (writers < WRITERS_MAX && pending >= BATCH_MAX)) void write()
    },
    isFull: () => unwritten >= PENDING_MAX,
    abandon: () => {
      isAbandoned = true
      pause.signal()
    },
  }
}

/** A statement that took too long, as on a disk that stands still: nothing is wrong with its rows. */
const isTimeout = (error: unknown): boolean => (error as { readonly code?: unknown } | undefined)?.code === '57014'

/** @returns false while the database cannot be reached: the same group is tried again */
async function tryToWrite(options: RecorderOptions, batch: readonly Completion[], failures: number): Promise<boolean> {
  try {
    await writeTogether(options, batch, failures > 0)
    return true
  } catch (error) {
    if (!isConnectionFailure(error) && !isTimeout(error)) return writeOneByOne(options, batch)
    if (failures === 0)
      options.logLines.warn({ error, waiting: batch.length }, 'outcomes of deliveries wait for PostgreSQL')
    return false
  }
}

async function writeTogether(options: RecorderOptions, batch: readonly Completion[], isRepeat: boolean): Promise<void> {
  const { pool, workerId, isFenced } = options
  const late = await completeTries(pool, batch, { workerId, isFenced, isRepeat })
  options.onRecorded(batch, late)
}

/** A row that PostgreSQL does not take must not hold back its neighbours. @returns false when the database went away meanwhile */
async function writeOneByOne(options: RecorderOptions, batch: readonly Completion[]): Promise<boolean> {
  for (const completion of batch) {
    try {
      await writeTogether(options, [completion], true)
    } catch (error) {
      if (isConnectionFailure(error) || isTimeout(error)) return false
      options.logLines.error(
        { error, delivery_id: String(completion.claimed.deliveryId) },
        'an attempt cannot be recorded',
      )
    }
  }
  return true
}
