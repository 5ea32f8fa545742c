import assert from 'node:assert/strict'
import { test } from 'node:test'

import { parquetReadObjects } from 'hyparquet'
import { compressors } from 'hyparquet-compressors'
import readSheet from 'read-excel-file/node'

import { clickWith, OWNER_KEY, withApi, type TestApi } from './test-api.ts'

const REPORT =
  '/v1/reports?from=2026-11-20&to=2026-11-20&tz=Europe/Berlin&group_by=date,hour,week,weekday,country,click_id&metrics=clicks,cost,cr,uniques&order=country'

async function filled(t: Parameters<typeof withApi>[0]): Promise<TestApi & { readonly ids: readonly string[] }> {
  const api = await withApi(t)
  const at = Date.UTC(2026, 10, 20, 9, 30)
  const clicks = [
    clickWith({ at, country: 'AT', cost_micros: 1_500_000, currency: 'EUR' }),
    clickWith({ at: at + 3_600_000, country: 'DE', cost_micros: 20_000, currency: 'EUR' }),
  ]
  await api.feed(clicks)
  return { ...api, ids: clicks.map(({ click_id }) => click_id) }
}

const fileOf = async (api: TestApi, url: string, headers: Record<string, string> = {}) => {
  const answer = await api.server.inject({ url, headers: { authorization: `Bearer ${OWNER_KEY}`, ...headers } })
  assert.equal(answer.statusCode, 200, answer.body)
  return answer
}

test('a report is answered as CSV, JSON lines, XLSX and Parquet with the same values', async (t) => {
  const api = await filled(t)
  const [first, second] = api.ids
  const csv = await fileOf(api, `${REPORT}&format=csv`)
  assert.equal(
    csv.body,
    `date,hour,week,weekday,country,click_id,clicks,cost,cr,uniques\r\n2026-11-20,2026-11-20T10:00:00+01:00,2026-W47,5,AT,${first},1,1.50,0,1\r\n2026-11-20,2026-11-20T11:00:00+01:00,2026-W47,5,DE,${second},1,0.02,0,1\r\n`,
  )
  assert.equal(csv.headers['content-disposition'], 'attachment; filename="report_date_hour_week_weekday_country_click_id_2026-11-19_2026-11-20.csv"') // prettier-ignore
  const titled = await fileOf(api, `${REPORT}&format=csv&headers=title&byte_order_mark=true`)
  assert.match(titled.body, /^\uFEFFDate,Hour,Week,Weekday,Country,Click,Clicks,Cost,/)
  const lines = (await fileOf(api, `${REPORT}&format=jsonl`)).body.trim().split('\n').map((line) => JSON.parse(line) as object) // prettier-ignore
  assert.deepEqual(lines, (await api.ask(REPORT)).body['rows'])

  const [{ data } = { data: [] as unknown[][] }] = await readSheet(
    (await fileOf(api, `${REPORT}&format=xlsx`)).rawPayload,
  )
  const day = new Date('2026-11-20')
  assert.deepEqual(data[1], [day, new Date('2026-11-20T10:00:00Z'), '2026-W47', 5, 'AT', first, 1, 1.5, 0, 1])

  const { rawPayload: bytes } = await fileOf(api, `${REPORT}&format=parquet`)
  const file = bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.length) as ArrayBuffer
  const rows = (await parquetReadObjects({ file, compressors })).map((row) => ({ ...row, clicks: Number(row['clicks']), uniques: Number(row['uniques']) })) // prettier-ignore
  const values = { date: day, hour: new Date('2026-11-20T09:00:00Z'), week: '2026-W47', weekday: 5, country: 'AT', click_id: first } // prettier-ignore
  assert.deepEqual(rows[0], { ...values, clicks: 1, cost: 1.5, cr: 0, uniques: 1 })
  assert.equal(rows.length, 2)
})

test('the Accept header chooses the format where the parameter does not', async (t) => {
  const api = await filled(t)
  const typeOf = async (accept: string, more = '') =>
    String((await fileOf(api, `${REPORT}${more}`, { accept })).headers['content-type'])
  assert.match(await typeOf('text/csv'), /^text\/csv/)
  assert.match(await typeOf('text/html, application/vnd.apache.parquet;q=0.9'), /parquet/)
  assert.match(await typeOf('application/json, text/csv'), /^application\/json/)
  assert.match(await typeOf('text/csv', '&format=json'), /^application\/json/)
})

test('a file has every row of a report, or as many as its limit says, also more than an answer may have', async (t) => {
  const api = await withApi(t)
  const at = Date.UTC(2026, 10, 20, 9, 30)
  const query = `INSERT INTO clicks (at, click_id, class, outcome, advertiser_id, sub1)
    SELECT fromUnixTimestamp64Milli(${at}), generateUUIDv4(), 'click', 'redirected', 'acme', toString(number) FROM numbers(12000)`
  await api.facts.command({ query })
  const report = '/v1/reports?from=2026-11-20&to=2026-11-20&group_by=sub1&metrics=clicks&order=sub1'
  const rowsOf = async (more: string) =>
    (await fileOf(api, `${report}&${more}`)).body.trimEnd().split('\r\n').length - 1
  assert.equal(await rowsOf('format=csv'), 12_000)
  assert.equal(await rowsOf('format=csv&limit=11000'), 11_000)
  assert.equal(await rowsOf('format=csv&offset=11990'), 10)
  const { body } = await api.ask(report)
  assert.deepEqual([body['total_rows'], body['is_truncated'], (body['rows'] as unknown[]).length], [12_000, true, 100])
  const refused = await api.ask(`${report}&limit=11000`)
  assert.deepEqual([refused.status, (refused.body['error'] as { path: string }).path], [400, 'limit'])
})

test('what cannot be answered is an error and no file, whatever the format', async (t) => {
  const api = await withApi(t)
  const wrong = await api.ask('/v1/reports?format=csv&group_by=planet')
  assert.deepEqual([wrong.status, (wrong.body['error'] as { path: string }).path], [400, 'group_by'])
  assert.equal((await api.ask('/v1/reports?format=doc')).status, 400)
  const key = await api.keyFor({ role: 'affiliate', affiliate_id: 'anna' })
  assert.equal((await api.ask('/v1/reports?format=csv&metrics=cost', { key })).status, 403)
  assert.equal((await api.ask('/v1/reports?format=csv&metrics=clicks&group_by=date', { key })).text, 'date,clicks\r\n')
})
