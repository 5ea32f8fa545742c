import { findActiveKeys, type Principal, type Tenant } from '#accounts'
import { defineJob, type JobKind } from '#jobs'
import type { Clock } from '#platform/clock'
import { WaypostError } from '#platform/errors'
import type { Pool } from '#platform/postgres'

import { noteDone, noteFailure } from './end-run.ts'
import type { ReportFormat, WrittenReport } from './formats.ts'
import { savedReportLimits } from './limits.ts'
import { isSameTenant, narrowTenant } from './narrow-tenant.ts'
import { SCHEDULED_REPORT } from './queue-due-runs.ts'
import { RUN_COLUMNS, SCHEDULE_COLUMNS, type ReportSchedule, type ScheduledRun } from './schedules.ts'
import { asKey, findSavedReport, tenantOf, type SavedReport } from './store.ts'

/** Answers a saved report as it would have been asked at a moment, as a file.
 * @throws {WaypostError} query_too_expensive: it is larger than `bytesMax` as well
 */
export type WriteReport = (
  tenant: Tenant,
  report: SavedReport,
  options: { readonly atMs: number; readonly format: ReportFormat; readonly bytesMax: number },
) => Promise<WrittenReport>

type Input = { readonly run_id: string }
type Result = { readonly rows: number; readonly file_name: string }

/** An outage of the facts is over within minutes or is somebody's to look at: eight tries take about ten. */
const ATTEMPTS_MAX = 8
const DAY_MS = 86_400_000

/** The work of one scheduled report: asked as of its moment, with the rights of the key that made the schedule as of now. */
export function scheduledReportJob(tools: {
  readonly pool: Pool
  readonly clock: Clock
  readonly write: WriteReport
}): JobKind<Input, Result> {
  const { pool, clock, write } = tools
  return defineJob<Input, Result>({
    kind: SCHEDULED_REPORT,
    attemptsMax: ATTEMPTS_MAX,
    run: async ({ input: { run_id }, attempt, inLease }) => {
      try {
        const { run, schedule } = await findRun(pool, run_id)
        const report = await findReport(pool, schedule)
        const { rows, contentType, content, currency, other_currencies } = await write(
          await rightsOf(pool, schedule, report),
          report,
          {
            ...{ atMs: run.due_at.getTime(), format: schedule.format, bytesMax: savedReportLimits.fileBytesMax },
          },
        )
        const file_name = fileName(report, run, schedule)
        const nowMs = clock.now()
        const file = {
          rows,
          file_name,
          content,
          content_type: contentType,
          ...{ currency, other_currencies },
          expiresAtMs: nowMs + schedule.keep_days * DAY_MS,
        }
        await inLease((tx) => noteDone(tx, run_id, file, nowMs))
        return { rows, file_name }
      } catch (error) {
        const isOver = (error instanceof WaypostError && !error.is_retryable) || attempt >= ATTEMPTS_MAX
        if (isOver) await inLease((tx) => noteFailure(tx, run_id, describe(error), clock.now()))
        throw error
      }
    },
  })
}

const describe = (error: unknown): { code: string; message: string } =>
  error instanceof WaypostError
    ? { code: error.code, message: error.message }
    : { code: 'internal', message: 'Something went wrong on our side.' }

async function findRun(pool: Pool, runId: string): Promise<{ run: ScheduledRun; schedule: ReportSchedule }> {
  const runs = await pool.query<ScheduledRun>(`SELECT ${RUN_COLUMNS} FROM scheduled_runs WHERE run_id = $1`, [runId])
  const [run] = runs.rows
  if (run === undefined) throw new WaypostError('not_found', 'The schedule was deleted.')
  const sql = `SELECT ${SCHEDULE_COLUMNS} FROM report_schedules WHERE schedule_id = $1`
  const [schedule] = (await pool.query<ReportSchedule>(sql, [run.schedule_id])).rows
  if (schedule === undefined) throw new WaypostError('not_found', 'The schedule was deleted.')
  return { run, schedule }
}

/** The report, as the key that made the schedule sees it. */
async function findReport(pool: Pool, schedule: ReportSchedule): Promise<SavedReport> {
  const principal: Principal = { ...tenantOf(schedule), apiKeyId: schedule.api_key_id, name: 'schedule', scopes: [] }
  const report = await asKey(pool, principal, (tx) => findSavedReport(tx, schedule.saved_report_id))
  if (report === undefined) throw new WaypostError('forbidden', 'The report is not shared with this key any more.')
  return report
}

async function rightsOf(pool: Pool, schedule: ReportSchedule, report: SavedReport): Promise<Tenant> {
  const active = await findActiveKeys(pool, [schedule.api_key_id, report.api_key_id])
  if (!active.has(schedule.api_key_id))
    throw new WaypostError('forbidden', 'The key that made this schedule was ended.')
  const [own, saver] = [tenantOf(schedule), tenantOf(report)]
  if (isSameTenant(own, saver)) return own
  if (own.role !== 'owner' && !active.has(report.api_key_id))
    throw new WaypostError('forbidden', 'The key that shared this report was ended, and its rights with it.')
  const both = narrowTenant(own, saver)
  if (both === undefined) throw new WaypostError('forbidden', 'The report has nothing for this key.')
  return both
}

const fileName = ({ name }: SavedReport, { due_at }: ScheduledRun, { format }: ReportSchedule): string => {
  const plain = name.normalize('NFKD').replaceAll(/\p{M}/gu, '').replaceAll(/[^\w.-]+/g, '-').replaceAll(/^-+|-+$/g, '') // prettier-ignore
  return `${plain.slice(0, 80) || 'report'}-${due_at.toISOString().slice(0, 16).replace(':', '')}Z.${format}`
}
