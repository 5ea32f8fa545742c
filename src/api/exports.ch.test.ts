import assert from 'node:assert/strict'
import { readdirSync } from 'node:fs'
import { test, type TestContext } from 'node:test'
import { gunzipSync } from 'node:zlib'

import { parquetReadObjects } from 'hyparquet'
import { compressors } from 'hyparquet-compressors'
import readSheet from 'read-excel-file/node'

import type { Tenant } from '#accounts'
import { exportJob, exportLimits, type ExportLimits } from '#exports'
import { startJobs } from '#jobs'
import { createLogLines } from '#platform/log-lines'
import { withTempDir } from '#test-kit'

import { openListedLog } from './listed-logs.ts'
import { readRange } from './routes/exports.ts'
import { readReport, type AskedQuery } from './routes/reports.ts'
import { clickWith, globexPlace, postbackWith, withApi, type Answer, type TestApi } from './test-api.ts'

type Export = {
  readonly job_id: string
  readonly state: string
  readonly error: { readonly code: string } | null
  readonly rows: number
  readonly currency: string | null
  readonly other_currencies: readonly string[] | null
  readonly bytes: number
  readonly done: number
  readonly total: number
  readonly file_name: string
  readonly download: { readonly url: string } | null
}

async function withExports(
  t: TestContext,
  limits: Partial<ExportLimits> = {},
): Promise<TestApi & { readonly directory: string }> {
  const stops: (() => Promise<void>)[] = []
  t.after(async () => {
    for (const stop of stops) await stop()
  })
  const directory = withTempDir(t)
  const api = await withApi(t, { exportsDirectory: directory })
  const defaultsFor = () => ({ timezone: 'UTC', currency: 'USD', nowMs: api.clock.now() })
  const snapshots = { current: () => undefined, isFresh: () => true }
  const readReportOf = (tenant: Tenant, query: AskedQuery) => readReport({ ...api, snapshots }, tenant, query)
  const kind = exportJob({
    facts: api.facts,
    directory,
    defaultsFor,
    readReport: readReportOf,
    openList: (tenant, input) => openListedLog({ ...api, snapshots }, tenant, input),
    limits: { ...exportLimits, attemptsMax: 1, ...limits },
  })
  stops.push(startJobs({ pool: api.pool, kinds: [kind], logLines: createLogLines('test', 'silent') }).stop)
  return { ...api, directory }
}

async function exported(api: TestApi, body: object, key?: string): Promise<Export> {
  const begun = await api.ask('/v1/exports', { method: 'POST', body, key })
  assert.equal(begun.status, 201, begun.text)
  return ended(api, (begun.body as unknown as Export).job_id, key)
}

async function ended(api: TestApi, jobId: string, key?: string): Promise<Export> {
  for (;;) {
    const answer = await api.ask(`/v1/exports/${jobId}`, { key })
    const found = answer.body as unknown as Export
    if (!['queued', 'running'].includes(found.state)) return found
    await new Promise((resolve) => setImmediate(resolve))
  }
}

const download = (api: TestApi, { download: link }: Export, key = ''): Promise<Answer> => api.ask(link!.url, { key })
const bytesOf = async (api: TestApi, { download: link }: Export): Promise<Buffer> =>
  (await api.server.inject({ url: link!.url })).rawPayload

test('clicks are exported as CSV, JSON lines and Parquet, compressed or not, and fetched without a key', async (t) => {
  const api = await withExports(t)
  const lamp = clickWith({
    sub1: '=1+1',
    sub3: 'a "b",\r\nc',
    cost_micros: 50_000,
    currency: 'EUR',
    sub2_keys: { geo: 'TR' },
  })
  const car = clickWith({ ...globexPlace, country: 'PL' })
  await api.feed([lamp, car])
  const columns = ['at', 'click_id', 'country', 'sub1', 'sub3', 'cost', 'asn', 'is_proxy', 'sub2_keys']
  const question = { log: 'clicks', columns, filters: { advertiser_id: ['acme'] } }
  const at = new Date(lamp.at).toISOString()

  const csv = await exported(api, { ...question, headers: 'title' })
  assert.deepEqual([csv.state, csv.rows, csv.done, csv.total], ['done', 1, 1, 1])
  const answer = await download(api, csv)
  assert.deepEqual(
    [answer.status, answer.headers['content-type'], answer.headers['content-disposition']],
    [200, 'text/csv; charset=utf-8', `attachment; filename="${csv.file_name}"`],
  )
  assert.equal(answer.text.length, csv.bytes)
  assert.equal(
    answer.text,
    `Time,Click,Country,Sub 1,Sub 3,Cost,ASN,Proxy,Sub 2 keys\r\n"${at}","${lamp.click_id}","DE","'=1+1","a ""b"",\r\nc","0.05",0,false,"{""geo"":""TR""}"\r\n`,
  )
  const marked = await exported(api, { ...question, byte_order_mark: true, gzip: true })
  assert.match(marked.file_name, /^clicks_.*\.csv\.gz$/)
  assert.ok(gunzipSync(await bytesOf(api, marked)).toString('utf8').startsWith('\uFEFFat,click_id,')) // prettier-ignore

  const json = JSON.parse((await download(api, await exported(api, { ...question, format: 'jsonl' }))).text) as object
  const values = {
    at,
    click_id: lamp.click_id,
    country: 'DE',
    sub1: '=1+1',
    sub3: 'a "b",\r\nc',
    asn: 0,
    is_proxy: false,
  }
  assert.deepEqual(json, { ...values, cost: '0.05', sub2_keys: { geo: 'TR' } })

  const bytes = await bytesOf(api, await exported(api, { ...question, format: 'parquet' }))
  const file = bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.length) as ArrayBuffer
  const rows = await parquetReadObjects({ file, compressors })
  // The amount is a decimal in the file; the reader makes a number of it that is not quite that.
  const read = rows.map((row) => ({ ...row, cost: Math.round(Number(row['cost']) * 1e6) }))
  assert.deepEqual(read, [{ ...values, at: new Date(at), cost: 50_000, sub2_keys: '{"geo":"TR"}' }])
})

