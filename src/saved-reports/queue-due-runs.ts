import { addJob } from '#jobs'
import { newUuidV7 } from '#platform/ids'
import { inTransaction, type Pool, type Tx } from '#platform/postgres'

import { parseCron } from './cron.ts'
import { noteFailure } from './end-run.ts'
import { savedReportLimits } from './limits.ts'
import { SCHEDULE_COLUMNS, type ReportSchedule } from './schedules.ts'
import { tenantOf } from './store.ts'

export const SCHEDULED_REPORT = 'scheduled_report'
/** Schedules of one round. */
const ROUND_MAX = 100

/** Those that another process looks at in this moment are its own. */
const TAKE = `
  SELECT ${SCHEDULE_COLUMNS} FROM report_schedules
  WHERE state = 'active' AND next_at <= $1 ORDER BY next_at LIMIT ${ROUND_MAX} FOR UPDATE SKIP LOCKED`

const ADD_RUN = `
  INSERT INTO scheduled_runs (run_id, schedule_id, due_at, missed) VALUES ($1, $2, $3, $4)
  ON CONFLICT (schedule_id, due_at) DO NOTHING RETURNING run_id`

const SET_NEXT = 'UPDATE report_schedules SET next_at = $2 WHERE schedule_id = $1'

/** Queues a job for each schedule that is due: for its last moment, also where several have passed. The run, its job and the next
 * moment are one transaction: two processes, or one that dies, never make two of one moment.
 * @returns how many schedules were due
 */
export async function queueDueRuns(pool: Pool, nowMs: number): Promise<number> {
  return inTransaction(pool, async (tx) => {
    const { rows } = await tx.query<ReportSchedule>(TAKE, [new Date(nowMs)])
    for (const schedule of rows) await queueRun(tx, schedule, nowMs)
    return rows.length
  })
}

async function queueRun(tx: Tx, schedule: ReportSchedule, nowMs: number): Promise<void> {
  const { schedule_id, cron, timezone } = schedule
  const parsed = parseCron(cron, timezone, nowMs)
  const firstMs = schedule.next_at!.getTime()
  const times = parsed.kind === 'cron' ? parsed.cron : undefined
  const nextMs = times?.next(nowMs)
  const { count, lastMs = firstMs } = times?.past(firstMs - 1, nowMs) ?? { count: 1 }
  await tx.query(SET_NEXT, [schedule_id, nextMs === undefined ? null : new Date(nextMs)])
  const runId = newUuidV7(nowMs)
  const added = await tx.query(ADD_RUN, [runId, schedule_id, new Date(lastMs), Math.max(0, count - 1)])
  if (added.rowCount === 0) return
  await addJob(tx, {
    kind: SCHEDULED_REPORT,
    input: { run_id: runId },
    tenant: tenantOf(schedule),
    by: 'schedule',
    dedupeKey: runId,
    isInternal: true,
  })
}

/** Runs whose job ended without writing how: its process died again and again, or somebody cancelled it. */
const LOST = `
  SELECT r.run_id, j.error_code, j.error FROM scheduled_runs r
  JOIN jobs j ON j.kind = '${SCHEDULED_REPORT}' AND j.dedupe_key = r.run_id::text
  WHERE r.state = 'queued' AND j.state IN ('failed', 'cancelled') LIMIT ${ROUND_MAX} FOR UPDATE OF r SKIP LOCKED`

const EMPTY_FILES = `UPDATE scheduled_runs SET content = NULL WHERE content IS NOT NULL AND expires_at <= $1`
const DROP_RUNS = `DELETE FROM scheduled_runs WHERE due_at < $1 AND state <> 'queued'`
const DROP_LINKS = `DELETE FROM saved_report_links WHERE expires_at < $1`
const DAY_MS = 86_400_000

/** Ends runs that were lost, and drops files, runs and links that are past their time. */
export async function tidyRuns(pool: Pool, nowMs: number): Promise<void> {
  await inTransaction(pool, async (tx) => {
    const { rows } = await tx.query<{ run_id: string; error_code: string | null; error: string | null }>(LOST)
    for (const { run_id, error_code, error } of rows)
      await noteFailure(tx, run_id, { code: error_code ?? 'cancelled', message: error ?? 'The job was cancelled.' }, nowMs) // prettier-ignore
  })
  await pool.query(EMPTY_FILES, [new Date(nowMs)])
  await pool.query(DROP_RUNS, [new Date(nowMs - savedReportLimits.runsKeptDays * DAY_MS)])
  await pool.query(DROP_LINKS, [new Date(nowMs - DAY_MS)])
}
