import assert from 'node:assert/strict'
import { test } from 'node:test'

import { exportJob } from '#exports'
import { createLogLines } from '#platform/log-lines'
import { findJob, startJobs, type JobRow } from '#jobs'
import { fixedClock } from '#platform/clock'
import { newClickId } from '#platform/ids'
import { policiesOf, retentionJobKinds } from '#retention'
import { withTempDir } from '#test-kit'

import { openListedLog } from './listed-logs.ts'
import { readReport } from './routes/reports.ts'
import { clickWith, withApi, type TestApi } from './test-api.ts'

const DAY_MS = 86_400_000

/** An installation that keeps raw facts for seven days, asked thirty days later. */
async function withOldFacts(t: Parameters<typeof withApi>[0]): Promise<TestApi & { readonly runExports: () => void }> {
  // Hooks run in the order of their registration: jobs end before the database.
  const running: ReturnType<typeof startJobs>[] = []
  t.after(() => Promise.all(running.map((jobs) => jobs.stop())))
  const places = { directory: withTempDir(t), s3: undefined }
  const byDefault = { rawDays: 7, archive: 'files' } as const
  const api = await withApi(t, { retention: { places, byDefault } })
  await api.feed([clickWith({ sub1: 'one' }), clickWith({ sub1: 'two' }), clickWith({ sub1: 'two' })])
  api.clock.advance(30 * DAY_MS)
  const { pool, facts } = api
  const clock = fixedClock(api.clock.now())
  const tools = { pool, facts, places, clock, graceMs: 0, policies: () => policiesOf(byDefault, []) }
  const logLines = createLogLines('test', 'silent')
  running.push(startJobs({ pool, logLines, kinds: retentionJobKinds(tools) }))
  const snapshots = { current: () => undefined, isFresh: () => true }
  const exports = exportJob({
    ...{
      facts,
      directory: withTempDir(t),
      readReport: (tenant, query) => readReport({ pool, clock, snapshots }, tenant, query),
      openList: (tenant, input) => openListedLog({ pool, facts, clock, snapshots }, tenant, input),
    },
    defaultsFor: () => ({ timezone: 'UTC', currency: 'USD', nowMs: clock.now() }),
  })
  return { ...api, runExports: () => void running.push(startJobs({ pool, logLines, kinds: [exports] })) }
}

/** Waits for the end of a job by looking. */
async function ended({ pool }: TestApi, jobId: unknown): Promise<JobRow> {
  for (;;) {
    const row = await findJob(pool, String(jobId))
    if (row !== undefined && ['done', 'failed', 'cancelled'].includes(row.state)) return row
    await new Promise((resolve) => setImmediate(resolve))
  }
}

test('what is due is shown, retired by a job, listed, and put back', async (t) => {
  const api = await withOldFacts(t)
  const { ask } = api
  const due = (await ask('/v1/retention/status')).body['due'] as { day: string; rows: number }[]
  assert.deepEqual(due.map(({ rows }) => rows), [3]) // prettier-ignore
  assert.equal((await ask('/v1/retention?from=0000-01-01')).status, 400)
  const guessed = await ask('/v1/retention/runs', { method: 'POST', body: { dry_run: true } })
  assert.deepEqual([guessed.status, (guessed.body['error'] as { path: string }).path], [400, 'dry_run'])
  const run = await ask('/v1/retention/runs', { method: 'POST', body: {} })
  assert.equal(run.status, 201)
  assert.deepEqual((await ended(api, run.body['job_id'])).result, { planned: 1, dropped: 1, rows: 3 })
  const { items } = (await ask('/v1/retention')).body as { items: Record<string, unknown>[] }
  assert.deepEqual(items.map(({ table, day, state, rows, advertiser_ids }) => ({ table, day, state, rows, advertiser_ids })), [
    { table: 'clicks', day: due[0]!.day, state: 'dropped', rows: 3, advertiser_ids: ['acme'] },
  ]) // prettier-ignore
  const restore = await ask('/v1/retention/restores', { method: 'POST', body: { day: due[0]!.day } })
  assert.deepEqual((await ended(api, restore.body['job_id'])).result, { retirements: 1, rows: 3 })
  const count = await api.facts.query({ query: 'SELECT count() AS n FROM clicks', format: 'JSONEachRow' })
  assert.deepEqual(await count.json(), [{ n: 3 }])
})

