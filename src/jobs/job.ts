import type { Tenant } from '#accounts'
import type { Tx } from '#platform/postgres'

/** States of a job:
 *
 *   queued ─▶ running ─▶ done | failed | cancelled
 *     ▲          │
 *     └──────────┘ to be tried again, or the process ends in order
 *
 * A running job is held by a lease. One whose lease ran out is claimed again with a higher fence, and whoever held it before
 * writes nothing more.
 */
export const jobStates = ['queued', 'running', 'done', 'failed', 'cancelled'] as const
export type JobState = (typeof jobStates)[number]

export const jobLimits = {
  /** Of one tenant, waiting for their turn. */
  queuedMax: 50,
  /** Of one tenant at once, in the whole installation. */
  runningMax: 2,
  /** In one process at once. */
  slots: 4,
  leaseMs: 15_000,
  /** Between renewals of the lease, which carry the progress and hear of a cancel. */
  renewMs: 2_000,
  /** Days that an ended job can be looked at. */
  keepDays: 30,
  inputBytesMax: 65_536,
} as const

/** A kind of work: what it is called, and how one of it is done. Made by `defineJob`. */
export type JobKind<Input extends object = object, Result extends object = object> = {
  /** Stable word of `GET /v1/jobs`. */
  readonly kind: string
  /** Runs that are begun before it has failed; default 3. An error that will not go away by itself ends it at once. */
  readonly attemptsMax?: number
  /** Milliseconds that what it made is kept; then `discard` is called. Default: as long as the row. */
  readonly keepResultMs?: number
  /** True: the limits of tenants are not for it. For work that the installation begins by itself. */
  readonly isInternal?: boolean
  /** Does it. A run may find what one before it left half done, and begins anew or goes on from there.
   * @returns plain JSON
   * @throws {WaypostError} that is not retryable: the job has failed. Anything else: it is tried again, later and later
   */
  readonly run: (job: JobRun<Input>) => Promise<Result>
  /** Takes away what the job made, or had begun to make: after its result expired, and after it failed or was cancelled. May be
   * called more than once.
   */
  readonly discard?: (job: {
    readonly jobId: string
    readonly input: Input
    readonly result: Result | null
  }) => Promise<void>
}

/** One run of a job. */
export type JobRun<Input extends object = object> = {
  readonly jobId: string
  readonly input: Input
  /** For whom: read as this tenant. */
  readonly tenant: Tenant
  readonly askedBy: string
  /** Counted from 1. */
  readonly attempt: number
  /** Aborted when the job is cancelled, its lease was lost or the process stops: end soon, in any way. */
  readonly signal: AbortSignal
  /** Tells how far it is. Costs nothing: it is written with the next renewal of the lease. */
  readonly progress: (done: number, total?: number) => void
  /** Runs the work in a transaction that commits only while this run holds the lease.
   * @throws {LeaseLost} another run has it
   */
  readonly inLease: <T>(work: (tx: Tx) => Promise<T>) => Promise<T>
}

/** Another run has the job, or it is over: nothing of this run counts. */
export class LeaseLost extends Error {
  constructor() {
    super('The job is not held by this run any more.')
    this.name = 'LeaseLost'
  }
}

/** Names a kind of work.
 * @example
 * export const archiveDay = (facts: FactsClient) =>
 *   defineJob<{ day: string }, { rows: number }>({ kind: 'archive_day', isInternal: true, run: async ({ input, signal }) => … })
 * // once in the process that does it:  jobKinds.push(archiveDay(facts))         (src/operations/main-process.ts)
 * // wherever it is asked for:          await addJob(pool, { kind: 'archive_day', input: { day }, tenant: ownerTenant, by: 'schedule' })
 */
export const defineJob = <Input extends object, Result extends object>(
  kind: JobKind<Input, Result>,
): JobKind<Input, Result> => kind

/** A kind whose input and result are its own business: what was stored for a kind is handed to that kind only. */
// eslint-disable-next-line typescript/no-explicit-any
export type AnyJobKind = JobKind<any, any>
