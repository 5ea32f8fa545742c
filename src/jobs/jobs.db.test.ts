import assert from 'node:assert/strict'
import { once } from 'node:events'
import { test, type TestContext } from 'node:test'

import { asTenant, ownerTenant, type Tenant } from '#accounts'
import { WaypostError } from '#platform/errors'
import { createLogLines } from '#platform/log-lines'
import type { Pool } from '#platform/postgres'
import { withDatabase } from '#test-kit'

import { addJob, cancelJob, defineJob, findJob, jobLimits, LeaseLost, listJobs, startJobs } from './index.ts'
import type { AnyJobKind, JobRow, JobRun, JobsOptions } from './index.ts'
import { pauseBeforeAttempt } from './run-job.ts'
import { claimJob } from './store.ts'
import { inTransaction } from '#platform/postgres'

const logLines = createLogLines('test', 'silent')
const acme: Tenant = { role: 'advertiser', advertiserId: 'acme' }
const anna: Tenant = { role: 'affiliate', affiliateId: 'anna', advertiserId: 'acme' }

async function withJobs(
  t: TestContext,
): Promise<{ pool: Pool; run: (kinds: AnyJobKind[], more?: Partial<JobsOptions>) => ReturnType<typeof startJobs> }> {
  const stops: (() => Promise<void>)[] = []
  t.after(async () => {
    for (const stop of stops) await stop()
  })
  const { pool } = await withDatabase(t)
  return {
    pool,
    run: (kinds, more = {}) => {
      const jobs = startJobs({ pool, logLines, kinds, ...more })
      stops.push(jobs.stop)
      return jobs
    },
  }
}

async function add(pool: Pool, kind: string, input: object = {}, tenant: Tenant = ownerTenant): Promise<string> {
  const added = await addJob(pool, { kind, input, tenant, by: 'test' })
  assert.equal(added.kind, 'added')
  return (added as { jobId: string }).jobId
}

/** Waits for a change by looking: jobs say themselves when they end, and this asks on their channel. */
async function until(pool: Pool, jobId: string, isSo: (row: JobRow) => boolean): Promise<JobRow> {
  for (;;) {
    const row = await findJob(pool, jobId)
    if (row !== undefined && isSo(row)) return row
    await new Promise((resolve) => setImmediate(resolve))
  }
}
const ended = (row: JobRow): boolean => ['done', 'failed', 'cancelled'].includes(row.state)
const aborted = async ({ signal }: JobRun): Promise<never> => {
  if (!signal.aborted) await once(signal, 'abort')
  throw signal.reason
}

test('a job is done at once, with what it was given, and tells its progress and its result', async (t) => {
  const { pool, run } = await withJobs(t)
  const seen: unknown[] = []
  run([
    defineJob<{ n: number }, { twice: number }>({
      kind: 'twice',
      run: async ({ input, tenant, askedBy, attempt, progress }) => {
        seen.push(input, tenant, askedBy, attempt)
        progress(7, 9)
        return { twice: input.n * 2 }
      },
    }),
  ])
  const row = await until(pool, await add(pool, 'twice', { n: 21 }, anna), ended)
  assert.deepEqual([row.state, row.result, row.done, row.total], ['done', { twice: 42 }, 7n, 9n])
  assert.deepEqual(seen, [{ n: 21 }, anna, 'test', 1])
})

test('a job is not begun before its time, and one with the key of another is that one', async (t) => {
  const { pool, run } = await withJobs(t)
  const later = { kind: 'nothing', input: {}, tenant: ownerTenant, by: 'test', dedupeKey: 'monday' }
  const first = await addJob(pool, { ...later, runAt: new Date(Date.now() + 3_600_000) })
  assert.equal(first.kind, 'added')
  assert.deepEqual(await addJob(pool, later), { ...first, kind: 'present' })
  run([defineJob({ kind: 'nothing', run: async () => ({}) })])
  await until(pool, await add(pool, 'nothing'), ended)
  const { jobId } = first as { jobId: string }
  assert.equal((await findJob(pool, jobId))!.state, 'queued')
  await pool.query('UPDATE jobs SET run_at = now() WHERE job_id = $1', [jobId])
  await pool.query("SELECT pg_notify('waypost_jobs', '')")
  assert.equal((await until(pool, jobId, ended)).state, 'done')
})