test('a report over retired days says what it said before, and of columns that are gone which days it lacks', async (t) => {
  const api = await withOldFacts(t)
  const { ask, keyFor } = api
  const day = new Date(api.clock.now() - 30 * DAY_MS).toISOString().slice(0, 10)
  const path = (rest: string): string => `/v1/reports?from=${day}&to=${day}&metrics=clicks,uniques,sales,cr${rest}`
  const kept = [path('&group_by=date,country,offer_id'), path('&group_by=hour'), path('&filter=country is DE')]
  const lost = [
    path('&group_by=sub1'),
    path('&sub1=two'),
    path('&filter=sub1 is two'),
    path('&group_by=hour&tz=Asia/Kolkata'),
  ]
  const answersOf = async (paths: readonly string[], more = '', key?: string) =>
    Promise.all(paths.map(async (one) => (await ask(encodeURI(one + more), { key })).body))
  const before = [await answersOf(kept), await answersOf(lost)] as const
  await ended(api, (await ask('/v1/retention/runs', { method: 'POST', body: {} })).body['job_id'])
  assert.deepEqual(await answersOf(kept), before[0])
  assert.deepEqual(await answersOf(lost, '&archive=true'), before[1])
  for (const { missing_days } of await answersOf(lost.slice(0, 3)))
    assert.deepEqual(missing_days, [
      { table: 'clicks', from: day, to: day, columns: ['sub1'], why: 'archive_not_asked' },
    ])
  const anna = await keyFor({ role: 'affiliate', affiliate_id: 'anna' })
  const other = await keyFor({ role: 'affiliate', affiliate_id: 'bert' })
  const clicksOf = async (key: string, more = '') => (await answersOf(lost.slice(0, 1), more, key))[0]!['totals']
  assert.deepEqual(await clicksOf(anna, '&archive=true'), before[1][0]!['totals'])
  assert.deepEqual(((await clicksOf(other, '&archive=true')) as { clicks: number }).clicks, 0)
})

test('retention is the business of the owner', async (t) => {
  const { ask, keyFor } = await withApi(t)
  for (const wanted of [
    { role: 'advertiser', advertiser_id: 'acme' },
    { role: 'affiliate', affiliate_id: 'anna' },
  ] as const) {
    const key = await keyFor(wanted, ['read', 'write'])
    assert.equal((await ask('/v1/retention', { key })).status, 403)
    assert.equal((await ask('/v1/retention/status', { key })).status, 403)
    assert.equal((await ask('/v1/retention/runs', { key, method: 'POST', body: {} })).status, 403)
    assert.equal(
      (await ask('/v1/retention/restores', { key, method: 'POST', body: { day: '2026-01-01' } })).status,
      403,
    )
  }
})

test('a day that was never retired cannot be put back', async (t) => {
  const { ask } = await withApi(t)
  const refused = await ask('/v1/retention/restores', { method: 'POST', body: { day: '2026-01-01' } })
  assert.equal(refused.status, 404)
  const wrong = await ask('/v1/retention/restores', { method: 'POST', body: { day: '01.01.2026' } })
  assert.equal(wrong.status, 400)
})

const gone = (day: string, columns: readonly string[], why: string) => [
  { table: 'clicks', from: day, to: day, columns, why },
]

