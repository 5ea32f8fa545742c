import assert from 'node:assert/strict'
import { before, test, type TestContext } from 'node:test'

import { ownerTenant, type Tenant } from '#accounts'
import type { FactsClient } from '#platform/clickhouse'
import { withClickHouse } from '#test-kit'

import { compileReport } from './compile-report.ts'
import { parseReport, type AskedReport } from './index.ts'

const anna: Tenant = { role: 'affiliate', affiliateId: 'aff1' }

let facts: FactsClient

before(async (t) => {
  facts = await withClickHouse(t as TestContext)
  await facts.command({
    query: `INSERT INTO clicks (at, click_id, class, outcome, advertiser_id, affiliate_id, country, os, sub1, visitor_code)
      SELECT fromUnixTimestamp64Milli(toInt64(1774569600000 + number * 86400), 'UTC'), generateUUIDv4(number),
        ['click', 'head', 'prefetch'][1 + number % 3], ['redirected', 'shown', 'fallback', 'not_found', 'unavailable'][1 + number % 5],
        'adv', concat('aff', toString(number % 3)), ['DE', 'FR', 'US'][1 + number % 3], 'iOS', toString(number), toString(number % 7)
      FROM numbers(4000)`,
  })
})

const explain = async (asked: Partial<AskedReport>, tenant: Tenant = ownerTenant): Promise<string> => {
  const query = { from: '2026-03-27', to: '2026-03-29', tz: 'UTC', only: {}, not: {}, group_by: ['sub1'], ...asked }
  const parsed = parseReport(query, tenant, { timezone: 'UTC', currency: 'USD', nowMs: 0 })
  assert.equal(parsed.kind, 'asked')
  const { report } = parsed as Extract<typeof parsed, { kind: 'asked' }>
  const { sql, params } = compileReport({ ...report, currency: 'USD' }, tenant)
  const answer = await facts.query({
    query: `EXPLAIN header = 1, actions = 1 ${sql}`,
    query_params: { ...params },
    format: 'TabSeparatedRaw',
  })
  return answer.text()
}

/** Columns and conditions of each reading of the table. */
const readings = (plan: string): readonly string[] =>
  [...plan.matchAll(/ReadFromMergeTree.*\n([\s\S]*?)Read type/g)].map(([, header]) => header!)

const TIME = /\bat\b/

test('of whole days neither the time of a click is read nor what makes it count', async () => {
  const [clicks = '', ...others] = readings(await explain({ metrics: ['clicks'] }))
  assert.match(clicks, /is_counted/)
  assert.doesNotMatch(clicks, /\b(at|class|outcome)\b/)
  assert.deepEqual(others, [])
})

test('days at the ends of a range that are not whole are read by the time of their clicks', async () => {
  const ends = readings(await explain({ metrics: ['clicks'], tz: 'Asia/Tokyo' }))
  assert.deepEqual(ends.map((reading) => TIME.test(reading)), [false, true]) // prettier-ignore
  const short = readings(await explain({ metrics: ['clicks'], to: '2026-03-27', tz: 'Asia/Tokyo' }))
  assert.deepEqual(short.map((reading) => TIME.test(reading)), [true]) // prettier-ignore
})

/** What ClickHouse reads of the table before everything else. */
const readFirst = (plan: string): readonly string[] =>
  [...plan.matchAll(/Prewhere filter column: (.*)/g)].map(([, text]) => text!.trim())

test('a filter, what an affiliate may see, or the first narrow condition of a rule is read before everything else', async () => {
  const of = async (asked: Partial<AskedReport>, tenant?: Tenant): Promise<readonly string[]> =>
    readFirst(await explain({ metrics: ['clicks'], ...asked }, tenant))
  const [byFilter, ...others] = await of({ only: { country: ['DE'] }, not: { os: ['iOS'] } })
  assert.match(byFilter!, /country/)
  assert.doesNotMatch(byFilter!, /is_counted|_partition_id|\bos\b/)
  assert.deepEqual(others, [])
  const [own] = await of({}, anna)
  assert.match(own!, /affiliate_id/)
  assert.doesNotMatch(own!, /is_counted|_partition_id/)
  const [byRule] = await of({ filter: 'not bot is datacentre and country in (DE, FR) and os is iOS' })
  assert.match(byRule!, /country/)
  assert.doesNotMatch(byRule!, /is_counted|_partition_id|bot|\bos\b/)
  const [byNone] = await of({ not: { country: ['DE'] } })
  assert.match(byNone!, /is_counted/)
})

test('the columns that are worked out once say what the conditions say', async () => {
  const answer = await facts.query({
    query: `SELECT countIf(is_counted) AS counted, countIf(class = 'click' AND outcome IN ('redirected', 'shown', 'fallback')) AS asked,
        countIf(visitor_hash != cityHash64(visitor_code)) AS others FROM clicks`,
    format: 'JSONEachRow',
  })
  const [row] = await answer.json<{ counted: string; asked: string; others: number }>()
  assert.ok(Number(row!.counted) > 0)
  assert.deepEqual([row!.counted, row!.others], [row!.asked, 0])
})