test('an export of a report says its currency and those that are not in it', async (t) => {
  const api = await withExports(t)
  await api.feed([
    clickWith({ cost_micros: 1_000_000, currency: 'EUR' }),
    clickWith({ cost_micros: 1_000_000, currency: 'PLN' }),
  ])
  const money = { from: '2026-11-20', to: '2026-11-20', metrics: ['cost'], currency: 'EUR' }
  for (const format of ['csv', 'parquet']) {
    const amounts = await exported(api, { report: money, format })
    assert.deepEqual([amounts.currency, amounts.other_currencies], ['EUR', ['PLN']], format)
  }
})

test('reports are exported in every format, and logs as XLSX too', async (t) => {
  const api = await withExports(t)
  const clicks = [clickWith({ country: 'DE', sub1: '=1' }), clickWith({ country: 'DE' }), clickWith({ country: 'AT' })]
  await api.feed(clicks)
  const report = { from: '2026-11-20', to: '2026-11-20', group_by: ['country'], metrics: ['clicks'], order: '-clicks' }
  const csv = await exported(api, { report })
  assert.deepEqual([csv.state, csv.rows, csv.done], ['done', 2, 2])
  assert.equal(csv.file_name, 'report_country_2026-11-20_2026-11-21.csv')
  assert.equal((await download(api, csv)).text, 'country,clicks\r\nDE,2\r\nAT,1\r\n')
  const [sheet] = await readSheet(
    await bytesOf(api, await exported(api, { report: { ...report, limit: 1 }, format: 'xlsx', headers: 'title' })),
  )
  assert.deepEqual(sheet!.data, [['Country', 'Clicks'], ['DE', 2]]) // prettier-ignore
  const parquet = await exported(api, { report, format: 'parquet' })
  assert.deepEqual([parquet.state, parquet.rows], ['done', 2])
  const zipped = await exported(api, { report, format: 'jsonl', gzip: true })
  assert.equal(
    gunzipSync(await bytesOf(api, zipped)).toString(),
    '{"country":"DE","clicks":2}\n{"country":"AT","clicks":1}\n',
  )
  const log = await exported(api, { log: 'clicks', columns: ['at', 'sub1', 'country', 'cost'], format: 'xlsx' })
  assert.deepEqual([log.currency, log.other_currencies], [null, null])
  const [rows] = await readSheet(await bytesOf(api, log))
  assert.equal(log.rows, 3)
  const expected = clicks.map(({ at, sub1, country }) => [new Date(at), sub1 ?? null, country, 0])
  assert.deepEqual(new Set(rows!.data.slice(1)), new Set(expected))
})

