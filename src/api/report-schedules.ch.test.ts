import assert from 'node:assert/strict'
import { test, type TestContext } from 'node:test'

import { findJob, startJobs } from '#jobs'
import { createLogLines } from '#platform/log-lines'
import { queueDueRuns, scheduledReportJob, tidyRuns, type WriteReport } from '#saved-reports'

import { savedReportWriter } from './saved-report-run.ts'
import { clickWith, NOW_MS, OWNER_KEY, withApi, type Answer, type TestApi } from './test-api.ts'
import { followSnapshots } from '#snapshots'
import { WaypostError } from '#platform/errors'
import { systemClock } from '#platform/clock'
import { withTempDir } from '#test-kit'

const HOUR_MS = 3_600_000
const codeOf = ({ status, body }: Answer) => (status < 400 ? status : (body['error'] as { code: string }).code)

type Installation = TestApi & {
  readonly key: string
  readonly post: (path: string, body?: object, key?: string) => Promise<Answer>
  /** Does the jobs that wait, and returns when none is left. */
  readonly work: (write?: WriteReport) => Promise<void>
  readonly writeNow: WriteReport
  readonly runsOf: (scheduleId: string) => Promise<readonly Record<string, unknown>[]>
}

async function withSchedules(t: TestContext): Promise<Installation> {
  const stops: (() => Promise<unknown>)[] = []
  t.after(async () => {
    for (const stop of stops) await stop()
  })
  const api = await withApi(t)
  const key = await api.keyFor({ role: 'advertiser', advertiser_id: 'acme' }, ['read', 'write'])
  const logLines = createLogLines('test', 'silent')
  const snapshots = followSnapshots({ databaseUrl: api.databaseUrl, cacheFile: `${withTempDir(t)}/snapshot.json`, logLines, clock: systemClock }) // prettier-ignore
  stops.push(() => snapshots.stop())
  await snapshots.firstLook()
  const writeNow = savedReportWriter({ ...api, snapshots })
  return {
    ...api,
    key,
    writeNow,
    post: (path, body = {}, by = key) => api.ask(path, { key: by, method: 'POST', body }),
    work: async (write: WriteReport = writeNow) => {
      const jobs = startJobs({ pool: api.pool, logLines, kinds: [scheduledReportJob({ ...api, write })] })
      const { rows } = await api.pool.query<{ job_id: string }>(`SELECT job_id FROM jobs WHERE state = 'queued'`)
      for (const { job_id } of rows)
        while (['queued', 'running'].includes((await findJob(api.pool, job_id))!.state))
          await new Promise((resolve) => setImmediate(resolve))
      await jobs.stop()
    },
    runsOf: async (scheduleId) =>
      (await api.ask(`/v1/report-schedules/${scheduleId}/runs`, { key })).body['items'] as Record<string, unknown>[],
  }
}

/** A report of yesterday, every day at six in Berlin. */
async function daily(api: Installation, more: object = {}): Promise<string> {
  const query = { group_by: ['sub1'], metrics: ['clicks'] }
  const saved = await api.post('/v1/saved-reports', { name: 'Täglich: by sub1', range: 'yesterday', query })
  const { saved_report_id } = saved.body
  const made = await api.post('/v1/report-schedules', { saved_report_id, cron: '0 6 * * *', timezone: 'Europe/Berlin', ...more }) // prettier-ignore
  assert.equal(made.status, 201, made.text)
  assert.equal(made.body['next_at'], '2026-11-21T05:00:00.000Z')
  return made.body['schedule_id'] as string
}

test('a schedule makes a file at its moment, tells of it, and the file opens by its link until it expires', async (t) => {
  const api = await withSchedules(t)
  // Yesterday as seen from the moment, in the zone of the report.
  await api.feed([clickWith({ sub1: 'a' }), clickWith({ sub1: 'a' }), clickWith({ sub1: '=1+1,"x"' })])
  const scheduleId = await daily(api)
  assert.equal(await queueDueRuns(api.pool, NOW_MS), 0)
  const dueMs = Date.UTC(2026, 10, 21, 5)
  api.clock.advance(dueMs - NOW_MS + 60_000)
  assert.equal(await queueDueRuns(api.pool, api.clock.now()), 1)
  await api.work()
  const [run] = await api.runsOf(scheduleId)
  assert.deepEqual([run?.['state'], run?.['due_at'], run?.['rows'], run?.['missed'], run?.['error']], ['done', '2026-11-21T05:00:00.000Z', 2, 0, null]) // prettier-ignore
  assert.deepEqual([run?.['currency'], run?.['other_currencies']], ['EUR', []])
  const file = run?.['file'] as { name: string; path: string }
  assert.equal(file.name, 'Taglich-by-sub1-2026-11-21T0500Z.csv')
  const opened = await api.ask(file.path, { key: '' })
  assert.equal(opened.text, '\uFEFFsub1,clicks\r\na,2\r\n"\'=1+1,""x""",1\r\n')
  assert.equal(opened.headers['content-disposition'], `attachment; filename="${file.name}"`)
  const notices = (await api.ask('/v1/notices', { key: api.key })).body['items'] as {
    kind: string
    details: { path: string }
  }[]
  assert.deepEqual(notices.map(({ kind }) => kind), ['report_ready']) // prettier-ignore
  assert.equal((await api.ask(notices[0]!.details.path, { key: '' })).text, opened.text)
  const { next_at } = (await api.ask(`/v1/report-schedules/${scheduleId}`, { key: api.key })).body
  assert.equal(next_at, '2026-11-22T05:00:00.000Z')
  api.clock.advance(14 * 24 * HOUR_MS)
  assert.equal(codeOf(await api.ask(file.path, { key: '' })), 'not_found')
  await tidyRuns(api.pool, api.clock.now())
  const left = await api.pool.query(`SELECT FROM scheduled_runs WHERE content IS NOT NULL`)
  assert.equal(left.rowCount, 0)
})

