import { WaypostError } from '#platform/errors'
import type { LogLines } from '#platform/log-lines'
import { inTransaction, type Pool } from '#platform/postgres'

import { LeaseLost, type AnyJobKind } from './job.ts'
import { endJob, holdJob, renewJob, tenantOfJob, type JobEnd, type JobRow } from './store.ts'

/** Why a run is to end. */
export type StopReason = 'cancel' | 'lost' | 'stopping'

export type RunningJob = {
  readonly jobId: string
  readonly ended: Promise<void>
  readonly stop: (reason: StopReason) => void
  /** Looks at once whether a cancel was asked for. */
  readonly look: () => void
}

export type RunOptions = {
  readonly pool: Pool
  readonly logLines: LogLines
  readonly leaseMs: number
  readonly renewMs: number
}

/** First pause before a job is tried again; it doubles with each try up to the longest. */
const AGAIN_MS_MIN = 5_000
const AGAIN_MS_MAX = 600_000
const ATTEMPTS_MAX = 3

export const pauseBeforeAttempt = (attempts: number): number =>
  Math.min(AGAIN_MS_MIN * 2 ** (attempts - 1), AGAIN_MS_MAX)

/** Runs a job that was claimed, renews its lease meanwhile and writes how it ended. */
export function runJob(kind: AnyJobKind, row: JobRow, options: RunOptions): RunningJob {
  const { pool, logLines, leaseMs, renewMs } = options
  const abort = new AbortController()
  const progress = { done: Number(row.done), total: row.total === null ? undefined : Number(row.total) }
  let reason: StopReason | undefined
  const stop = (why: StopReason): void => {
    // Whoever lost the lease has nothing to write, whatever else is wanted of it.
    if (reason === undefined || why === 'lost') reason = why
    abort.abort(new Error(`The run of the job ends: ${why}.`))
  }
  const lease = keepLease(() => renewJob(pool, row, progress, leaseMs), { leaseMs, renewMs, stop })
  const run = async (): Promise<JobEnd | undefined> => {
    if (row.is_cancel_asked) return { kind: 'cancelled' }
    const attemptsMax = kind.attemptsMax ?? ATTEMPTS_MAX
    if (row.attempts > attemptsMax)
      return { kind: 'failed', code: 'internal', message: `Its process ended ${attemptsMax} times before the job did.` }
    try {
      const result = (await kind.run({
        jobId: row.job_id,
        input: row.input,
        tenant: tenantOfJob(row),
        askedBy: row.asked_by,
        attempt: row.attempts,
        signal: abort.signal,
        progress: (done, total) => {
          progress.done = done
          progress.total = total ?? progress.total
        },
        inLease: (work) =>
          inTransaction(pool, async (tx) => {
            if (!(await holdJob(tx, row))) throw new LeaseLost()
            return work(tx)
          }),
      })) as object
      return { kind: 'done', result, keepResultMs: kind.keepResultMs }
    } catch (error) {
      return endOfError(error, reason, row, attemptsMax, logLines)
    }
  }
  const ended = (async () => {
    try {
      const end = await run()
      lease.stop()
      if (reason === 'lost' || end === undefined) return
      await writeEnd(pool, row, end, progress, leaseMs)
    } catch (error) {
      // The end could not be written: the lease runs out, and the job is done again.
      logLines.error({ err: error, job: row.job_id, kind: row.kind }, 'the end of a job could not be written')
    } finally {
      lease.stop()
    }
  })()
  return { jobId: row.job_id, ended, stop, look: lease.renewNow }
}

function endOfError(
  error: unknown,
  reason: StopReason | undefined,
  row: JobRow,
  attemptsMax: number,
  logLines: LogLines,
): JobEnd | undefined {
  if (reason === 'lost' || error instanceof LeaseLost) return undefined
  if (reason === 'cancel') return { kind: 'cancelled' }
  if (reason === 'stopping') return { kind: 'given_back' }
  const known = error instanceof WaypostError
  const { code, message } = known ? error : { code: 'internal', message: 'Something went wrong on our side.' }
  logLines.warn({ err: error, job: row.job_id, kind: row.kind, attempt: row.attempts }, 'a job failed')
  const isOver = (known && !error.is_retryable) || row.attempts >= attemptsMax
  return isOver
    ? { kind: 'failed', code, message }
    : { kind: 'again', code, message, delayMs: pauseBeforeAttempt(row.attempts) }
}

const WRITE_AGAIN_MS = 200

/** A database that is away for a moment does not make a long job run again. */
async function writeEnd(
  pool: Pool,
  row: JobRow,
  end: JobEnd,
  progress: { done: number; total: number | undefined },
  leaseMs: number,
): Promise<void> {
  const untilMs = Date.now() + leaseMs
  for (;;) {
    try {
      await endJob(pool, row, end, progress)
      return
    } catch (error) {
      if (Date.now() > untilMs) throw error
      await new Promise((resolve) => setTimeout(resolve, WRITE_AGAIN_MS))
    }
  }
}

type Lease = { readonly stop: () => void; readonly renewNow: () => void }

/** Renews again and again. A database that does not answer until the lease is over ends the run as well: somebody else may have it. */
export function keepLease(
  renew: () => Promise<'held' | 'cancel' | 'lost'>,
  { leaseMs, renewMs, stop }: { leaseMs: number; renewMs: number; stop: (reason: StopReason) => void },
): Lease {
  let heldUntilMs = performance.now() + leaseMs
  let isOver = false
  let isAsking = false
  const round = async (): Promise<void> => {
    if (isOver) return
    // Whether it is still held is decided by the time that is left of the lease, also while a renewal gets no answer at all.
    if (performance.now() > heldUntilMs) return stop('lost')
    if (isAsking) return
    isAsking = true
    const askedAtMs = performance.now()
    try {
      const answer = await renew()
      if (isOver) return
      if (answer === 'lost') stop('lost')
      else heldUntilMs = askedAtMs + leaseMs
      if (answer === 'cancel') stop('cancel')
    } catch {
      // The next round asks again, until the lease is over.
    } finally {
      isAsking = false
    }
  }
  const timer = setInterval(() => void round(), renewMs)
  return {
    renewNow: () => void round(),
    stop: () => {
      isOver = true
      clearInterval(timer)
    },
  }
}
