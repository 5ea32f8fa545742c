import type { LogLines } from '#platform/log-lines'
import { createWake } from '#platform/loops'
import { inTransaction, listen, type Listening, type Pool } from '#platform/postgres'

import { jobLimits, type AnyJobKind } from './job.ts'
import { runJob, type RunningJob } from './run-job.ts'
import {
  claimJob,
  dropOldJobs,
  JOBS_CHANNEL,
  jobsToDiscard,
  noteDiscarded,
  untilNextJob,
  type JobRow,
} from './store.ts'

export type JobsOptions = {
  readonly pool: Pool
  readonly logLines: LogLines
  /** What this process can do; jobs of other kinds are left to others. */
  readonly kinds: readonly AnyJobKind[]
  /** For tests; production uses jobLimits. */
  readonly slots?: number
  readonly leaseMs?: number
  readonly renewMs?: number
}

export type Jobs = {
  /** Gives back what runs, to be begun again elsewhere or after the next start, and takes nothing more. */
  readonly stop: () => Promise<void>
}

/** Longest sleep: finds what nobody told of. */
const LOOK_AGAIN_MS = 5_000
const AFTER_FAILURE_MS = 1_000
const SWEEP_MS = 60_000

/** Does the jobs of some kinds in this process, each as soon as it is due and its tenant's turn has come. While PostgreSQL is away
 * it tries until it is back.
 * @throws {RangeError} two kinds of one name (programmer error)
 */
export function startJobs(options: JobsOptions): Jobs {
  const { pool, logLines, slots = jobLimits.slots } = options
  const timing = { leaseMs: options.leaseMs ?? jobLimits.leaseMs, renewMs: options.renewMs ?? jobLimits.renewMs }
  const kinds = new Map(options.kinds.map((kind) => [kind.kind, kind]))
  if (kinds.size < options.kinds.length) throw new RangeError('Two kinds of jobs have one name.')
  const names = [...kinds.keys()]
  const internal = options.kinds.filter(({ isInternal }) => isInternal === true).map(({ kind }) => kind)
  const running = new Map<string, RunningJob>()
  const wake = createWake()
  let isStopping = false
  let listening: Listening | undefined
  let sweepAtMs = 0

  const begin = (row: JobRow): void => {
    const job = runJob(kinds.get(row.kind)!, row, { pool, logLines, ...timing })
    running.set(row.job_id, job)
    void job.ended.then(() => {
      running.delete(row.job_id)
      sweepAtMs = 0
      wake.signal()
    })
  }
  const claimAll = async (): Promise<void> => {
    while (!isStopping && running.size < slots) {
      const row = await inTransaction(pool, (tx) => claimJob(tx, names, internal, timing.leaseMs))
      if (row === undefined) return
      begin(row)
    }
  }
  const listenOnce = async (): Promise<Listening> => {
    const begun = await listen(pool, JOBS_CHANNEL, (jobId) => {
      if (jobId !== '') {
        running.get(jobId)?.look()
        sweepAtMs = 0
      }
      wake.signal()
    })
    void begun.broken.then(() => {
      listening = undefined
      wake.signal()
    })
    return begun
  }
  const round = async (): Promise<number> => {
    listening ??= await listenOnce()
    await claimAll()
    if (performance.now() >= sweepAtMs) {
      sweepAtMs = performance.now() + SWEEP_MS
      await discardEnded(pool, kinds, logLines)
    }
    if (running.size >= slots) return LOOK_AGAIN_MS
    // At least a little: a job that is due and whose tenant is at its limit waits for the end of another, which wakes.
    return Math.max(50, Math.min((await untilNextJob(pool, names)) ?? LOOK_AGAIN_MS, LOOK_AGAIN_MS))
  }
  const run = async (): Promise<void> => {
    let failures = 0
    while (!isStopping) {
      const pauseMs = await round().then(
        (ms) => ((failures = 0), ms),
        (error: unknown) => {
          if (failures++ === 0) logLines.warn({ err: error }, 'jobs cannot be looked for; trying until they can')
          return AFTER_FAILURE_MS
        },
      )
      if (!isStopping) await wake.wait(pauseMs)
    }
  }
  const ended = run()
  return {
    stop: async () => {
      isStopping = true
      wake.signal()
      await ended
      listening?.stop()
      for (const job of running.values()) job.stop('stopping')
      await Promise.all([...running.values()].map((job) => job.ended))
    },
  }
}

async function discardEnded(pool: Pool, kinds: ReadonlyMap<string, AnyJobKind>, logLines: LogLines): Promise<void> {
  for (const row of await jobsToDiscard(pool, [...kinds.keys()])) {
    try {
      await kinds.get(row.kind)!.discard?.({ jobId: row.job_id, input: row.input, result: row.result })
      await noteDiscarded(pool, row.job_id)
    } catch (error) {
      logLines.warn({ err: error, job: row.job_id, kind: row.kind }, 'what a job made could not be taken away')
    }
  }
  await dropOldJobs(pool)
}
