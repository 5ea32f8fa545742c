import assert from 'node:assert/strict'
import { before, test, type TestContext } from 'node:test'

import { ownerTenant, type Tenant } from '#accounts'
import type { FactsClient } from '#platform/clickhouse'
import { withClickHouse } from '#test-kit'

import { compileCurrencies, compileReport } from './compile-report.ts'
import { findMetric, parseReport, runReport, type AskedReport, type ReportAnswer, type ReportQuery } from './index.ts'

/** Four days of clicks with everything that sums are kept of, in two parts each. */
const CLICKS = `INSERT INTO clicks (at, click_id, class, outcome, advertiser_id, campaign_id, affiliate_id, offer_id, source_id,
    ad_campaign_id, creative_id, country, device_type, os, browser, bot, is_unique_campaign, is_unique_offer, is_unique_global,
    cost_micros, currency, sub1)
  SELECT fromUnixTimestamp64Milli(toInt64(1774569600000 + cityHash64(n, 1) % (4 * 86400000)), 'UTC'), generateUUIDv4(n),
    if(n % 11 = 0, 'head', 'click'), if(n % 13 = 0, 'not_found', 'redirected'), concat('adv', toString(n % 2)),
    if(n % 7 = 0, '', concat('c', toString(n % 3))), concat('aff', toString(cityHash64(n, 2) % 4)), concat('o', toString(n % 5)),
    concat('s', toString(cityHash64(n, 3) % 3)), concat('ad', toString(n % 4)), concat('cr', toString(n % 6)),
    concat('X', toString(cityHash64(n, 4) % 4)), if(n % 2 = 0, 'mobile', 'desktop'), concat('os', toString(n % 3)),
    concat('b', toString(n % 2)), if(n % 9 = 0, 'datacentre', ''), n % 2 = 0, n % 3 = 0, n % 5 = 0, cityHash64(n, 5) % 1000000,
    if(n % 3 = 0, 'EUR', 'USD'), toString(n % 10)
  FROM (SELECT number + {part:UInt32} * 1000 AS n FROM numbers(1000))`

const acme: Tenant = { role: 'advertiser', advertiserId: 'adv0' }
const anna: Tenant = { role: 'affiliate', affiliateId: 'aff1' }

let facts: FactsClient

before(async (t) => {
  facts = await withClickHouse(t as TestContext)
  for (const part of [0, 1]) await facts.command({ query: CLICKS, query_params: { part } })
})

const metrics = ['clicks', 'uniques', 'uniques_campaign', 'uniques_offer', 'uniques_global', 'bots']
const asked = (more: Partial<AskedReport>): AskedReport => ({
  ...{ from: '2026-03-27', to: '2026-03-30', tz: 'Europe/Berlin', currency: 'USD', only: {}, not: {}, limit: 1_000 },
  metrics,
  ...more,
})

function parse(query: AskedReport, tenant: Tenant): ReportQuery {
  const seen = query.metrics?.filter((name) => findMetric(name)!.visibleTo.includes(tenant.role))
  const parsed = parseReport({ ...query, metrics: seen }, tenant, { timezone: 'UTC', currency: 'USD', nowMs: 0 })
  assert.equal(parsed.kind, 'asked')
  return { ...(parsed as Extract<typeof parsed, { kind: 'asked' }>).report, defaultCurrency: 'USD' }
}

type Question = readonly [tenant: Tenant, query: AskedReport]
const money = [...metrics, 'click_cost']
const byTime = { only: { campaign_id: ['c0', ''] }, not: { date: ['2026-03-28'] } }

/** Questions that kept sums answer. */
const summed: readonly Question[] = [
  [ownerTenant, asked({ metrics: money })],
  [ownerTenant, asked({ group_by: ['date'], metrics: money })],
  [ownerTenant, asked({ group_by: ['hour', 'campaign_id'] })],
  [ownerTenant, asked({ group_by: ['hour_of_day', 'weekday'], tz: 'America/New_York', ...byTime })],
  [ownerTenant, asked({ group_by: ['week', 'month', 'advertiser_id'], metrics: money })],
  [ownerTenant, asked({ group_by: ['affiliate_id', 'offer_id'], metrics: money })],
  [ownerTenant, asked({ group_by: ['affiliate_id'], tz: 'Asia/Kolkata', not: { offer_id: ['o1'] } })],
  [ownerTenant, asked({ group_by: ['country', 'device_type', 'os', 'browser'], metrics: money })],
  [ownerTenant, asked({ group_by: ['source_id', 'creative_id'], only: { ad_campaign_id: ['ad1', 'ad2'] } })],
  [ownerTenant, asked({ group_by: ['country'], from: '2026-03-27T13:30:00.500Z', to: '2026-03-29T17:00:00Z' })],
  [acme, asked({ group_by: ['campaign_id'], metrics: money })],
  [anna, asked({ group_by: ['campaign_id'] })],
]