test('an error that may pass is tried again, later and later; one that stays ends the job with its code', async (t) => {
  const { pool, run } = await withJobs(t)
  run([
    defineJob({ kind: 'wrong', run: async () => Promise.reject(new WaypostError('request_invalid', 'No.')) }),
    defineJob({ kind: 'away', attemptsMax: 2, run: async () => Promise.reject(new Error('password is hunter2')) }),
  ])
  const wrong = await until(pool, await add(pool, 'wrong'), ended)
  assert.deepEqual([wrong.state, wrong.error_code, wrong.attempts], ['failed', 'request_invalid', 1])
  const jobId = await add(pool, 'away')
  const again = await until(pool, jobId, (row) => row.state === 'queued' && row.attempts === 1)
  assert.ok(again.run_at.getTime() > Date.now() + 3_000)
  await pool.query('UPDATE jobs SET run_at = now() WHERE job_id = $1', [jobId])
  await pool.query("SELECT pg_notify('waypost_jobs', '')")
  const failed = await until(pool, jobId, ended)
  assert.deepEqual([failed.state, failed.error_code, failed.attempts], ['failed', 'internal', 2])
  assert.doesNotMatch(failed.error!, /hunter2/)
  assert.deepEqual([1, 2, 3, 20].map(pauseBeforeAttempt), [5_000, 10_000, 20_000, 600_000])
})

test('a cancel ends a job that waits at once and one that runs as soon as it is heard, and takes away what it made', async (t) => {
  const { pool, run } = await withJobs(t)
  const discarded: string[] = []
  const begun = Promise.withResolvers<void>()
  run([
    defineJob({
      kind: 'long',
      run: async (job) => {
        begun.resolve()
        return aborted(job)
      },
      discard: async ({ jobId }) => void discarded.push(jobId),
    }),
  ])
  const running = await add(pool, 'long')
  await begun.promise
  const waiting = await addJob(pool, {
    kind: 'long',
    input: {},
    tenant: acme,
    by: 'test',
    runAt: new Date(Date.now() + 1e6),
  })
  const { jobId } = waiting as { jobId: string }
  await cancelJob(pool, jobId)
  assert.equal((await findJob(pool, jobId))!.state, 'cancelled')
  await cancelJob(pool, running)
  const row = await until(pool, running, (one) => ended(one) && one.discarded_at !== null)
  assert.equal(row.state, 'cancelled')
  await until(pool, jobId, (one) => one.discarded_at !== null)
  assert.deepEqual(new Set(discarded), new Set([running, jobId]))
  await cancelJob(pool, running)
  assert.equal((await findJob(pool, running))!.state, 'cancelled')
})

test('a cancel that comes while the work is being finished still counts', async (t) => {
  const { pool, run } = await withJobs(t)
  run([
    defineJob({
      kind: 'deaf',
      run: async ({ jobId }) => {
        await cancelJob(pool, jobId)
        return {}
      },
    }),
  ])
  assert.equal((await until(pool, await add(pool, 'deaf'), ended)).state, 'cancelled')
})

test('a job whose process died is taken over, and who held it before writes nothing', async (t) => {
  const { pool, run } = await withJobs(t)
  const jobId = await add(pool, 'slow')
  // The process that claims it here dies at once: nobody renews the lease.
  const dead = await inTransaction(pool, (tx) => claimJob(tx, ['slow'], [], 100))
  assert.equal(dead!.job_id, jobId)
  run([defineJob({ kind: 'slow', run: async ({ attempt }) => ({ attempt }) })])
  assert.deepEqual((await until(pool, jobId, ended)).result, { attempt: 2 })
})

test('a run whose lease was taken stops, and neither its writes nor its end count', async (t) => {
  const { pool, run } = await withJobs(t)
  const begun = Promise.withResolvers<void>()
  const stolen = Promise.withResolvers<unknown>()
  let runs = 0
  const kind = defineJob({
    kind: 'held',
    run: async (job) => {
      if (++runs > 1) return { by: 'second' }
      begun.resolve()
      if (!job.signal.aborted) await once(job.signal, 'abort')
      stolen.resolve(await job.inLease(async () => undefined).catch((error: unknown) => error))
      return { by: 'first' }
    },
  })
  run([kind], { renewMs: 20 })
  const jobId = await add(pool, 'held')
  await begun.promise
  await pool.query('UPDATE jobs SET fence = fence + 1, lease_until = now() WHERE job_id = $1', [jobId])
  assert.ok((await stolen.promise) instanceof LeaseLost)
  assert.deepEqual((await until(pool, jobId, ended)).result, { by: 'second' })
})

test('a job that ends its process again and again is given up', async (t) => {
  const { pool, run } = await withJobs(t)
  const jobId = await add(pool, 'poison')
  await pool.query(
    `UPDATE jobs SET state = 'running', attempts = 3, lease_until = now() - interval '1 s' WHERE job_id = $1`,
    [jobId],
  )
  run([defineJob({ kind: 'poison', run: async () => ({}) })])
  const row = await until(pool, jobId, ended)
  assert.deepEqual([row.state, row.error_code], ['failed', 'internal'])
})

