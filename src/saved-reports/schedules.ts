import type { Principal, Role } from '#accounts'
import { newUuidV7 } from '#platform/ids'
import type { Pool, Tx } from '#platform/postgres'

import type { ReportFormat } from './formats.ts'
import { savedReportLimits } from './limits.ts'
import { tenantValues } from './store.ts'

/** States of a schedule:
 *
 *   active ⇄ paused (by a person)
 *   active ─▶ failed (by itself, after failures in a row) ─▶ active (by a person)
 */
export const scheduleStates = {
  active: 'Runs at its moments',
  paused: 'Stopped by a person',
  failed: 'Stopped by itself after failures in a row; resume it when the reason is gone',
} as const
export type ScheduleState = keyof typeof scheduleStates

export type ReportSchedule = {
  readonly schedule_id: string
  readonly saved_report_id: string
  readonly cron: string
  readonly timezone: string
  readonly format: ReportFormat
  readonly keep_days: number
  readonly api_key_id: string
  readonly role: Role
  readonly advertiser_id: string | null
  readonly affiliate_id: string | null
  readonly state: ScheduleState
  readonly failures: number
  readonly next_at: Date | null
  readonly created_at: Date
}

export const runStates = ['queued', 'done', 'failed'] as const
export type RunState = (typeof runStates)[number]

export type ScheduledRun = {
  readonly run_id: string
  readonly schedule_id: string
  readonly due_at: Date
  readonly missed: number
  readonly state: RunState
  readonly rows: number | null
  readonly error_code: string | null
  readonly error: string | null
  readonly finished_at: Date | null
  readonly file_name: string | null
  readonly content_type: string | null
  readonly expires_at: Date | null
  /** Of the file; null: there is none, or it is of before they were noted. */
  readonly currency: string | null
  readonly other_currencies: readonly string[] | null
}

export const SCHEDULE_COLUMNS = `schedule_id, saved_report_id, cron, timezone, format, keep_days, api_key_id, role, advertiser_id,
  affiliate_id, state, failures, next_at, created_at`
export const RUN_COLUMNS =
  'run_id, schedule_id, due_at, missed, state, rows, error_code, error, finished_at, file_name, content_type, expires_at, currency, other_currencies'

export type NewSchedule = {
  readonly savedReportId: string
  readonly cron: string
  readonly timezone: string
  readonly format: ReportFormat
  readonly keepDays: number
  readonly nextAtMs: number
}

const INSERT = `
  INSERT INTO report_schedules (schedule_id, saved_report_id, cron, timezone, format, keep_days, next_at, api_key_id, role,
    advertiser_id, affiliate_id, created_at)
  SELECT $1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12
  WHERE (SELECT count(*) FROM report_schedules WHERE api_key_id = $8) < ${savedReportLimits.schedulesMax}
  RETURNING ${SCHEDULE_COLUMNS}`

/** @returns undefined: the key has as many schedules as it may */
export async function makeSchedule(
  pool: Pool,
  principal: Principal,
  wanted: NewSchedule,
  nowMs: number,
): Promise<ReportSchedule | undefined> {
  const { savedReportId, cron, timezone, format, keepDays, nextAtMs } = wanted
  const { rows } = await pool.query<ReportSchedule>(INSERT, [
    ...[newUuidV7(nowMs), savedReportId, cron, timezone, format, keepDays, new Date(nextAtMs)],
    ...[principal.apiKeyId, ...tenantValues(principal), new Date(nowMs)],
  ])
  return rows[0]
}

const LIST = `
  SELECT ${SCHEDULE_COLUMNS} FROM report_schedules
  WHERE ($1::uuid IS NULL OR saved_report_id = $1) AND ($2::uuid IS NULL OR schedule_id < $2)
  ORDER BY schedule_id DESC LIMIT $3`

/** Schedules that the transaction may see, newest first, one more than the limit. */
export async function listSchedules(
  tx: Tx,
  filter: { readonly savedReportId?: string | undefined },
  beforeId: string | undefined,
  limit: number,
): Promise<readonly ReportSchedule[]> {
  return (await tx.query<ReportSchedule>(LIST, [filter.savedReportId, beforeId, limit + 1])).rows
}

export async function findSchedule(tx: Tx, id: string): Promise<ReportSchedule | undefined> {
  const sql = `SELECT ${SCHEDULE_COLUMNS} FROM report_schedules WHERE schedule_id = $1`
  return (await tx.query<ReportSchedule>(sql, [id])).rows[0]
}

const RUNS = `
  SELECT ${RUN_COLUMNS} FROM scheduled_runs
  WHERE schedule_id = $1 AND ($2::timestamptz IS NULL OR due_at < $2) ORDER BY due_at DESC LIMIT $3`

/** Runs of a schedule, newest first, one more than the limit. */
export async function listRuns(
  tx: Tx,
  scheduleId: string,
  beforeMs: number | undefined,
  limit: number,
): Promise<readonly ScheduledRun[]> {
  const before = beforeMs === undefined ? undefined : new Date(beforeMs)
  return (await tx.query<ScheduledRun>(RUNS, [scheduleId, before, limit + 1])).rows
}

const SET_STATE = `
  UPDATE report_schedules SET state = $2, failures = CASE WHEN $2 = 'active' THEN 0 ELSE failures END, next_at = coalesce($3, next_at)
  WHERE schedule_id = $1 RETURNING ${SCHEDULE_COLUMNS}`

/** Whoever calls has made sure that the schedule may be changed.
 * @param nextAtMs of one that is resumed: what passed meanwhile is not made up for
 */
export async function setScheduleState(
  pool: Pool,
  id: string,
  state: 'active' | 'paused',
  nextAtMs?: number,
): Promise<ReportSchedule | undefined> {
  const next = nextAtMs === undefined ? null : new Date(nextAtMs)
  return (await pool.query<ReportSchedule>(SET_STATE, [id, state, next])).rows[0]
}

/** With its runs and their files. */
export async function deleteSchedule(pool: Pool, id: string): Promise<void> {
  await pool.query('DELETE FROM report_schedules WHERE schedule_id = $1', [id])
}

export type ReportFile = {
  readonly file_name: string
  readonly content_type: string
  readonly content: Buffer
}

const FILE = `
  SELECT file_name, content_type, content FROM scheduled_runs
  WHERE run_id = $1 AND content IS NOT NULL AND expires_at > $2`

/** What a run made, for whoever has its link. */
export async function readReportFile(pool: Pool, runId: string, nowMs: number): Promise<ReportFile | undefined> {
  return (await pool.query<ReportFile>(FILE, [runId, new Date(nowMs)])).rows[0]
}