test('what passed while nothing ran is made once, as of its last moment', async (t) => {
  const api = await withSchedules(t)
  const scheduleId = await daily(api, { format: 'json' })
  const moments: number[] = []
  const answer: WriteReport = async (_tenant, _report, { atMs }) => {
    moments.push(atMs)
    return { rows: 0, contentType: 'text/csv', content: Buffer.alloc(0), currency: 'EUR', other_currencies: [] }
  }
  await queueDueRuns(api.pool, Date.UTC(2026, 10, 25, 12))
  assert.equal(await queueDueRuns(api.pool, Date.UTC(2026, 10, 25, 12)), 0)
  await api.work(answer)
  const runs = await api.runsOf(scheduleId)
  assert.deepEqual(runs.map(({ due_at, missed }) => [due_at, missed]), [['2026-11-25T05:00:00.000Z', 4]]) // prettier-ignore
  assert.deepEqual(moments, [Date.UTC(2026, 10, 25, 5)])
})

test('processes that look at the same moment make one run of it', async (t) => {
  const api = await withSchedules(t)
  const schedules = await Promise.all([daily(api), daily(api), daily(api)])
  const dueMs = Date.UTC(2026, 10, 21, 6)
  await Promise.all(Array.from({ length: 6 }, () => queueDueRuns(api.pool, dueMs)))
  for (const id of schedules) assert.equal((await api.runsOf(id)).length, 1)
  // A process that comes back with the moment of before finds it taken.
  await api.pool.query(`UPDATE report_schedules SET next_at = '2026-11-21T05:00:00Z'`)
  await queueDueRuns(api.pool, dueMs)
  const { rows } = await api.pool.query<{ runs: number; jobs: number }>(
    `SELECT (SELECT count(*)::int FROM scheduled_runs) AS runs, (SELECT count(*)::int FROM jobs) AS jobs`,
  )
  assert.deepEqual(rows[0], { runs: 3, jobs: 3 })
})

test('stops by itself after failures in a row, with a notice, and goes on when it is resumed', async (t) => {
  const api = await withSchedules(t)
  const scheduleId = await daily(api)
  const refuse: WriteReport = () => Promise.reject(new WaypostError('query_too_expensive'))
  for (let day = 21; day <= 26; day++) {
    await queueDueRuns(api.pool, Date.UTC(2026, 10, day, 6))
    await api.work(refuse)
  }
  const stopped = (await api.ask(`/v1/report-schedules/${scheduleId}`, { key: api.key })).body
  assert.deepEqual([stopped['state'], stopped['failures'], stopped['next_at']], ['failed', 5, null])
  const runs = await api.runsOf(scheduleId)
  assert.equal(runs.length, 5)
  assert.equal((runs[0]?.['error'] as { code: string } | undefined)?.code, 'query_too_expensive')
  const notices = (await api.ask('/v1/notices', { key: api.key })).body['items'] as { kind: string }[]
  assert.deepEqual(notices.map(({ kind }) => kind), ['schedule_stopped']) // prettier-ignore
  const resumed = await api.post(`/v1/report-schedules/${scheduleId}/resume`)
  assert.deepEqual([resumed.body['state'], resumed.body['failures'], resumed.body['next_at']], ['active', 0, '2026-11-21T05:00:00.000Z']) // prettier-ignore
  const paused = await api.post(`/v1/report-schedules/${scheduleId}/pause`)
  assert.deepEqual([paused.body['state'], paused.body['next_at']], ['paused', null])
  assert.equal(await queueDueRuns(api.pool, Date.UTC(2026, 10, 30)), 0)
})