test('answers that are made of raw rows name the days that they lack', async (t) => {
  const api = await withOldFacts(t)
  const { ask, keyFor } = api
  const day = new Date(api.clock.now() - 30 * DAY_MS).toISOString().slice(0, 10)
  const range = { from: day, to: day }
  const click = { of: 'clicks' }
  const questions: readonly (readonly [string, object, string])[] = [
    ['funnel', { steps: [click, { of: 'conversions' }] }, 'click_id'],
    ['funnel', { steps: [{ of: 'events' }, click], mode: 'any' }, 'click_id'],
    ['time-to-convert', {}, 'click_id'],
    ['time-to-convert', { unit: 'visitor' }, 'visitor_code'],
    ['retention', {}, 'visitor_code'],
    ['retention', { first: { of: 'events' } }, 'visitor_code'],
    ['paths', {}, 'click_id'],
    ['paths', { nodes: [{ of: 'events' }], start: click }, 'click_id'],
  ]
  const answersOf = async (key?: string): Promise<readonly unknown[]> => {
    const found: unknown[] = []
    for (const [name, more] of questions) {
      const answer = await ask(`/v1/reports/${name}`, { key, method: 'POST', body: { ...range, ...more } })
      assert.equal(answer.status, 200, answer.text)
      found.push(answer.body['missing_days'])
    }
    const log = await ask(`/v1/logs/clicks?from=${day}&to=${day}&columns=at`, { key })
    return [...found, log.body['missing_days']]
  }
  const none = [...questions.map(() => []), []]
  assert.deepEqual(await answersOf(), none)
  await ended(api, (await ask('/v1/retention/runs', { method: 'POST', body: {} })).body['job_id'])
  const named = [...questions.map(([, , column]) => column), 'click_id'].map((column) => gone(day, [column], 'needs_raw_rows')) // prettier-ignore
  assert.deepEqual(await answersOf(), named)
  assert.deepEqual(await answersOf(await keyFor({ role: 'affiliate', affiliate_id: 'anna' })), named)
  assert.deepEqual(await answersOf(await keyFor({ role: 'advertiser', advertiser_id: 'globex' })), none)
  assert.deepEqual((await ask(`/v1/logs/events?from=${day}&to=${day}`)).body['missing_days'], [])
  const restore = await ask('/v1/retention/restores', { method: 'POST', body: { day } })
  await ended(api, restore.body['job_id'])
  assert.deepEqual(await answersOf(), none)
})

test('a simulation names the days that it lacks, and a click that is not there says whether its day was retired', async (t) => {
  const api = await withOldFacts(t)
  const { ask } = api
  const ms = api.clock.now() - 30 * DAY_MS
  const day = new Date(ms).toISOString().slice(0, 10)
  const from = new Date(ms - DAY_MS).toISOString()
  const to = new Date(ms + DAY_MS).toISOString()
  const simulated = async () =>
    (await ask('/v1/routing/simulate', { method: 'POST', body: { from, to, version: 1 } })).body['missing_days']
  const path = `/v1/clicks/${newClickId(ms)}`
  const whyNot = async () => ((await ask(path)).body['error'] as { detail?: string }).detail
  assert.deepEqual(await simulated(), [])
  assert.equal(await whyNot(), undefined)
  await ended(api, (await ask('/v1/retention/runs', { method: 'POST', body: {} })).body['job_id'])
  assert.deepEqual(await simulated(), gone(day, ['click_id'], 'needs_raw_rows'))
  assert.equal((await ask(path)).status, 404)
  assert.match((await whyNot()) ?? '', new RegExp(`those of ${day} were retired: waypost retention restore ${day}`))
})

test('costs are never moved between clicks because some of them were retired', async (t) => {
  const api = await withOldFacts(t)
  const { ask } = api
  const ms = api.clock.now() - 30 * DAY_MS
  const [before, day] = [ms - DAY_MS, ms].map((at) => new Date(at).toISOString().slice(0, 10))
  const book = async (key: string, amount: number, from: string | undefined, more = '') => {
    const body = { rows: [{ from, to: day, amount }] }
    const { status, body: answer } = await ask(`/v1/costs?key=${key}&tz=UTC&advertiser_id=acme${more}`, { method: 'POST', body }) // prettier-ignore
    return { status, clicks: answer['clicks'], id: answer['import_id'], detail: (answer['error'] as { detail: string } | undefined)?.detail } // prettier-ignore
  }
  const first = await book('october', 3, before)
  assert.deepEqual([first.status, first.clicks], [200, 3])
  await ended(api, (await ask('/v1/retention/runs', { method: 'POST', body: {} })).body['job_id'])
  const corrected = await book('october', 6, before)
  assert.equal(corrected.status, 409)
  assert.match(corrected.detail ?? '', new RegExp(`Clicks of ${day} that bear a part of it were retired`))
  for (const more of ['', '&dry_run=true']) {
    const refused = await book('other', 6, before, more)
    assert.equal(refused.status, 409)
    assert.match(refused.detail ?? '', new RegExp(`^.*Row 1: the clicks of ${day} were retired`))
  }
  const alone = await book('other', 6, day)
  assert.deepEqual([alone.status, alone.clicks], [200, 0])
  const report = await ask(`/v1/reports?from=${before}&to=${day}&tz=UTC&currency=EUR&metrics=imported_cost`)
  assert.deepEqual(report.body['totals'], { imported_cost: '9.00' })
  assert.equal((await ask(`/v1/costs/${String(first.id)}`, { method: 'DELETE' })).status, 200)
})