/** Questions that they cannot answer: other columns, times between the hours, rows that they do not hold. */
const unsummed: readonly Question[] = [
  [ownerTenant, asked({ group_by: ['sub1'], metrics: money })],
  [ownerTenant, asked({ group_by: ['country', 'campaign_id'] })],
  [ownerTenant, asked({ group_by: ['date', 'country'] })],
  [ownerTenant, asked({ group_by: ['date'], tz: 'Asia/Kolkata' })],
  [ownerTenant, asked({ group_by: ['date'], tz: 'Australia/Lord_Howe' })],
  [ownerTenant, asked({ group_by: ['campaign_id'], filter: 'sub1 is "3"' })],
  [ownerTenant, asked({ metrics: ['clicks', 'refused_clicks'] })],
  [ownerTenant, asked({ group_by: ['country'], from: '2026-03-27T13:30:00.500Z', to: '2026-03-28T17:00:00Z' })],
  [anna, asked({ group_by: ['country'] })],
]

const answersOf = async (questions: readonly Question[]): Promise<readonly ReportAnswer[]> => {
  const answers: ReportAnswer[] = []
  for (const [tenant, query] of questions) answers.push(await runReport(facts, tenant, parse(query, tenant)))
  return answers
}

const withSums = async (enabled: boolean): Promise<void> =>
  void (await facts.command({
    query: `ALTER TABLE clicks MODIFY SETTING materialize_projections_on_merge = ${enabled ? 1 : 0}`,
  }))

async function merge(): Promise<void> {
  await facts.command({ query: 'OPTIMIZE TABLE clicks FINAL' })
}

test('says the same from rows, from kept sums, and from parts of which only some have sums', async () => {
  const questions = [...summed, ...unsummed]
  const fromRows = await answersOf(questions)
  assert.ok(fromRows.every(({ totals }) => Number(totals['clicks']) > 0))
  await withSums(true)
  await facts.command({ query: `OPTIMIZE TABLE clicks PARTITION 20260328 FINAL` })
  assert.deepEqual(await answersOf(questions), fromRows)
  await merge()
  assert.deepEqual(await answersOf(questions), fromRows)
})

test('rows that just came are in the answer', async () => {
  const [tenant, query] = summed[0]!
  const [{ totals: old }] = (await answersOf([[tenant, query]])) as [ReportAnswer]
  await facts.command({ query: CLICKS, query_params: { part: 2 } })
  const [{ totals: added }] = (await answersOf([[tenant, query]])) as [ReportAnswer]
  assert.ok(Number(added['clicks']) > Number(old['clicks']))
  await merge()
  const [{ totals: merged }] = (await answersOf([[tenant, query]])) as [ReportAnswer]
  assert.deepEqual(merged, added)
})

test('ClickHouse takes the kept sums for what they hold, and for nothing else', async () => {
  await merge()
  const settings = { force_optimize_projection: 1, totals_mode: 'after_having_exclusive' } as const
  const run = async (query: string, params: Readonly<Record<string, unknown>>): Promise<unknown> =>
    (await facts.query({ query, query_params: { ...params }, format: 'JSON', clickhouse_settings: settings })).text()
  for (const [tenant, query] of summed) {
    const report = { ...parse(query, tenant), currency: 'USD' }
    const { sql, params } = compileReport(report, tenant)
    await run(sql, params)
    if (!query.metrics!.includes('click_cost')) continue
    const currencies = compileCurrencies(report, tenant)
    await run(currencies.sql, currencies.params)
  }
  const [tenant, query] = unsummed[0]!
  const { sql, params } = compileReport({ ...parse(query, tenant), currency: 'USD' }, tenant)
  await assert.rejects(run(sql, params), /PROJECTION_NOT_USED|No projection is used/)
})
