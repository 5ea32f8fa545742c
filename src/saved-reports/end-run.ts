import type { Tx } from '#platform/postgres'
import { recordTenantNotice } from '#postbacks'

import type { WrittenReport } from './formats.ts'
import type { ReportFile } from './schedules.ts'
import { savedReportLimits } from './limits.ts'
import { makeLinkToken } from './link-tokens.ts'

/** What is told of a run: its schedule and report, and to whom they belong. */
type RunSubject = {
  readonly schedule_id: string
  readonly saved_report_id: string
  readonly name: string
  readonly due_at: Date
  readonly role: string
  readonly advertiser_id: string | null
  readonly affiliate_id: string | null
  readonly failures: number
  readonly state: string
}

const DONE = `
  UPDATE scheduled_runs SET state = 'done', rows = $2, file_name = $3, content_type = $4, content = $5, expires_at = $6, finished_at = $7, currency = $8, other_currencies = $9,
    error_code = NULL, error = NULL
  WHERE run_id = $1 AND state = 'queued'`

const RESET = `
  UPDATE report_schedules s SET failures = 0 FROM scheduled_runs r, saved_reports p
  WHERE r.run_id = $1 AND s.schedule_id = r.schedule_id AND p.saved_report_id = s.saved_report_id
  RETURNING s.schedule_id, s.saved_report_id, p.name, r.due_at, s.role, s.advertiser_id, s.affiliate_id, s.failures, s.state`

/** Keeps what a run made and tells the tenant's endpoints that listen to notices. In the transaction of whoever holds the job.
 * @returns false: the run had ended before
 */
export async function noteDone(
  tx: Tx,
  runId: string,
  file: ReportFile & Pick<WrittenReport, 'rows' | 'currency' | 'other_currencies'> & { readonly expiresAtMs: number },
  nowMs: number,
): Promise<boolean> {
  const { rows, file_name, content_type, content, expiresAtMs, currency, other_currencies } = file
  const values = [
    runId,
    rows,
    file_name,
    content_type,
    content,
    new Date(expiresAtMs),
    new Date(nowMs),
    currency,
    other_currencies,
  ]
  if ((await tx.query(DONE, values)).rowCount === 0) return false
  const [subject] = (await tx.query<RunSubject>(RESET, [runId])).rows
  if (subject !== undefined)
    await tell(tx, 'report_ready', subject, {
      ...{ run_id: runId, rows, file_name, currency, other_currencies },
      path: reportFilePath(runId, expiresAtMs),
      expires_at: new Date(expiresAtMs).toISOString(),
    })
  return true
}

/** Address of a run's file on the API, for whoever has it. */
export const reportFilePath = (runId: string, expiresAtMs: number): string =>
  `/v1/report-files/${makeLinkToken('report_file', runId, expiresAtMs)}`

const FAILED = `
  UPDATE scheduled_runs SET state = 'failed', error_code = $2, error = $3, finished_at = $4
  WHERE run_id = $1 AND state = 'queued'`

const COUNT_FAILURE = `
  UPDATE report_schedules s SET failures = failures + 1,
    state = CASE WHEN s.state = 'active' AND failures + 1 >= ${savedReportLimits.failuresMax} THEN 'failed' ELSE s.state END
  FROM scheduled_runs r, saved_reports p
  WHERE r.run_id = $1 AND s.schedule_id = r.schedule_id AND p.saved_report_id = s.saved_report_id
  RETURNING s.schedule_id, s.saved_report_id, p.name, r.due_at, s.role, s.advertiser_id, s.affiliate_id, s.failures, s.state`

/** Keeps why a run failed, and stops its schedule with a notice after failures in a row. */
export async function noteFailure(
  tx: Tx,
  runId: string,
  { code, message }: { readonly code: string; readonly message: string },
  nowMs: number,
): Promise<void> {
  if ((await tx.query(FAILED, [runId, code, message, new Date(nowMs)])).rowCount === 0) return
  const [subject] = (await tx.query<RunSubject>(COUNT_FAILURE, [runId])).rows
  if (subject?.state === 'failed' && subject.failures === savedReportLimits.failuresMax)
    await tell(tx, 'schedule_stopped', subject, { failures: subject.failures, code, reason: message })
}

/** An affiliate's notice is not for the advertiser that its key is for: what it can see is its own business. */
async function tell(
  tx: Tx,
  kind: 'report_ready' | 'schedule_stopped',
  subject: RunSubject,
  details: Readonly<Record<string, unknown>>,
): Promise<void> {
  const { schedule_id, saved_report_id, name, due_at, role, advertiser_id, affiliate_id } = subject
  await recordTenantNotice(tx, {
    kind,
    advertiserId: role === 'advertiser' ? advertiser_id : null,
    affiliateId: affiliate_id,
    details: { schedule_id, saved_report_id, name, due_at: due_at.toISOString(), ...details },
  })
}
