import assert from 'node:assert/strict'
import { before, test, type TestContext } from 'node:test'

import { ownerTenant, type Tenant } from '#accounts'
import type { FactsClient } from '#platform/clickhouse'
import { withClickHouse } from '#test-kit'

import { askFactsTotalled, type FactsRow, type FactsTotalled } from './ask-facts.ts'
import { askHashed } from './ask-hashed.ts'
import { compileReport, type Report } from './compile-report.ts'
import { parseReport, type AskedReport } from './index.ts'

/** Twenty days of clicks: value n of sub1 has about 300 / √n of them, those of 5,000 and more one each, and those of the first day no
 * value. An advertiser, an affiliate and a day see some of all.
 */
const CLICKS = `
  INSERT INTO clicks (at, click_id, class, outcome, advertiser_id, affiliate_id, country, sub1, is_unique_campaign, campaign_id, cost_micros, currency)
  SELECT fromUnixTimestamp64Milli(toInt64(1774569600000 + cityHash64(n, 1) % (20 * 86400000)), 'UTC'), generateUUIDv4(n), 'click', 'redirected',
    concat('adv', toString(n % 2)), concat('aff', toString(n % 3)), ['DE', 'FR'][1 + n % 2],
    if(n < 20000, concat('s', toString(toUInt32(pow(cityHash64(n, 2) % 10000 / 10000, 2) * 3000))), if(n < 22000, concat('once', toString(n)), '')),
    n % 4 = 0, 'c1', n % 1000, if(n % 5 = 0, 'EUR', 'USD')
  FROM (SELECT number AS n FROM numbers(22100))`

/** Some for values with clicks, one for a value without any, and one that was taken back. */
const CONVERSIONS = `
  INSERT INTO conversions (at, conversion_id, revision, sign, seq, click_id, click_at, type, goal, status, advertiser_id, affiliate_id, sub1,
    payout_micros, revenue_micros, currency)
  SELECT fromUnixTimestamp64Milli(toInt64(1774569600000 + n * 86400000), 'UTC'), generateUUIDv4(n), 1, 1, n, generateUUIDv4(n + 100),
    fromUnixTimestamp64Milli(toInt64(1774569600000), 'UTC'), 'sale', 'sale', 'approved', 'adv0', 'aff0', concat('s', toString(n * 7)), 1000000, 2000000, 'USD'
  FROM (SELECT number AS n FROM numbers(20))
  UNION ALL SELECT fromUnixTimestamp64Milli(toInt64(1774669600000), 'UTC'), generateUUIDv4(), 1, 1, 100, generateUUIDv4(),
    fromUnixTimestamp64Milli(toInt64(1774569600000), 'UTC'), 'sale', 'sale', 'approved', 'adv0', 'aff0', 'only a sale', 1000000, 9000000, 'USD'`

const acme: Tenant = { role: 'advertiser', advertiserId: 'adv0' }
const anna: Tenant = { role: 'affiliate', affiliateId: 'aff0' }

let facts: FactsClient

before(async (t) => {
  facts = await withClickHouse(t as TestContext)
  await facts.command({ query: CLICKS })
  await facts.command({ query: CONVERSIONS })
})

function reportOf(more: Partial<AskedReport>, tenant: Tenant = ownerTenant): Report {
  const query = { from: '2026-03-27', to: '2026-04-15', tz: 'UTC', group_by: ['sub1'], only: {}, not: {}, ...more }
  const metrics = query.metrics ?? ['clicks', 'uniques', 'sales', 'payout', 'click_cost', 'cr']
  const parsed = parseReport({ ...query, metrics }, tenant, { timezone: 'UTC', currency: 'USD', nowMs: 0 })
  assert.equal(parsed.kind, 'asked')
  return { ...(parsed as Extract<typeof parsed, { kind: 'asked' }>).report, currency: 'USD' }
}

const plainly = (report: Report, tenant: Tenant = ownerTenant): Promise<FactsTotalled<FactsRow>> =>
  askFactsTotalled<FactsRow>(facts, compileReport(report, tenant))