test('runs with the rights of the key that made it, and not when that key was ended', async (t) => {
  const api = await withSchedules(t)
  const scheduleId = await daily(api)
  await api.pool.query(`UPDATE api_keys SET revoked_at = now() WHERE advertiser_id = 'acme'`)
  await queueDueRuns(api.pool, Date.UTC(2026, 10, 21, 6))
  await api.work()
  const { rows } = await api.pool.query<{ state: string; error: string }>('SELECT state, error FROM scheduled_runs')
  assert.equal(rows[0]?.state, 'failed')
  assert.match(rows[0]?.error ?? '', /key that made this schedule was ended/)
  assert.equal(codeOf(await api.ask(`/v1/report-schedules/${scheduleId}`, { key: OWNER_KEY })), 200)
})

test('a run whose job was cancelled has failed', async (t) => {
  const api = await withSchedules(t)
  const scheduleId = await daily(api)
  await queueDueRuns(api.pool, Date.UTC(2026, 10, 21, 6))
  await api.pool.query(`UPDATE jobs SET state = 'cancelled', finished_at = now()`)
  await tidyRuns(api.pool, Date.UTC(2026, 10, 21, 6))
  const [run] = await api.runsOf(scheduleId)
  assert.deepEqual([run?.['state'], (run?.['error'] as { code: string } | undefined)?.code], ['failed', 'cancelled'])
})

test('belongs to the key that made it, and says what is wrong with a schedule', async (t) => {
  const api = await withSchedules(t)
  const scheduleId = await daily(api)
  const other = await api.keyFor({ role: 'advertiser', advertiser_id: 'acme' }, ['read', 'write'])
  for (const path of ['', '/runs']) assert.equal(codeOf(await api.ask(`/v1/report-schedules/${scheduleId}${path}`, { key: other })), 'not_found') // prettier-ignore
  assert.equal(
    codeOf(await api.ask(`/v1/report-schedules/${scheduleId}`, { key: other, method: 'DELETE' })),
    'not_found',
  )
  const listed = await api.ask('/v1/report-schedules', { key: OWNER_KEY })
  const { saved_report_id } = (listed.body['items'] as { saved_report_id: string }[])[0]!
  for (const [more, path] of [
    [{ cron: '* * * * *' }, 'cron'],
    [{ cron: 'every day' }, 'cron'],
    [{ timezone: 'Mars/Olympus' }, 'timezone'],
    [{ format: 'pdf' }, 'format'],
    [{ keep_days: 91 }, 'keep_days'],
    [{ saved_report_id: '0199a0aa-0000-7000-8000-000000000000' }, 'saved_report_id'],
  ] as const) {
    const answer = await api.post('/v1/report-schedules', { saved_report_id, cron: '0 6 * * *', ...more })
    assert.deepEqual([answer.status, (answer.body['error'] as { path?: string }).path], [400, path], answer.text)
  }
  const theirs = await api.post('/v1/report-schedules', { saved_report_id, cron: '0 6 * * *' }, other)
  assert.equal(theirs.status, 400)
  assert.equal((await api.ask(`/v1/report-schedules/${scheduleId}`, { key: api.key, method: 'DELETE' })).status, 200)
  assert.equal(codeOf(await api.ask(`/v1/report-schedules/${scheduleId}`, { key: api.key })), 'not_found')
})

test('a file is what its format says, and no larger than may be kept', async (t) => {
  const api = await withSchedules(t)
  await api.feed([clickWith({ sub1: 'a' })])
  const starts = { csv: '\uFEFFsub1,clicks\r\na,1\r\n', json: '{"from":"2026-11-19T23:00:00.000Z"', jsonl: '{"sub1":"a","clicks":1}\n', xlsx: 'PK', parquet: 'PAR1' } // prettier-ignore
  const ids = await Promise.all(Object.keys(starts).map((format) => daily(api, { format })))
  await queueDueRuns(api.pool, Date.UTC(2026, 10, 21, 6))
  await api.work()
  for (const [index, [format, start]] of Object.entries(starts).entries()) {
    const [run] = await api.runsOf(ids[index]!)
    assert.deepEqual([run?.['state'], run?.['rows']], ['done', 1], format)
    const { path, name } = (run?.['file'] ?? {}) as { path: string; name: string }
    assert.ok(name.endsWith(`.${format}`))
    const { text } = await api.ask(path, { key: '' })
    assert.equal(text.slice(0, start.length), start)
  }
  await queueDueRuns(api.pool, Date.UTC(2026, 10, 22, 6))
  await api.work((tenant, report, options) => api.writeNow(tenant, report, { ...options, bytesMax: 8 }))
  for (const [index, format] of Object.keys(starts).entries()) {
    // The day after has no rows, and without a head that is no bytes.
    if (format === 'jsonl') continue
    const [run] = await api.runsOf(ids[index]!)
    assert.equal((run?.['error'] as { code: string } | undefined)?.code, 'query_too_expensive')
  }
})