test('what came in and what was sent are exported: every row, or those of some clicks', async (t) => {
  const api = await withExports(t)
  const clicks = Array.from({ length: 1_203 }, (_, index) => clickWith({ country: index % 3 === 0 ? 'DE' : 'AT' }))
  await api.feed([...clicks, ...clicks.map(({ click_id }) => postbackWith(click_id, { raw_goal: 'lead', amount_micros: 1_500_000, currency: 'EUR' }))])
  const linesOf = async (made: Export) => (await bytesOf(api, made)).toString('utf8').trim().split('\n').map((line) => JSON.parse(line) as Record<string, unknown>) // prettier-ignore
  for (const [log, id, perClick] of [['inbound-postbacks', 'postback_id', 1], ['deliveries', 'delivery_id', 2]] as const) {
    const question = { log, columns: ['click_id', id], format: 'jsonl' }
    const all = await exported(api, question)
    assert.deepEqual([all.state, all.rows], ['done', perClick * clicks.length], JSON.stringify(all.error))
    const rows = await linesOf(all)
    assert.deepEqual(Object.keys(rows[0]!), ['click_id', id])
    assert.equal(new Set(rows.map((row) => row[id])).size, perClick * clicks.length)
    const some = await linesOf(await exported(api, { ...question, filters: { country: ['DE'] } }))
    assert.deepEqual(new Set(some.map((row) => row['click_id'])), new Set(clicks.filter(({ country }) => country === 'DE').map(({ click_id }) => click_id))) // prettier-ignore
  }
  const own = await exported(api, { log: 'deliveries', filters: { endpoint_id: ['annas-tracker'] }, headers: 'title', gzip: true })
  const text = gunzipSync(await bytesOf(api, own)).toString('utf8')
  assert.match(text, /^Delivery,Created,Endpoint,/)
  assert.equal(own.rows, clicks.length)
  const sheet = await exported(api, { log: 'inbound-postbacks', columns: ['received_at', 'amount'], format: 'xlsx' })
  const [, first] = (await readSheet(await bytesOf(api, sheet)))[0]!.data
  assert.deepEqual([first![0] instanceof Date, first![1]], [true, 1.5])
  assert.equal(sheet.file_name, 'inbound-postbacks.xlsx')
}) // prettier-ignore

test('a question about what came in or was sent that cannot be answered is refused before it is queued', async (t) => {
  const api = await withExports(t)
  for (const [body, path] of [
    [{ log: 'deliveries', format: 'parquet' }, 'format'],
    [{ log: 'deliveries', filters: { endpoint_id: ['a', 'b'] } }, 'filters.endpoint_id'],
    [{ log: 'deliveries', filters: { http_status: ['often'] } }, 'filters.http_status'],
    [{ log: 'deliveries', columns: ['sub1'] }, 'columns'],
    [{ log: 'inbound-postbacks', filters: { planet: ['Mars'] } }, 'planet'],
    [{ log: 'inbound-postbacks', from: 'yesterday' }, 'from'],
  ] as const) {
    const answer = await api.ask('/v1/exports', { method: 'POST', body })
    assert.deepEqual([answer.status, (answer.body['error'] as { path?: string }).path], [400, path], answer.text)
  }
  const key = await api.keyFor({ role: 'affiliate', affiliate_id: 'anna' })
  const refused = await api.ask('/v1/exports', { method: 'POST', key, body: { log: 'inbound-postbacks' } })
  assert.equal(refused.status, 403)
})

test('a sheet that would be too long is refused', async (t) => {
  const api = await withExports(t, { xlsxRowsMax: 1 })
  await api.feed([clickWith({ country: 'DE' }), clickWith({ country: 'AT' })])
  const { state, error } = await exported(api, { log: 'clicks', format: 'xlsx' })
  assert.deepEqual([state, error?.code], ['failed', 'export_too_large'])
})

test("an export holds the tenant's own rows and columns only, and another tenant finds nothing of it", async (t) => {
  const api = await withExports(t)
  await api.feed([clickWith(), clickWith({ ...globexPlace })])
  const key = await api.keyFor({ role: 'affiliate', affiliate_id: 'anna', advertiser_id: 'acme' })
  const own = await exported(api, { log: 'clicks' }, key)
  assert.equal(own.rows, 1)
  const [head] = (await download(api, own)).text.split('\r\n')
  assert.doesNotMatch(head!, /cost|fraud|visitor/)
  const refused = await api.ask('/v1/exports', { method: 'POST', key, body: { log: 'clicks', columns: ['cost'] } })
  assert.equal(refused.status, 403)
  const other = await api.keyFor({ role: 'advertiser', advertiser_id: 'acme' })
  assert.equal((await api.ask(`/v1/exports/${own.job_id}`, { key: other })).status, 404)
})

test('a link is for one export and for a time, and its file can be fetched in ranges', async (t) => {
  const api = await withExports(t)
  await api.feed([clickWith(), clickWith()])
  const done = await exported(api, { log: 'clicks', columns: ['click_id'] })
  const { url } = done.download!
  const whole = await api.server.inject({ url })
  const part = await api.server.inject({ url, headers: { range: 'bytes=4-9' } })
  assert.deepEqual([part.statusCode, part.body], [206, whole.body.slice(4, 10)])
  assert.equal(part.headers['content-range'], `bytes 4-9/${whole.body.length}`)
  const again = { range: 'bytes=4-', 'if-range': String(whole.headers['etag']) }
  assert.equal((await api.server.inject({ url, headers: again })).body, whole.body.slice(4))
  const changed = { ...again, 'if-range': '"other"' }
  assert.equal((await api.server.inject({ url, headers: changed })).statusCode, 200)
  assert.equal((await api.server.inject({ url, headers: { range: 'bytes=9999-' } })).statusCode, 416)
  const other = await exported(api, { log: 'clicks', columns: ['click_id'] })
  assert.equal((await api.ask(url.replace(done.job_id, other.job_id))).status, 404)
  assert.equal((await api.ask(url.replace(/expires=\d+/, 'expires=99999999999999'))).status, 404)
  api.clock.advance(exportLimits.linkSeconds * 1_000)
  const late = await api.ask(url)
  assert.deepEqual([late.status, (late.body['error'] as { code: string }).code], [410, 'link_expired'])
})

