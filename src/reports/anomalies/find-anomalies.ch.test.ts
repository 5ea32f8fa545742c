import assert from 'node:assert/strict'
import { before, test, type TestContext } from 'node:test'

import type { Tenant } from '#accounts'
import type { FactsClient } from '#platform/clickhouse'
import { createRandom, type Random } from '#platform/random'
import { withClickHouse } from '#test-kit'

import { findAnomalies, parseAnomalies, type AnomaliesAnswer, type AskedAnomalies } from './index.ts'
import { poisson } from './test-noise.ts'

const HOUR = 3_600_000
/** In Berlin the clocks go back two days before the end. */
const END = Date.UTC(2026, 9, 27)
const HOURS = 7 * 168
const START = END - HOURS * HOUR

let facts: FactsClient
before(async (t) => {
  facts = await withClickHouse(t as TestContext)
})

async function ask(tenant: Tenant, asked: Partial<AskedAnomalies> = {}): Promise<AnomaliesAnswer> {
  const parsed = parseAnomalies(
    { metric: 'clicks', weeks: 5, ...asked },
    tenant,
    { timezone: 'UTC', currency: 'EUR', nowMs: END + 600_000 },
  ) // prettier-ignore
  assert.ok(parsed.kind === 'asked', JSON.stringify(parsed))
  return findAnomalies(facts, tenant, parsed.anomalies)
}

/** What a country's visitors are like in an hour: clicks on average, and the part of them that buys. */
type Rates = { readonly clicks: number; readonly chance: number }
const usual: Readonly<Record<string, Rates>> = {
  ...{ DE: { clicks: 30, chance: 0.2 }, TR: { clicks: 36, chance: 0.2 }, US: { clicks: 8, chance: 0.2 } },
}
type World = (country: string, hour: number) => Rates

/** Clicks and their sales, each with an operating system by chance, written by the hour. */
/** @returns clicks by country and hour */
async function load(
  advertiser: string,
  world: World,
  seed: number,
): Promise<(country: string, hour: number) => number> {
  const random = createRandom(seed)
  const clicks: object[] = []
  const conversions: object[] = []
  const counts = new Map<string, number>()
  for (let hour = 0; hour < HOURS; hour++)
    for (const country of Object.keys(usual)) {
      const { clicks: mean, chance } = world(country, hour)
      const wave = 1 + 0.5 * Math.sin((2 * Math.PI * (hour % 24)) / 24)
      const count = poisson(mean * wave, random)
      counts.set(`${country} ${hour}`, count)
      for (let index = count; index > 0; index--) {
        const row = rowOf(advertiser, country, hour, random)
        clicks.push({ ...row, class: 'click', outcome: 'redirected', click_id: `00000000-0000-7000-8000-${clicks.length.toString(16).padStart(12, '0')}` }) // prettier-ignore
        if (random() < chance)
          conversions.push({ ...row, conversion_id: `00000000-0000-7000-8000-${conversions.length.toString(16).padStart(12, '0')}`, sign: 1, revision: 1, type: 'sale', status: 'approved', revenue_micros: 2_000_000, currency: 'EUR' }) // prettier-ignore
      }
    }
  await facts.insert({ table: 'clicks', values: clicks, format: 'JSONEachRow' })
  await facts.insert({ table: 'conversions', values: conversions, format: 'JSONEachRow' })
  return (country, hour) => counts.get(`${country} ${hour}`) ?? 0
}

const rowOf = (advertiser: string, country: string, hour: number, random: Random): object => ({
  ...{
    at: START + hour * HOUR + Math.floor(random() * HOUR),
    advertiser_id: advertiser,
    affiliate_id: 'anna',
    country,
  },
  os: random() < 0.5 ? 'iOS' : 'Android',
})

const LAST = HOURS - 24
/** From eight to eleven of the last day nobody comes from Turkey; from three to six most of those from Germany buy. */
const broken: World = (country, hour) => {
  const { clicks, chance } = usual[country]!
  return {
    clicks: country === 'TR' && hour >= LAST + 8 && hour < LAST + 11 ? 0 : clicks,
    chance: country === 'DE' && hour >= LAST + 3 && hour < LAST + 6 ? 0.75 : chance,
  }
}

