import assert from 'node:assert/strict'
import { test } from 'node:test'

import type { ClickId } from '#platform/ids'
import { encodeRecord, subNames, type ClickRecord, type EventRecord } from '#records'
import { withClickHouse } from '#test-kit'

import {
  addClickLine,
  addConversionLines,
  addEventLine,
  clickDimensions,
  findPresent,
  insertFacts,
  LineBuffer,
  type ConversionRevisionFact,
} from './index.ts'

const AT = Date.UTC(2026, 5, 1, 12, 30, 15, 250)

const subs = Object.fromEntries(subNames.map((name) => [name, `value of ${name}`]))

/** A click that fills every field there is. */
const fullClick: Required<Omit<ClickRecord, 'refusal'>> & ClickRecord = {
  kind: 'click',
  click_id: '019e807a-ec03-71e5-baa6-ad2b889652cf' as ClickId,
  at: AT,
  class: 'click',
  outcome: 'redirected',
  refusal: 'offer_paused',
  advertiser_id: 'acme',
  campaign_id: 'spring',
  flow_id: 'flow',
  landing_id: 'landing',
  offer_id: 'casino',
  affiliate_id: 'ann',
  ...(subs as Required<Pick<ClickRecord, (typeof subNames)[number]>>),
  utm_source: 'a',
  utm_medium: 'b',
  utm_campaign: 'c',
  utm_term: 'd',
  utm_content: 'e',
  country: 'TR',
  region: 'İstanbul',
  city: 'Kadıköy',
  asn: 4_294_967_295,
  isp: 'ISP "quoted" \\ back\nslash',
  is_proxy: true,
  is_hosting: true,
  os: 'Android',
  os_version: '15',
  browser: 'Chrome',
  browser_version: '140',
  device_type: 'mobile',
  device_brand: 'Samsung',
  device_model: 'S24',
  ip: '192.0.2.1',
  user_agent: 'UA',
  language: 'tr-tr',
  connection: '4g',
  bot: 'datacentre',
  sub2_keys: { geo: 'TR', "it's": '"' },
  visitor_code: 'v',
  link_code: 'l',
  source_id: 's',
  ad_campaign_id: 'ac',
  creative_id: 'cr',
  external_click_id: 'ext',
  cost_micros: 9_000_000_000_000_000,
  currency: 'USD',
  referrer: 'https://r.example/',
  domain: 'go.example',
  config_version: 3,
  trace: 'c0;f0',
  fraud: 'm75 ir.1b px',
  fraud_score: 75,
  fraud_reason: 'ip_rate',
}

const origin = { partition: 'edge-0', offset: 41 }

test('every field of a click is a column and comes back as it went in', async (t) => {
  const facts = await withClickHouse(t)
  const lines = new LineBuffer()
  addClickLine(
    lines,
    encodeRecord(fullClick),
    { isUniqueInCampaign: true, isUniqueInOffer: false, isUniqueAnywhere: true, referrerHost: 'r.example' },
    origin,
  )
  await insertFacts(facts, { table: 'clicks', lines: lines.toBuffer(), range: 'full-click' })
  const answer = await facts.query({ query: 'SELECT * FROM clicks WHERE log_offset = 41', format: 'JSONEachRow' })
  const [row] = await answer.json<Record<string, unknown>>()
  const { kind: _, ...fields } = fullClick
  const expected: Record<string, unknown> = {
    ...fields,
    at: '2026-06-01 12:30:15.250',
    ip: '::ffff:192.0.2.1',
    is_unique_campaign: true,
    is_unique_offer: false,
    is_unique_global: true,
    referrer_host: 'r.example',
    log_partition: 'edge-0',
    log_offset: 41,
  }
  assert.deepEqual(
    { ...row, cost_micros: Number(row!['cost_micros']), log_offset: Number(row!['log_offset']) },
    expected,
  )
})

test('events and conversions have a column for every dimension of a click', async (t) => {
  const facts = await withClickHouse(t)
  for (const table of ['clicks', 'events', 'conversions']) {
    const answer = await facts.query({
      query: 'SELECT name FROM system.columns WHERE table = {table:String} AND database = currentDatabase()',
      query_params: { table },
      format: 'JSONEachRow',
    })
    const columns = new Set((await answer.json<{ name: string }>()).map(({ name }) => name))
    assert.deepEqual(
      clickDimensions.filter((name) => !columns.has(name)),
      [],
      table,
    )
  }
})

