import type { Role, Tenant } from '#accounts'
import { newUuidV7 } from '#platform/ids'
import type { Pool, Tx } from '#platform/postgres'

import { jobLimits, type JobState } from './job.ts'

/** A job as people see it. */
export type JobRow = {
  readonly job_id: string
  readonly kind: string
  readonly input: object
  readonly role: Role
  readonly advertiser_id: string | null
  readonly affiliate_id: string | null
  readonly asked_by: string
  readonly state: JobState
  readonly is_cancel_asked: boolean
  readonly done: bigint
  /** Null: not known yet. */
  readonly total: bigint | null
  readonly result: object | null
  readonly error_code: string | null
  readonly error: string | null
  readonly run_at: Date
  readonly attempts: number
  readonly fence: bigint
  readonly created_at: Date
  readonly started_at: Date | null
  readonly finished_at: Date | null
  readonly expires_at: Date | null
  readonly discarded_at: Date | null
}

const COLUMNS = `job_id, kind, input, role, advertiser_id, affiliate_id, asked_by, state, is_cancel_asked, done, total, result,
  error_code, error, run_at, attempts, fence, created_at, started_at, finished_at, expires_at, discarded_at`

/** Channel on which the processes hear that a job is due, or which one is to be cancelled. */
export const JOBS_CHANNEL = 'waypost_jobs'

export type NewJob = {
  readonly kind: string
  /** Plain JSON without secrets: whoever asked can read it. */
  readonly input: object
  readonly tenant: Tenant
  /** Who asked, for people. */
  readonly by: string
  /** Not before; left out: at once. */
  readonly runAt?: Date
  /** A second job of the kind with the same key is not made. */
  readonly dedupeKey?: string
  /** True: the limit of waiting jobs does not hold. */
  readonly isInternal?: boolean
}

export type AddedJob =
  | { readonly kind: 'added'; readonly jobId: string }
  /** There is one with this key. */
  | { readonly kind: 'present'; readonly jobId: string }
  | { readonly kind: 'refused'; readonly reason: 'too_many_queued' | 'input_too_large' }

const ADD = `
  WITH added AS (
    INSERT INTO jobs (job_id, kind, dedupe_key, input, role, advertiser_id, affiliate_id, asked_by, run_at)
    SELECT $1::uuid, $2::text, $3::text, $4::jsonb, $5::text, $6::text, $7::text, $8::text, coalesce($9::timestamptz, now())
    WHERE $10::boolean OR (
      SELECT count(*) FROM jobs
      WHERE state = 'queued' AND tenant = $5::text || '/' || coalesce($6::text, '') || '/' || coalesce($7::text, '')
    ) < ${jobLimits.queuedMax}
    ON CONFLICT (kind, dedupe_key) WHERE dedupe_key IS NOT NULL DO NOTHING
    RETURNING job_id
  )
  SELECT job_id, pg_notify('${JOBS_CHANNEL}', '') FROM added`

const PRESENT = 'SELECT job_id FROM jobs WHERE kind = $1 AND dedupe_key = $2'

/** Queues a job; it begins at once when its turn has come, or with the commit of the transaction. */
export async function addJob(db: Pool | Tx, job: NewJob): Promise<AddedJob> {
  const { tenant } = job
  const input = JSON.stringify(job.input)
  if (Buffer.byteLength(input) > jobLimits.inputBytesMax) return { kind: 'refused', reason: 'input_too_large' }
  const { rows } = await db.query<{ job_id: string }>(ADD, [
    newUuidV7(Date.now()),
    job.kind,
    job.dedupeKey,
    input,
    tenant.role,
    tenant.role === 'owner' ? null : tenant.advertiserId,
    tenant.role === 'affiliate' ? tenant.affiliateId : null,
    job.by,
    job.runAt,
    job.isInternal === true,
  ])
  if (rows[0] !== undefined) return { kind: 'added', jobId: rows[0].job_id }
  const present = job.dedupeKey === undefined ? undefined : (await db.query<{ job_id: string }>(PRESENT, [job.kind, job.dedupeKey])).rows[0] // prettier-ignore
  return present === undefined
    ? { kind: 'refused', reason: 'too_many_queued' }
    : { kind: 'present', jobId: present.job_id }
}

export type JobFilter = { readonly kind?: string | undefined; readonly state?: JobState | undefined }
export type JobCursor = { readonly atMs: number; readonly id: string }

const LIST = `
  SELECT ${COLUMNS} FROM jobs
  WHERE ($1::text IS NULL OR kind = $1) AND ($2::text IS NULL OR state = $2)
    AND ($3::timestamptz IS NULL OR (created_at, job_id) < ($3, $4::uuid))
  ORDER BY created_at DESC, job_id DESC LIMIT $5`