test('finds what was planted, with the value that explains it', async () => {
  await facts.command({ query: 'TRUNCATE TABLE clicks' })
  await facts.command({ query: 'TRUNCATE TABLE conversions' })
  const countOf = await load('broken', broken, 1)
  const tenant: Tenant = { role: 'advertiser', advertiserId: 'broken' }
  const { anomalies, hours_checked, hours_skipped } = await ask(tenant)
  assert.deepEqual([hours_checked + hours_skipped, hours_skipped < 6], [24, true])
  const low = anomalies.filter(({ direction }) => direction === 'low')
  assert.ok(
    low.length > 0 &&
      low.every(({ from, to }) => from >= '2026-10-26T08:00:00+00:00' && to <= '2026-10-26T11:00:00+00:00'),
  )
  assert.deepEqual(low[0]?.explanations.map(({ dimension, values }) => [dimension, values.map(({ value }) => value)]), [['country', ['TR']]]) // prettier-ignore
  assert.equal(low[0].explanations[0]?.values[0]?.actual, 0)
  assert.equal(anomalies.length, low.length)
  // The same with plain loops: medians of five weeks, of each hour for the whole, of all its hours together for a country.
  const [first] = low as [(typeof low)[number]]
  const hourOf = (time: string): number => (Date.parse(time) - START) / HOUR
  const hours = Array.from({ length: hourOf(first.to) - hourOf(first.from) }, (_, index) => hourOf(first.from) + index)
  const weeks = [1, 2, 3, 4, 5]
  const middle = (values: readonly number[]): number => [...values].sort((a, b) => a - b)[2]!
  const sum = (values: readonly number[]): number => values.reduce((total, value) => total + value, 0)
  const allAt = (hour: number): number => sum(Object.keys(usual).map((country) => countOf(country, hour)))
  assert.equal(first.actual, sum(hours.map(allAt)))
  assert.equal(first.expected, sum(hours.map((hour) => middle(weeks.map((week) => allAt(hour - week * 168))))))
  const turkey = middle(weeks.map((week) => sum(hours.map((hour) => countOf('TR', hour - week * 168)))))
  assert.equal(first.explanations[0]?.values[0]?.expected, turkey)

  const ratio = await ask(tenant, { metric: 'cr' })
  assert.equal(ratio.anomalies.length, 1)
  const [{ from, to, direction, explanations, actual, expected, low: bottom, high }] = ratio.anomalies as [(typeof ratio.anomalies)[number]] // prettier-ignore
  assert.deepEqual([from, to, direction], ['2026-10-26T03:00:00+00:00', '2026-10-26T06:00:00+00:00', 'high'])
  assert.ok(
    Number(actual) > Number(high) && Number(bottom) < Number(expected) && Math.abs(Number(expected) - 0.2) < 0.04,
  )
  const [value] = explanations[0]?.values ?? []
  assert.deepEqual([explanations.length, explanations[0]?.dimension, value?.value], [1, 'country', 'DE'])
  // It is not that more of them came.
  assert.ok(Math.abs(value!.mix!) < 0.2 && value!.rate! > 0.7, JSON.stringify(value))

  const money = await ask(tenant, { metric: 'revenue' })
  assert.ok(money.anomalies.some(({ direction, explanations }) => direction === 'high' && explanations[0]?.values[0]?.value === 'DE')) // prettier-ignore
  assert.match(String(money.anomalies[0]?.actual), /^\d+\.00$/)
})

test('quiet days have none, in any zone, and nothing is said of what another tenant has', async () => {
  const days = { from: '2026-10-24', to: '2026-10-25' }
  for (const tz of ['UTC', 'Europe/Berlin', 'Asia/Kolkata'])
    for (const metric of ['clicks', 'cr']) {
      const { anomalies, hours_checked } = await ask(
        { role: 'advertiser', advertiserId: 'broken' },
        { ...days, tz, metric },
      )
      assert.deepEqual([anomalies, hours_checked > 12], [[], true], `${tz} ${metric}`)
    }
  const { hours_checked } = await ask({ role: 'affiliate', affiliateId: 'bert' })
  assert.equal(hours_checked, 0)
})

test('refuses metrics that are no sums, hours that are not over and what the role may not see', () => {
  const refusal = (asked: Partial<AskedAnomalies>, tenant: Tenant = { role: 'owner' }): string => {
    const parsed = parseAnomalies({ metric: 'clicks', ...asked }, tenant, {
      timezone: 'UTC',
      currency: 'USD',
      nowMs: END,
    })
    return parsed.kind === 'asked' ? 'asked' : `${parsed.kind} ${parsed.path}`
  }
  const affiliate: Tenant = { role: 'affiliate', affiliateId: 'anna' }
  for (const metric of ['clicks', 'cr', 'epc', 'profit', 'roi', 'ttc_avg', 'event.kyc']) assert.equal(refusal({ metric }), 'asked') // prettier-ignore
  for (const metric of ['luck', 'ttc_p50', 'event_uniques.kyc']) assert.equal(refusal({ metric }), 'invalid metric')
  assert.equal(refusal({ metric: 'profit' }, affiliate), 'forbidden metric')
  assert.equal(refusal({ dimensions: ['fraud_reason'] }, affiliate), 'forbidden dimensions')
  assert.equal(refusal({ dimensions: ['date'] }), 'invalid dimensions')
  assert.equal(refusal({ metric: 'cr', dimensions: ['status'] }), 'invalid dimensions')
  assert.equal(refusal({ from: '2026-10-27T00:00:00Z' }), 'invalid from')
  assert.equal(refusal({ from: '2026-09-01' }), 'invalid from')
  assert.equal(refusal({ filter: 'status is approved' }), 'invalid filter')
  assert.equal(refusal({ filter: 'cost between 1 and 2' }, affiliate), 'forbidden filter')
})

test('amounts in another currency than the answer are named, not silently left out', async () => {
  const sale = { ...rowOf('two_currencies', 'DE', HOURS - 3, createRandom(4)), status: 'approved', type: 'sale' }
  const values = ['EUR', 'EUR', 'USD'].map((currency, index) => ({
    ...{ ...sale, currency, sign: 1, revision: 1, revenue_micros: 1_000_000 },
    conversion_id: `00000000-0000-7000-a000-00000000000${index}`,
  }))
  await facts.insert({ table: 'conversions', values, format: 'JSONEachRow' })
  const tenant: Tenant = { role: 'advertiser', advertiserId: 'two_currencies' }
  const { currency, other_currencies, missing_days } = await ask(tenant, { metric: 'revenue' })
  assert.deepEqual([currency, other_currencies, missing_days], ['EUR', ['USD'], []])
})