const event: EventRecord = {
  kind: 'event',
  event_id: 'e-1',
  at: AT + 1_000,
  click_id: fullClick.click_id,
  type: 'deposit',
  txid: 'T',
  amount_micros: 5_000_000,
  currency: 'USD',
  country: 'DE',
  ip: '2001:db8::1',
  time_on_page_ms: 2 ** 40,
  ts_client: 17,
}

async function readEvent(t: Parameters<typeof withClickHouse>[0], offset: number): Promise<Record<string, unknown>> {
  const facts = await withClickHouse(t)
  const answer = await facts.query({
    query: 'SELECT * FROM events WHERE log_offset = {offset:UInt64}',
    query_params: { offset },
    format: 'JSONEachRow',
  })
  return (await answer.json<Record<string, unknown>>())[0]!
}

test('an event has the dimensions of its click, and a page clock that makes no sense is left out', async (t) => {
  const facts = await withClickHouse(t)
  const lines = new LineBuffer()
  addEventLine(lines, event, fullClick, undefined, { partition: 'edge-0', offset: 1 })
  await insertFacts(facts, { table: 'events', lines: lines.toBuffer(), range: 'event-1' })
  const row = await readEvent(t, 1)
  assert.equal(row['country'], 'TR')
  assert.equal(row['sub30'], 'value of sub30')
  assert.equal(row['ip'], '2001:db8::1')
  assert.equal(row['click_at'], '2026-06-01 12:30:15.250')
  assert.equal(row['time_on_page_ms'], 0)
  assert.equal(row['ts_client'], '1970-01-01 00:00:00.000')
  assert.deepEqual(row['sub2_keys'], fullClick.sub2_keys)
})

test('an event without a click has its own place and the reason of its refusal', async (t) => {
  const facts = await withClickHouse(t)
  const lines = new LineBuffer()
  addEventLine(lines, event, undefined, 'click_unknown', { partition: 'edge-0', offset: 2 })
  await insertFacts(facts, { table: 'events', lines: lines.toBuffer(), range: 'event-2' })
  const row = await readEvent(t, 2)
  assert.equal(row['country'], 'DE')
  assert.equal(row['refusal'], 'click_unknown')
  assert.equal(row['click_id'], fullClick.click_id)
})

const state = { raw_status: null, payout_micros: '40', revenue_micros: '9007199254740993', sale_amount_micros: '0' }

const revision = (changes: Partial<ConversionRevisionFact>): ConversionRevisionFact => ({
  seq: '1',
  revision: 1,
  conversion_id: '019e807a-ec03-71e5-baa6-000000000001',
  click_id: fullClick.click_id,
  type: 'sale',
  goal: 'deposit',
  txid: '-',
  currency: 'USD',
  createdAt: AT,
  revisedAt: AT,
  advertiser_id: 'acme',
  affiliate_id: null,
  campaign_id: null,
  offer_id: 'casino',
  click: fullClick,
  state: { ...state, status: 'pending' },
  before: undefined,
  ...changes,
})

test('events and conversions have the connection, referrer host and visitor of their click', async (t) => {
  const facts = await withClickHouse(t)
  const events = new LineBuffer()
  addEventLine(events, { ...event, connection: 'wifi', referrer: 'https://own.example/' }, fullClick, undefined, { partition: 'edge-0', offset: 3 }) // prettier-ignore
  await insertFacts(facts, { table: 'events', lines: events.toBuffer(), range: 'event-3' })
  const conversions = new LineBuffer()
  addConversionLines(
    conversions,
    revision({ seq: '9', click: { ...fullClick, referrer: 'HTTPS://Ünï.example:81/?"' } }),
  )
  await insertFacts(facts, { table: 'conversions', lines: conversions.toBuffer(), range: 'revision-9' })
  const row = await readEvent(t, 3)
  assert.deepEqual(
    [row['connection'], row['page_connection'], row['referrer_host'], row['referrer'], row['visitor_code']],
    ['4g', 'wifi', 'r.example', 'https://own.example/', 'v'],
  )
  const answer = await facts.query({
    query: 'SELECT connection, referrer_host, visitor_code FROM conversions WHERE seq = 9',
    format: 'JSONEachRow',
  })
  assert.deepEqual(await answer.json(), [{ connection: '4g', referrer_host: 'ünï.example', visitor_code: 'v' }])
  await facts.command({ query: 'ALTER TABLE conversions DELETE WHERE seq = 9 SETTINGS mutations_sync = 1' })
})

