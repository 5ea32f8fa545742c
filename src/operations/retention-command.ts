import { setTimeout as delay } from 'node:timers/promises'

import type { Config } from '#config'

import { askApi } from './ask-api.ts'

/** What `waypost retention` is asked for. */
export type RetentionQuestion =
  | { readonly verb: 'status' }
  | { readonly verb: 'run'; readonly isDryRun: boolean }
  | { readonly verb: 'restore'; readonly day: string; readonly holdDays: number | undefined }

type Planned = { table: string; day: string; advertiser_ids: string[]; archive: string; rows: number }
type Status = {
  retired: { table: string; rows: number; archive_bytes: number; kept_rows: number; from: string; to: string }[]
  moving: Record<string, number>
  moving_since: string | null
  due: Planned[]
}
type Job = {
  state: string
  done: number
  total: number | null
  result: object | null
  error: { message: string } | null
}

const LOOK_MS = 500

/** `waypost retention`: how far it is, a run now, or a day put back; waits for the end of the work.
 * @returns exit code: 0; 1 where the work failed
 * @throws {Error} Waypost does not run; {ApiRefusal} what to correct
 */
export async function runRetentionCommand(config: Config, question: RetentionQuestion): Promise<number> {
  if (question.verb === 'status' || (question.verb === 'run' && question.isDryRun)) {
    const status = (await askApi(config, '/v1/retention/status')) as Status
    return say(question.verb === 'status' ? describeStatus(status) : describeDue(status.due))
  }
  const { path, body } =
    question.verb === 'run'
      ? { path: '/v1/retention/runs', body: {} }
      : {
          path: '/v1/retention/restores',
          body: { day: question.day, ...(question.holdDays !== undefined && { hold_days: question.holdDays }) },
        }
  const { job_id } = (await askApi(config, path, body, { options: { day: 'the day', hold_days: '--hold-days' } })) as { job_id: string } // prettier-ignore
  return waitFor(config, job_id)
}

async function waitFor(config: Config, jobId: string): Promise<number> {
  for (;;) {
    const job = (await askApi(config, `/v1/jobs/${jobId}`)) as Job
    if (job.state === 'done') return say(`Done: ${JSON.stringify(job.result)}`)
    if (job.state === 'failed' || job.state === 'cancelled') {
      process.stderr.write(`waypost: the work ${job.state}: ${job.error?.message ?? 'no reason is known'}\n`)
      return 1
    }
    await delay(LOOK_MS)
  }
}

function describeStatus({ retired, moving, moving_since, due }: Status): string {
  const tables = retired.map(
    ({ table, rows, archive_bytes, kept_rows, from, to }) =>
      `${table}: ${rows} raw rows of ${from} to ${to} are retired, ${kept_rows} rows stay, ${archive_bytes} bytes of files`,
  )
  const under = Object.entries(moving).map(([state, count]) => `${count} ${state}`)
  return [
    ...(tables.length === 0 ? ['Nothing was retired so far.'] : tables),
    ...(under.length === 0 ? [] : [`Under way since ${moving_since}: ${under.join(', ')}`]),
    describeDue(due),
  ].join('\n')
}

const describeDue = (due: readonly Planned[]): string =>
  due.length === 0
    ? 'Nothing is due.'
    : due
        .map(
          ({ table, day, advertiser_ids, archive, rows }) =>
            `due: ${day} ${table}, ${rows} rows of ${advertiser_ids.map((id) => id || '(no advertiser)').join(', ')}, archive: ${archive}`,
        )
        .join('\n')

function say(text: string): number {
  process.stdout.write(`${text}\n`)
  return 0
}