test('ranges are read as RFC 9110 says', () => {
  assert.deepEqual(readRange('bytes=0-0', 10), { start: 0, end: 0 })
  assert.deepEqual(readRange('bytes=-3', 10), { start: 7, end: 9 })
  assert.deepEqual(readRange('bytes=5-99', 10), { start: 5, end: 9 })
  for (const text of [undefined, 'bytes=-', 'items=1-2', 'bytes=1-2,4-5', 'bytes=5-2'])
    assert.equal(readRange(text, 10), 'whole')
  for (const text of ['bytes=10-', 'bytes=-0']) assert.equal(readRange(text, 10), 'outside')
})

test('a file is removed when it is deleted or its time is over, and its link leads nowhere then', async (t) => {
  const api = await withExports(t)
  await api.feed([clickWith()])
  const done = await exported(api, { log: 'clicks', columns: ['click_id'] })
  assert.equal(readdirSync(api.directory).length, 1)
  const gone = await api.ask(`/v1/exports/${done.job_id}`, { method: 'DELETE' })
  assert.equal(gone.status, 200)
  const linkOf = async () => (await api.ask(`/v1/exports/${done.job_id}`)).body['download']
  while ((await linkOf()) !== null) await new Promise((resolve) => setImmediate(resolve))
  assert.deepEqual(readdirSync(api.directory), [])
  assert.equal((await download(api, done)).status, 404)
})

test('a cancel ends an export in the middle and leaves no file', async (t) => {
  const api = await withExports(t)
  await api.facts.command({
    query: `INSERT INTO clicks (at, click_id, class, outcome, advertiser_id, sub1)
      SELECT toDateTime64('2026-11-19 00:00:00', 3, 'UTC'), generateUUIDv4(), 'click', 'redirected', 'acme', repeat('x', 500) FROM numbers(400000)`,
  })
  const begun = await api.ask('/v1/exports', { method: 'POST', body: { log: 'clicks', format: 'jsonl' } })
  const { job_id: jobId } = begun.body as unknown as Export
  while (!readdirSync(api.directory).some((name) => name.endsWith('.part')))
    await new Promise((resolve) => setImmediate(resolve))
  await api.ask(`/v1/jobs/${jobId}/cancel`, { method: 'POST' })
  assert.equal((await ended(api, jobId)).state, 'cancelled')
  while (readdirSync(api.directory).length > 0) await new Promise((resolve) => setImmediate(resolve))
})

test('an export that is larger than may be, or for which the disk has no room, ends with its reason and leaves no file', async (t) => {
  const small = await withExports(t, { fileBytesMax: 100 })
  await small.feed([clickWith(), clickWith(), clickWith()])
  assert.equal((await exported(small, { log: 'clicks', format: 'csv' })).error?.code, 'export_too_large')
  while (readdirSync(small.directory).length > 0) await new Promise((resolve) => setImmediate(resolve))
  for (const limits of [{ freeBytesMin: 1e18 }, { totalBytesMax: -1 }]) {
    const full = await withExports(t, limits)
    const { state, error } = await exported(full, { log: 'clicks' })
    assert.deepEqual([state, error?.code], ['failed', 'disk_full'])
  }
})

test('a question that cannot be answered is refused before it is queued', async (t) => {
  const api = await withExports(t)
  for (const [body, path] of [
    [{ log: 'clicks', format: 'parquet', gzip: true }, 'gzip'],
    [{ log: 'clicks', columns: ['nothing'] }, 'columns'],
    [{}, 'log'],
    [{ log: 'clicks', report: {} }, 'log'],
    [{ report: {}, filter: 'country is DE' }, 'filter'],
    [{ report: { group_by: ['planet'] } }, 'group_by'],
    [{ log: 'clicks', filters: { planet: ['mars'] } }, 'planet'],
    [{ log: 'clicks', filter: 'country is' }, 'filter'],
  ] as const) {
    const answer = await api.ask('/v1/exports', { method: 'POST', body })
    assert.deepEqual([answer.status, (answer.body['error'] as { path: string }).path], [400, path], answer.text)
  }
  const { rows } = await api.pool.query('SELECT FROM jobs')
  assert.equal(rows.length, 0)
})