test('the host of a referrer is text like any other, whatever characters it has', async (t) => {
  const facts = await withClickHouse(t)
  const hosts = ['', 'a"b\\c', 'ünï.example', 'İstanbul 😀', '\u007f\u2028']
  const lines = new LineBuffer()
  hosts.forEach((referrerHost, offset) => {
    const found = { isUniqueInCampaign: false, isUniqueInOffer: false, isUniqueAnywhere: false, referrerHost }
    const { referrer: _, ...click } = fullClick
    addClickLine(lines, encodeRecord(click), found, { partition: 'hosts', offset })
  })
  await insertFacts(facts, { table: 'clicks', lines: lines.toBuffer(), range: 'hosts' })
  const answer = await facts.query({
    query: `SELECT referrer_host FROM clicks WHERE log_partition = 'hosts' ORDER BY log_offset`,
    format: 'JSONCompactEachRow',
  })
  assert.deepEqual((await answer.json<[string]>()).flat(), hosts)
})

test('a revision takes back the values before it, to the micro', async (t) => {
  const facts = await withClickHouse(t)
  const lines = new LineBuffer()
  addConversionLines(lines, revision({}))
  const later = {
    seq: '2',
    revision: 2,
    revisedAt: AT + 5,
    state: { ...state, status: 'approved', payout_micros: '41' },
  }
  addConversionLines(lines, revision({ ...later, before: { ...state, status: 'pending' } }))
  await insertFacts(facts, { table: 'conversions', lines: lines.toBuffer(), range: 'revisions' })
  const answer = await facts.query({
    query: `SELECT status, toString(sum(sign)) AS count, toString(sum(payout_micros * sign)) AS payout,
      toString(sum(revenue_micros * sign)) AS revenue, any(affiliate_id) AS affiliate FROM conversions GROUP BY status ORDER BY status`,
    format: 'JSONEachRow',
  })
  assert.deepEqual(await answer.json(), [
    { status: 'approved', count: '1', payout: '41', revenue: '9007199254740993', affiliate: '' },
    { status: 'pending', count: '0', payout: '0', revenue: '0', affiliate: '' },
  ])
})

test('a range that is sent again is dropped, another range with equal rows is not', async (t) => {
  const facts = await withClickHouse(t)
  const insert = async (range: string, isTokenOn = true): Promise<number> => {
    const lines = new LineBuffer()
    addClickLine(
      lines,
      encodeRecord({ ...fullClick, sub1: 'again' }),
      { isUniqueInCampaign: false, isUniqueInOffer: false, isUniqueAnywhere: false, referrerHost: '' },
      { partition: 'p', offset: 7 },
    )
    await insertFacts(facts, { table: 'clicks', lines: lines.toBuffer(), range }, isTokenOn)
    const answer = await facts.query({
      query: `SELECT count() AS n FROM clicks WHERE sub1 = 'again'`,
      format: 'JSONEachRow',
    })
    return Number((await answer.json<{ n: string }>())[0]!.n)
  }
  assert.deepEqual([await insert('p:7-8'), await insert('p:7-8'), await insert('p:7-9')], [1, 1, 2])
  assert.equal(await insert('p:7-8', false), 3)
  assert.deepEqual(
    await findPresent(facts, { table: 'clicks', column: 'log_offset', partition: 'p', from: 0, to: 9 }),
    new Set([7]),
  )
  assert.deepEqual(
    await findPresent(facts, { table: 'clicks', column: 'log_offset', partition: 'p', from: 8, to: 9 }),
    new Set(),
  )
})

test('lines grow past their first buffer without a byte lost', () => {
  const lines = new LineBuffer()
  const value = 'ÿ€😀'.repeat(10_000)
  for (let count = 0; count < 5; count++) lines.addText(JSON.stringify({ value }))
  lines.addObject(Buffer.from(JSON.stringify({ value })), '"n":1')
  const rows = lines.toBuffer().toString().trimEnd().split('\n')
  assert.equal(lines.lineCount, 6)
  assert.deepEqual(JSON.parse(rows[4]!), { value })
  assert.deepEqual(JSON.parse(rows[5]!), { value, n: 1 })
})