test('a process that stops gives its jobs back, and the run does not count', async (t) => {
  const { pool, run } = await withJobs(t)
  const begun = Promise.withResolvers<void>()
  const jobs = run([
    defineJob({
      kind: 'long',
      run: (job) => {
        begun.resolve()
        return aborted(job)
      },
    }),
  ])
  const jobId = await add(pool, 'long')
  await begun.promise
  await jobs.stop()
  const row = await findJob(pool, jobId)
  assert.deepEqual([row!.state, row!.attempts], ['queued', 0])
  run([defineJob({ kind: 'long', run: async () => ({}) })])
  assert.equal((await until(pool, jobId, ended)).state, 'done')
})

test('a tenant has only so many jobs running and waiting, and others are not held up by that', async (t) => {
  const { pool, run } = await withJobs(t)
  const release = Promise.withResolvers<void>()
  let most = 0
  let now = 0
  run([
    defineJob({
      kind: 'busy',
      run: async ({ tenant }) => {
        if (tenant.role !== 'advertiser') return {}
        most = Math.max(most, ++now)
        await release.promise
        now--
        return {}
      },
    }),
  ])
  const own = await Promise.all(Array.from({ length: jobLimits.runningMax + 3 }, () => add(pool, 'busy', {}, acme)))
  assert.equal((await until(pool, await add(pool, 'busy'), ended)).state, 'done')
  assert.equal(most, jobLimits.runningMax)
  await pool.query(`
    INSERT INTO jobs (job_id, kind, input, role, advertiser_id, asked_by, run_at)
    SELECT gen_random_uuid(), 'later', '{}', 'advertiser', 'acme', 'test', now() + interval '1 day'
    FROM generate_series(1, ${jobLimits.queuedMax})`)
  const question = { kind: 'later', input: {}, tenant: acme, by: 'test' }
  assert.deepEqual(await addJob(pool, question), { kind: 'refused', reason: 'too_many_queued' })
  assert.equal((await addJob(pool, { ...question, tenant: ownerTenant })).kind, 'added')
  assert.equal((await addJob(pool, { ...question, isInternal: true })).kind, 'added')
  release.resolve()
  for (const jobId of own) await until(pool, jobId, ended)
  assert.equal(most, jobLimits.runningMax)
})

test('what a job made is taken away when its time is over', async (t) => {
  const { pool, run } = await withJobs(t)
  const gone: unknown[] = []
  run([
    defineJob<object, { file: string }>({
      kind: 'file',
      keepResultMs: 1,
      run: async () => ({ file: 'a' }),
      discard: async ({ result }) => void gone.push(result),
    }),
  ])
  await until(pool, await add(pool, 'file'), (row) => row.discarded_at !== null)
  assert.deepEqual(gone, [{ file: 'a' }])
})

test('jobs wait while PostgreSQL cannot be asked, and go on by themselves', async (t) => {
  const { pool, run } = await withJobs(t)
  run([defineJob({ kind: 'nothing', run: async () => ({}) })])
  await until(pool, await add(pool, 'nothing'), ended)
  await pool.query(
    `SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid <> pg_backend_pid() AND datname = current_database()`,
  )
  await until(pool, await add(pool, 'nothing'), ended)
})

test('a tenant sees the jobs asked in its name only', async (t) => {
  const { pool } = await withJobs(t)
  const tenants: Tenant[] = [
    ownerTenant,
    acme,
    { role: 'advertiser', advertiserId: 'globex' },
    anna,
    { role: 'affiliate', affiliateId: 'bert' },
  ]
  const ids = await Promise.all(tenants.map((tenant) => add(pool, 'nothing', {}, tenant)))
  for (const [index, tenant] of tenants.entries()) {
    const rows = await asTenant(pool, tenant, (tx) => listJobs(tx, {}, undefined, 10))
    assert.deepEqual(rows.map(({ job_id }) => job_id).sort(), index === 0 ? [...ids].sort() : [ids[index]])
  }
})

test('an input that is larger than may be is refused', async (t) => {
  const { pool } = await withJobs(t)
  const input = { text: 'x'.repeat(jobLimits.inputBytesMax) }
  const refused = { kind: 'refused', reason: 'input_too_large' }
  assert.deepEqual(await addJob(pool, { kind: 'nothing', input, tenant: ownerTenant, by: 'test' }), refused)
})
