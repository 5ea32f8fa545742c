import { ownerTenant } from '#accounts'
import { addJob, defineJob, type AddedJob, type AnyJobKind } from '#jobs'
import type { LogLines } from '#platform/log-lines'
import { repeat, type Repeated } from '#platform/loops'
import { WaypostError } from '#platform/errors'
import type { Pool } from '#platform/postgres'

import { dayOf, earliestKept } from './policies.ts'
import { restoreDay } from './restore.ts'
import { runRetention, type RetentionTools } from './retire.ts'

/** Names of the jobs (docs/jobs.md). */
export const retentionJobs = { run: 'retention', restore: 'retention_restore' } as const

type Restore = { readonly day: string; readonly hold_days: number }

/** The work of retention as jobs of this process. */
export function retentionJobKinds(tools: RetentionTools): readonly AnyJobKind[] {
  const busy = (): WaypostError =>
    new WaypostError('not_ready', 'Another run of retention is under way; this one is tried again.')
  return [
    defineJob<object, { planned: number; dropped: number; rows: number }>({
      kind: retentionJobs.run,
      isInternal: true,
      attemptsMax: 10,
      run: async ({ signal, progress }) => {
        const run = await runRetention({ ...tools, signal }, progress)
        if (run === undefined) throw busy()
        return { planned: run.planned.length, dropped: run.dropped, rows: run.rows }
      },
    }),
    defineJob<Restore, { retirements: number; rows: number }>({
      kind: retentionJobs.restore,
      isInternal: true,
      run: async ({ input, signal }) => {
        const restored = await restoreDay({ ...tools, signal }, input.day, input.hold_days)
        if (restored === undefined) throw busy()
        return restored
      },
    }),
  ]
}

/** Asks for a run now. @returns its job */
export const askForRun = (pool: Pool, by: string): Promise<AddedJob> =>
  addJob(pool, { kind: retentionJobs.run, input: {}, tenant: ownerTenant, by, isInternal: true })

/** Asks for the raw rows of a day (UTC) to be put back. @returns its job */
export const askForRestore = (pool: Pool, day: string, holdDays: number, by: string): Promise<AddedJob> =>
  addJob(pool, {
    ...{ kind: retentionJobs.restore, input: { day, hold_days: holdDays } },
    ...{ tenant: ownerTenant, by, isInternal: true },
  })

const HOUR_MS = 3_600_000
/** UTC: the day before is over everywhere that the facts count by. */
const RUN_AT_HOUR = 2

/** Asks for a run each night, where anything is retired at all.
 * @returns ends it
 */
export function retireNightly({ pool, policies, clock }: RetentionTools, logLines: LogLines): Repeated {
  const ask = async (): Promise<void> => {
    const nowMs = clock.now()
    const current = policies()
    if (current === undefined || earliestKept(current, nowMs) === undefined) return
    const day = dayOf(nowMs)
    const runAt = new Date(Date.parse(day) + RUN_AT_HOUR * HOUR_MS)
    await addJob(pool, {
      ...{ kind: retentionJobs.run, input: {}, tenant: ownerTenant, by: 'schedule', isInternal: true },
      ...{ runAt, dedupeKey: day },
    })
  }
  return repeat(ask, {
    ...{ logLines, intervalMs: HOUR_MS / 6 },
    failed: 'the nightly run of retention could not be asked for; tried again',
    recovered: 'the nightly run of retention is asked for again',
  })
}