const HASHED: readonly (readonly [what: string, asked: Partial<AskedReport>, tenant?: Tenant])[] = [
  ['the first hundred, of which the last is equal to others', { limit: 100 }],
  ['one row', { limit: 1 }],
  ['a page as long as may be', { limit: 1_000 }],
  ['by another sum of clicks, and then by a ratio', { limit: 60, order: '-uniques,-cr' }],
  ['by what the clicks cost', { limit: 30, order: '-click_cost' }],
  ['an advertiser', { limit: 50 }, acme],
  ['an affiliate', { limit: 50, metrics: ['clicks', 'sales'] }, anna],
  ['only some clicks', { limit: 40, only: { country: ['DE'] } }],
  ['by a rule', { limit: 40, filter: 'country is DE and not sub1 is s3' }],
  ['only large groups', { limit: 40, having: 'clicks > 20' }],
  ['only a part of a day', { limit: 40, from: '2026-03-28T05:30:00Z', to: '2026-04-02T11:00:00Z' }],
  ['a range that ends long after the last click', { limit: 40, to: '2027-03-01' }],
  ['by the time of the click', { limit: 40, time: 'click' }],
]

for (const [what, asked, tenant = ownerTenant] of HASHED)
  test(`groups told apart by a hash are the same rows, totals and number of rows: ${what}`, async () => {
    const report = reportOf(asked, tenant)
    const hashed = await askHashed(facts, tenant, report)
    assert.ok(hashed !== undefined, 'it is asked by the hash')
    const plain = await plainly(report, tenant)
    assert.ok(plain.rows.length > 0)
    assert.deepEqual(hashed.page.rows, plain.rows)
    assert.deepEqual({ ...hashed.page.totals, g0: '' }, { ...plain.totals, g0: '' })
    assert.equal(hashed.page.rowsTotal, plain.rowsTotal)
  })

test('the value that is empty, and one that only a conversion has, are found', async () => {
  const { page } = (await askHashed(
    facts,
    ownerTenant,
    reportOf({ limit: 1_000, having: 'sales > 0 or clicks > 20' }),
  ))!
  const names = page.rows.map(({ g0 }) => g0)
  assert.ok(names.includes(''))
  assert.ok(names.includes('only a sale'))
})

test('more groups than are read that are equal to the last of the page, other pages and other orders are asked by the value', async () => {
  const asked = async (more: Partial<AskedReport>): Promise<boolean> =>
    (await askHashed(facts, ownerTenant, reportOf(more))) !== undefined
  // Two thousand values have one click each; the page of the largest ends among them.
  assert.equal(await asked({ limit: 1_000, only: { sub1: ['once20000', 'once20001'] } }), true)
  assert.equal(await asked({ limit: 10, not: {}, having: 'clicks = 1' }), false)
  assert.equal(await asked({ limit: 10, offset: 1 }), false)
  assert.equal(await asked({ limit: 10, order: 'clicks' }), false)
  assert.equal(await asked({ limit: 10, order: '-clicks,sub1' }), false)
  assert.equal(await asked({ limit: 10, order: '-cr' }), false)
  assert.equal(await asked({ limit: 10, order: '-sales,-clicks' }), false)
  assert.equal(await asked({ limit: 1_001 }), false)
  assert.equal(await asked({ limit: 10, group_by: ['sub1', 'country'] }), false)
  assert.equal(await asked({ limit: 10, group_by: ['sub2'] }), false)
  assert.equal(await asked({ limit: 10, metrics: ['sales'] }), false)
})

test('a report without rows has none', async () => {
  const { page } = (await askHashed(facts, ownerTenant, reportOf({ limit: 10, from: '2025-01-01', to: '2025-01-02' })))!
  assert.deepEqual([page.rows, page.rowsTotal], [[], 0])
})

test('the column of the hash says what is worked out for the other tables', async () => {
  const answer = await facts.query({
    query:
      'SELECT countIf(sub1_hash != cityHash64(sub1)) AS others, uniqExact(sub1_hash) = uniqExact(sub1) AS is_told_apart FROM clicks',
    format: 'JSONEachRow',
  })
  assert.deepEqual(await answer.json(), [{ others: 0, is_told_apart: 1 }])
})