/** Jobs, newest first, one more than the limit so that the caller knows whether a page follows.
 * @param db of asTenant: a tenant sees its own
 */
export async function listJobs(
  db: Pool | Tx,
  filter: JobFilter,
  after: JobCursor | undefined,
  limit: number,
): Promise<readonly JobRow[]> {
  const { rows } = await db.query<JobRow>(LIST, [
    filter.kind,
    filter.state,
    after && new Date(after.atMs),
    after?.id,
    limit + 1,
  ])
  return rows
}

/** @returns undefined when there is none of that id, or it is another tenant's */
export async function findJob(db: Pool | Tx, jobId: string): Promise<JobRow | undefined> {
  const { rows } = await db.query<JobRow>(`SELECT ${COLUMNS} FROM jobs WHERE job_id = $1`, [jobId])
  return rows[0]
}

const CANCEL = `
  WITH asked AS (
    UPDATE jobs SET
      is_cancel_asked = true,
      state = CASE WHEN state = 'queued' THEN 'cancelled' ELSE state END,
      finished_at = CASE WHEN state = 'queued' THEN now() END
    WHERE job_id = $1 AND state IN ('queued', 'running') RETURNING job_id
  )
  SELECT pg_notify('${JOBS_CHANNEL}', job_id::text) FROM asked`

/** Ends a job: one that waits at once, one that runs as soon as its process hears of it. One that has ended stays as it is. */
export async function cancelJob(db: Pool | Tx, jobId: string): Promise<void> {
  await db.query(CANCEL, [jobId])
}

const EXPIRE = `
  WITH expired AS (UPDATE jobs SET expires_at = now() WHERE job_id = $1 AND state = 'done' RETURNING job_id)
  SELECT pg_notify('${JOBS_CHANNEL}', job_id::text) FROM expired`

/** Ends the time that what a job made is kept. */
export async function expireJob(db: Pool | Tx, jobId: string): Promise<void> {
  await db.query(EXPIRE, [jobId])
}

/** Whom a job works for. */
export function tenantOfJob(row: Pick<JobRow, 'role' | 'advertiser_id' | 'affiliate_id'>): Tenant {
  if (row.role === 'owner') return { role: 'owner' }
  if (row.role === 'advertiser') return { role: 'advertiser', advertiserId: row.advertiser_id! }
  return {
    role: 'affiliate',
    affiliateId: row.affiliate_id!,
    ...(row.advertiser_id !== null && { advertiserId: row.advertiser_id }),
  }
}

/** Any number, the same for ever: claims come one after the other, so that the limits of tenants hold. */
const CLAIM_LOCK = 7_229_017

const CLAIM = `
  WITH due AS (
    SELECT j.job_id FROM jobs AS j
    WHERE j.kind = ANY($1)
      AND ((j.state = 'queued' AND j.run_at <= now()) OR (j.state = 'running' AND j.lease_until < now()))
      AND (j.kind = ANY($2) OR (
        SELECT count(*) FROM jobs AS r
        WHERE r.state = 'running' AND r.tenant = j.tenant AND r.lease_until >= now() AND NOT (r.kind = ANY($2))
      ) < ${jobLimits.runningMax})
    ORDER BY j.run_at, j.job_id LIMIT 1 FOR UPDATE SKIP LOCKED
  )
  UPDATE jobs SET
    state = 'running', attempts = attempts + 1, fence = fence + 1, started_at = coalesce(started_at, now()),
    lease_until = now() + $3 * interval '1 millisecond'
  WHERE job_id IN (SELECT job_id FROM due)
  RETURNING ${COLUMNS}`

/** Takes the next job that is due or was left by a process that died.
 * @param tx a transaction of its own
 * @param internal kinds that the limits of tenants are not for
 */
export async function claimJob(
  tx: Tx,
  kinds: readonly string[],
  internal: readonly string[],
  leaseMs: number,
): Promise<JobRow | undefined> {
  await tx.query('SELECT pg_advisory_xact_lock($1)', [CLAIM_LOCK])
  const { rows } = await tx.query<JobRow>(CLAIM, [kinds, internal, leaseMs])
  return rows[0]
}

const UNTIL_DUE = `
  SELECT greatest(0, extract(epoch FROM least(
    (SELECT min(run_at) FROM jobs WHERE state = 'queued' AND run_at > now() AND kind = ANY($1)),
    (SELECT min(lease_until) FROM jobs WHERE state = 'running' AND lease_until > now() AND kind = ANY($1))
  ) - now()) * 1000)::float8 AS ms`

/** Milliseconds until the next job may be due; undefined: none is planned. */
export async function untilNextJob(db: Pool | Tx, kinds: readonly string[]): Promise<number | undefined> {
  const { rows } = await db.query<{ ms: number | null }>(UNTIL_DUE, [kinds])
  return rows[0]?.ms ?? undefined
}