test('anomalies name the days of which a filter or an explanation needs more than is kept', async (t) => {
  const api = await withOldFacts(t)
  const { ask } = api
  const day = new Date(api.clock.now() - 30 * DAY_MS).toISOString().slice(0, 10)
  await ended(api, (await ask('/v1/retention/runs', { method: 'POST', body: {} })).body['job_id'])
  const missing = async (rest: string): Promise<unknown> => {
    const answer = await ask(encodeURI(`/v1/reports/anomalies?metric=clicks${rest}`))
    assert.equal(answer.status, 200, answer.text)
    return answer.body['missing_days']
  }
  assert.deepEqual(await missing(''), [])
  assert.deepEqual(await missing('&filter=sub1 is two'), gone(day, ['sub1'], 'archive_not_asked'))
  assert.deepEqual(await missing('&filter=sub1 is two&archive=true'), [])
})

test('a file that would lack retired days is refused, with the days and what to do', async (t) => {
  const api = await withOldFacts(t)
  const { ask } = api
  const day = new Date(api.clock.now() - 30 * DAY_MS).toISOString().slice(0, 10)
  const path = (by: string, format: string): string =>
    `/v1/reports?from=${day}&to=${day}&metrics=clicks&group_by=${by}&format=${format}`
  const today = new Date(api.clock.now()).toISOString().slice(0, 10)
  const asLog = (from: string, format = 'csv') => ({ log: 'clicks', format, from, to: from })
  const asReport = (more: object = {}) => ({
    report: { from: day, to: day, metrics: ['clicks'], group_by: ['sub1'], ...more },
  })
  const begin = (body: object) => ask('/v1/exports', { method: 'POST', body })
  await ended(api, (await ask('/v1/retention/runs', { method: 'POST', body: {} })).body['job_id'])
  for (const format of ['csv', 'xlsx', 'parquet']) {
    const refused = [await ask(path('sub1', format)), await begin(asLog(day, format)), await begin({ ...asReport(), format })] // prettier-ignore
    for (const { status, body, text } of refused) {
      assert.deepEqual([status, (body['error'] as { code: string }).code], [409, 'conflict'], text)
      assert.match(text, new RegExp(`of clicks of ${day}.*put the days back`))
    }
    assert.equal((await ask(path('country', format))).status, 200)
    assert.equal((await ask(`${path('sub1', format)}&archive=true`)).status, 200)
    assert.equal((await begin(asLog(today, format))).status, 201)
  }
  assert.equal((await begin(asReport({ group_by: ['country'] }))).status, 201)
  assert.equal((await begin(asReport({ archive: true }))).status, 201)
})

test('an export whose days are retired before it is made ends with the same refusal', async (t) => {
  const api = await withOldFacts(t)
  const { ask, runExports } = api
  const day = new Date(api.clock.now() - 30 * DAY_MS).toISOString().slice(0, 10)
  const report = { from: day, to: day, metrics: ['clicks'], group_by: ['sub1'] }
  const asked = await Promise.all(
    [{ log: 'clicks', from: day, to: day }, { report }, { report: { ...report, archive: true } }].map((body) =>
      ask('/v1/exports', { method: 'POST', body }),
    ),
  )
  await ended(api, (await ask('/v1/retention/runs', { method: 'POST', body: {} })).body['job_id'])
  runExports()
  const jobs = await Promise.all(asked.map(({ body }) => ended(api, body['job_id'])))
  assert.deepEqual(jobs.map(({ state, error_code }) => [state, error_code]), [['failed', 'conflict'], ['failed', 'conflict'], ['done', null]]) // prettier-ignore
  assert.match(jobs[0]!.error!, new RegExp(`of clicks of ${day}.*put the days back`))
})