type Held = Pick<JobRow, 'job_id' | 'fence'>

/** Prolongs the lease and notes the progress.
 * @returns `lost`: another run has it, or it is over
 */
export async function renewJob(
  db: Pool,
  { job_id, fence }: Held,
  progress: { readonly done: number; readonly total: number | undefined },
  leaseMs: number,
): Promise<'held' | 'cancel' | 'lost'> {
  const { rows } = await db.query<{ is_cancel_asked: boolean }>(
    `UPDATE jobs SET lease_until = now() + $3 * interval '1 millisecond', done = $4, total = coalesce($5, total)
     WHERE job_id = $1 AND fence = $2 AND state = 'running' RETURNING is_cancel_asked`,
    [job_id, fence, leaseMs, progress.done, progress.total],
  )
  if (rows[0] === undefined) return 'lost'
  return rows[0].is_cancel_asked ? 'cancel' : 'held'
}

/** Holds the row of the job until the end of the transaction.
 * @returns false: this run does not have it any more
 */
export async function holdJob(tx: Tx, { job_id, fence }: Held): Promise<boolean> {
  const { rowCount } = await tx.query(
    `SELECT FROM jobs WHERE job_id = $1 AND fence = $2 AND state = 'running' FOR UPDATE`,
    [job_id, fence],
  )
  return rowCount === 1
}

export type JobEnd =
  | { readonly kind: 'done'; readonly result: object; readonly keepResultMs: number | undefined }
  | { readonly kind: 'failed'; readonly code: string; readonly message: string }
  | { readonly kind: 'cancelled' }
  /** To be tried again. */
  | { readonly kind: 'again'; readonly code: string; readonly message: string; readonly delayMs: number }
  /** The process stops: the run does not count. */
  | { readonly kind: 'given_back' }

/** A cancel that was asked for before the end counts, whatever the run came to. */
const END = `
  UPDATE jobs SET
    state = CASE WHEN is_cancel_asked THEN 'cancelled' ELSE $3::text END,
    finished_at = CASE WHEN $3 <> 'queued' OR is_cancel_asked THEN now() END,
    result = $4, error_code = $5, error = $6,
    run_at = CASE WHEN $3 = 'queued' THEN now() + $7 * interval '1 millisecond' ELSE run_at END,
    attempts = attempts - $8::int,
    done = $9, total = coalesce($10, total),
    expires_at = now() + $11 * interval '1 millisecond',
    lease_until = NULL
  WHERE job_id = $1 AND fence = $2 AND state = 'running'`

/** Writes how a run ended. @returns false: this run does not have the job any more, and nothing was written */
export async function endJob(
  db: Pool,
  { job_id, fence }: Held,
  end: JobEnd,
  progress: { readonly done: number; readonly total: number | undefined },
): Promise<boolean> {
  const isBack = end.kind === 'again' || end.kind === 'given_back'
  const isWrong = end.kind === 'failed' || end.kind === 'again'
  const { rowCount } = await db.query(END, [
    job_id,
    fence,
    isBack ? 'queued' : end.kind,
    end.kind === 'done' ? JSON.stringify(end.result) : null,
    isWrong ? end.code : null,
    isWrong ? end.message : null,
    end.kind === 'again' ? end.delayMs : 0,
    end.kind === 'given_back' ? 1 : 0,
    progress.done,
    progress.total,
    end.kind === 'done' ? end.keepResultMs : null,
  ])
  return rowCount === 1
}

const TO_DISCARD = `
  SELECT ${COLUMNS} FROM jobs
  WHERE kind = ANY($1) AND discarded_at IS NULL AND state IN ('done', 'failed', 'cancelled')
    AND (state <> 'done' OR expires_at < now())
  LIMIT 100`

/** Jobs whose work is to be taken away, 100 at most. */
export async function jobsToDiscard(db: Pool, kinds: readonly string[]): Promise<readonly JobRow[]> {
  return (await db.query<JobRow>(TO_DISCARD, [kinds])).rows
}

export async function noteDiscarded(db: Pool, jobId: string): Promise<void> {
  await db.query('UPDATE jobs SET discarded_at = now() WHERE job_id = $1', [jobId])
}

/** Drops the rows of jobs that ended long ago and whose work is gone. */
export async function dropOldJobs(db: Pool): Promise<void> {
  await db.query(`
    DELETE FROM jobs WHERE state IN ('done', 'failed', 'cancelled')
      AND finished_at < now() - ${jobLimits.keepDays} * interval '1 day'
      AND (discarded_at IS NOT NULL OR (state = 'done' AND expires_at IS NULL))`)
}
