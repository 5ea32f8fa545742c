import assert from 'node:assert/strict'
import { before, test, type TestContext } from 'node:test'

import { ownerTenant, type Tenant } from '#accounts'
import type { FactsClient } from '#platform/clickhouse'
import { withClickHouse } from '#test-kit'

import { dimensions, metrics, parseReport, runReport, type AskedReport, type ReportAnswer } from './index.ts'
import { visibleLogColumns } from './logs/log-columns.ts'

/** A small world whose numbers can be checked by eye: two days, three countries, conversions that come days after their click. */
const owner = ownerTenant
const anna: Tenant = { role: 'affiliate', affiliateId: 'anna' }

const click = (n: number, at: string, country: string, more: object = {}): object => ({
  ...{ at, country, click_id: clickId(n), class: 'click', outcome: 'redirected', affiliate_id: 'anna' },
  ...more,
})
const clickId = (n: number): string => `00000000-0000-7000-8000-00000000000${n}`

/** A state of a conversion, an hour after its click unless said otherwise. */
const conversion = (n: number, clickAt: string, minutes: number, status: string, more: object = {}): object => ({
  conversion_id: `00000000-0000-7000-9000-00000000000${n}`,
  ...{ click_id: clickId(n), click_at: clickAt, type: 'sale', goal: 'deposit', status, sign: 1, affiliate_id: 'anna' },
  at: new Date(Date.parse(`${clickAt}Z`) + minutes * 60_000).toISOString().replace('Z', ''),
  ...{ country: 'DE', currency: 'USD', revenue_micros: 10_000_000, payout_micros: 4_000_000 },
  ...more,
})

const clicks = [
  click(1, '2026-03-27T10:00:00.000', 'DE', { is_unique_global: true, is_unique_campaign: true, campaign_id: 'c' }),
  click(2, '2026-03-27T11:00:00.000', 'DE', { cost_micros: 1_000_000, currency: 'USD' }),
  click(3, '2026-03-28T10:00:00.000', 'DE', { is_unique_global: true }),
  click(4, '2026-03-28T11:00:00.000', 'FR'),
  click(5, '2026-03-28T12:00:00.000', 'FR', { refusal: 'over_cap', outcome: 'fallback' }),
  click(6, '2026-03-28T12:00:00.000', 'TR', { refusal: 'offer_paused', outcome: 'not_found' }),
]
const events = [
  { at: '2026-03-28T11:01:00.000', type: 'open' },
  { at: '2026-03-28T11:02:00.000', type: 'kyc' },
  { at: '2026-03-28T11:03:00.000', type: 'kyc' },
  { at: '2026-03-28T11:03:00.000', type: 'kyc', refusal: 'duplicate' },
  { at: '2026-03-28T11:03:00.000', type: 'lp_leave', time_on_page_ms: 1_000 },
  { at: '2026-03-28T11:03:00.000', type: 'lp_leave', time_on_page_ms: 4_000 },
].map((event, index) => ({
  ...{ event_id: String(index), click_id: clickId(4), country: 'FR', click_at: '2026-03-28T11:00:00.000', refusal: '' },
  ...event,
}))
const conversions = [
  conversion(1, '2026-03-27T10:00:00.000', 60, 'approved'),
  // Pending, then approved: the first state is taken back.
  conversion(2, '2026-03-27T11:00:00.000', 24 * 60, 'pending'),
  conversion(2, '2026-03-27T11:00:00.000', 24 * 60, 'pending', { sign: -1 }),
  conversion(2, '2026-03-27T11:00:00.000', 24 * 60, 'approved', { sale_amount_micros: 50_000_000 }),
  conversion(3, '2026-03-28T10:00:00.000', 10, 'pending', { type: 'lead', goal: 'reg' }),
  conversion(4, '2026-03-28T11:00:00.000', 5, 'pending', { country: 'FR' }),
  conversion(4, '2026-03-28T11:00:00.000', 5, 'pending', { country: 'FR', sign: -1 }),
  conversion(4, '2026-03-28T11:00:00.000', 5, 'rejected', { country: 'FR' }),
]

let facts: FactsClient
before(async (t) => {
  facts = await withClickHouse(t as TestContext)
  for (const [table, values] of Object.entries({ clicks, events, conversions }))
    await facts.insert({
      ...{ table, values, format: 'JSONEachRow' },
      clickhouse_settings: { date_time_input_format: 'best_effort' },
    })
})

const twoDays: AskedReport = { from: '2026-03-27', to: '2026-03-28', tz: 'UTC', currency: 'USD', only: {}, not: {} }
const defaults = { timezone: 'UTC', currency: 'USD', nowMs: Date.UTC(2026, 2, 30, 12) }
const parse = (asked: Partial<AskedReport>, tenant = owner): ReturnType<typeof parseReport> =>
  parseReport({ ...twoDays, ...asked }, tenant, defaults)

async function ask(asked: Partial<AskedReport>, tenant = owner): Promise<ReportAnswer> {
  const parsed = parse(asked, tenant)
  assert.ok(parsed.kind === 'asked', parsed.kind === 'asked' ? '' : parsed.detail)
  return runReport(facts, tenant, { ...parsed.report, defaultCurrency: defaults.currency })
}

const refusal = (asked: Partial<AskedReport>, tenant = owner): string => {
  const parsed = parse(asked, tenant)
  return parsed.kind === 'asked' ? 'asked' : `${parsed.kind} ${parsed.path}: ${parsed.detail}`
}

test('every metric and every dimension can be asked for, all metrics at once too', async () => {
  const names = [...metrics.keys()]
  const { totals } = await ask({ metrics: names })
  assert.deepEqual(Object.keys(totals), names)
  const found = await Promise.all(
    [...dimensions.keys(), 'sub2.geo'].map(async (name) => {
      const { rows } = await ask({ group_by: [name], metrics: ['clicks', 'opens', 'sales'] })
      return [name, rows.reduce((sum, row) => sum + Number(row['clicks']), 0)] as const
    }),
  )
  assert.deepEqual(found.filter(([, sum]) => sum !== 5), []) // prettier-ignore
  const values = { ...totals }
  assert.deepEqual(
    [values['uniques_global'], values['refused_clicks'], values['refused_events'], values['deposits'], values['aov']],
    [2, 2, 1, 2, '50.00'],
  )
  assert.deepEqual([values['approval_rate'], values['epl'], values['roas'], values['cpc']], [0.5, '20.00', 20, '0.20'])
})

test('percentiles of what was corrected are those of what is left', async () => {
  const { totals } = await ask({ metrics: ['ttc_avg', 'ttc_p50', 'ttc_p90', 'time_on_page_avg', 'time_on_page_p50'] })
  // Ten minutes, one hour and one day; the five minutes were rejected.
  assert.deepEqual(totals, {
    ttc_avg: (10 + 60 + 1440) * 20,
    ttc_p50: 3_600,
    ttc_p90: 86_400,
    time_on_page_avg: 2.5,
    time_on_page_p50: 1,
  })
  const { rows } = await ask({ group_by: ['country'], metrics: ['ttc_p50'], order: 'country' })
  assert.deepEqual(rows, [
    { country: 'DE', ttc_p50: 3_600 },
    { country: 'FR', ttc_p50: null },
  ])
})

test('events of any type are metrics, and so are the clicks that have one', async () => {
  const names = ['event.kyc', 'event_uniques.kyc', 'event_uniques.open', 'clicks']
  const { rows, totals } = await ask({ group_by: ['date'], metrics: names })
  assert.deepEqual(rows, [
    { date: '2026-03-27', 'event.kyc': 0, 'event_uniques.kyc': 0, 'event_uniques.open': 0, clicks: 2 },
    { date: '2026-03-28', 'event.kyc': 2, 'event_uniques.kyc': 1, 'event_uniques.open': 1, clicks: 3 },
  ])
  assert.deepEqual(totals, { 'event.kyc': 2, 'event_uniques.kyc': 1, 'event_uniques.open': 1, clicks: 5 })
  assert.match(refusal({ metrics: ["event.k'yc"] }), /there is no metric/)
})

test('a group that all its conversions have left is not there', async () => {
  const { rows } = await ask({ group_by: ['status'], metrics: ['leads', 'sales', 'rejected'], order: 'status' })
  assert.deepEqual(rows, [
    { status: 'approved', leads: 0, sales: 2, rejected: 0 },
    { status: 'pending', leads: 1, sales: 0, rejected: 0 },
    { status: 'rejected', leads: 0, sales: 0, rejected: 1 },
  ])
})

test('rows of a table without a dimension stand under the empty value; as a filter it is refused, below a row it is not', async () => {
  const asked = { group_by: ['status'], metrics: ['clicks', 'sales'], order: 'status' }
  assert.deepEqual((await ask(asked)).rows, [
    { status: '', clicks: 5, sales: 0 },
    { status: 'approved', clicks: 0, sales: 2 },
    { status: 'pending', clicks: 0, sales: 0 },
    { status: 'rejected', clicks: 0, sales: 0 },
  ])
  assert.match(
    refusal({ metrics: ['clicks'], only: { status: ['approved'] } }),
    /known of conversions, and not of clicks/,
  )
  const below = await ask({ metrics: ['clicks', 'sales'], parent: { status: ['approved'] }, group_by: ['country'] })
  assert.deepEqual(below.rows, [{ country: 'DE', clicks: 0, sales: 2 }])
})

test('the rows below a row add up to it, whatever it is grouped by', async () => {
  for (const name of [
    'date',
    'hour',
    'hour_of_day',
    'weekday',
    'week',
    'month',
    'country',
    'asn',
    'click_id',
    'refusal',
  ]) {
    const { rows } = await ask({
      group_by: [name],
      metrics: ['clicks', 'approved'],
      tz: 'Asia/Kolkata',
      from: '2026-03-26',
    })
    for (const row of rows) {
      const parent = { [name]: [String(row[name])] }
      const below = await ask({
        group_by: ['country'],
        metrics: ['clicks', 'approved'],
        tz: 'Asia/Kolkata',
        from: '2026-03-26',
        parent,
      })
      assert.deepEqual(
        below.totals,
        { clicks: row['clicks'], approved: row['approved'] },
        `${name} ${String(row[name])}`,
      )
    }
  }
  const wrong = {
    hour: 'noon',
    weekday: '8',
    week: '2026-W54',
    month: '2026-13',
    asn: 'x',
    click_id: 'x',
    date: '2026-02-30',
  }
  for (const [name, value] of Object.entries(wrong))
    assert.match(
      refusal({ metrics: ['clicks'], only: { [name]: [value] } }),
      new RegExp(`^invalid ${name}: .*is no value`),
    )
})

test('names weeks, months, weekdays and hours of the zone', async () => {
  const names = ['week', 'month', 'weekday', 'hour_of_day']
  const { rows } = await ask({ group_by: names, metrics: ['clicks'], tz: 'Asia/Kolkata', only: { country: ['DE'] } })
  assert.deepEqual(rows, [
    { week: '2026-W13', month: '2026-03', weekday: '5', hour_of_day: '15', clicks: 1 },
    { week: '2026-W13', month: '2026-03', weekday: '5', hour_of_day: '16', clicks: 1 },
    { week: '2026-W13', month: '2026-03', weekday: '6', hour_of_day: '15', clicks: 1 },
  ])
})

test('having chooses rows by any metric, and totals and number are of those rows', async () => {
  const asked = { group_by: ['country', 'date'], metrics: ['clicks'], having: 'sales > 0 and not clicks < 1' }
  const { rows, totals, total_rows } = await ask(asked)
  assert.deepEqual(rows.map((row) => [row['country'], row['date'], row['clicks']]), [['DE', '2026-03-27', 2], ['DE', '2026-03-28', 1]]) // prettier-ignore
  assert.deepEqual([totals, total_rows], [{ clicks: 3 }, 2])
  const none = await ask({ group_by: ['country'], metrics: ['clicks', 'cr', 'revenue'], having: 'epc > 1000' })
  assert.deepEqual([none.rows, none.total_rows, none.totals], [[], 0, { clicks: 0, cr: null, revenue: '0.00' }])
})

test('having is refused where it makes no sense, with its place', () => {
  assert.match(refusal({ having: 'clicks > 1' }), /"group_by" is empty/)
  const having = (text: string, tenant = owner): string => refusal({ group_by: ['date'], having: text }, tenant)
  assert.match(having('clicks >'), /^invalid having: character 9: expected/)
  assert.match(having('revenue + clicks > 1'), /^invalid having: character 9: money and a number cannot stand together/)
  assert.match(having('clicks + 1'), /a condition such as clicks > 100 is needed/)
  assert.match(having('luck > 1'), /there is no metric "luck"/)
  assert.match(having('`#page_time` > 1'), /there is no metric/)
  assert.match(having('profit > 1', anna), /^forbidden having/)
})

test('whether a visitor is new to all tenants together is for the owner alone', async () => {
  const acme: Tenant = { role: 'advertiser', advertiserId: 'acme' }
  for (const tenant of [acme, anna]) {
    assert.match(refusal({ metrics: ['uniques_global'] }, tenant), /^forbidden metrics: "uniques_global"/)
    for (const filter of ['unique is global', 'country is DE and not unique in (campaign, global)'])
      assert.match(refusal({ metrics: ['clicks'], filter }, tenant), /^forbidden filter: "unique is global"/)
    assert.equal(refusal({ metrics: ['clicks'], filter: 'unique in (campaign, offer)' }, tenant), 'asked')
    assert.ok(visibleLogColumns('clicks', tenant.role).every(({ name }) => name !== 'is_unique_global'))
  }
  assert.equal((await ask({ metrics: ['clicks'], filter: 'unique is global' })).totals['clicks'], 2)
})

test('orders by several columns, and pages are parts of one order with the number of all rows', async () => {
  const asked = { group_by: ['country', 'date'], metrics: ['clicks'], order: '-date,clicks,-country' }
  const all = await ask(asked)
  assert.deepEqual(
    all.rows.map((row) => [row['date'], row['clicks'], row['country']]),
    [['2026-03-28', 1, 'DE'], ['2026-03-28', 2, 'FR'], ['2026-03-27', 2, 'DE']],
  ) // prettier-ignore
  const second = await ask({ ...asked, limit: 1, offset: 1 })
  assert.deepEqual([second.rows, second.total_rows, second.is_truncated], [[all.rows[1]], 3, true])
  assert.equal((await ask({ ...asked, limit: 1, offset: 2 })).is_truncated, false)
  assert.deepEqual((await ask({ ...asked, offset: 5 })).total_rows, 3)
  for (const order of ['luck', 'clicks,', ''])
    assert.equal(refusal({ ...asked, order }) === 'asked', order === 'clicks,')
})

test('compares with another period: values before, changes, and groups that only one of them has', async () => {
  const { rows, totals } = await ask({
    ...{ from: '2026-03-28', to: '2026-03-28', compare: 'previous', group_by: ['country', 'date'] },
    ...{ metrics: ['clicks', 'cr'], order: '-clicks.change' },
  })
  assert.deepEqual(rows, [
    {
      ...{ country: 'FR', date: '2026-03-28', clicks: 2, 'clicks.before': 0, 'clicks.change': 2 },
      ...{ 'clicks.change_ratio': null, cr: 0, 'cr.before': null, 'cr.change': null, 'cr.change_ratio': null },
    },
    {
      ...{ country: 'DE', date: '2026-03-28', clicks: 1, 'clicks.before': 2, 'clicks.change': -1 },
      ...{ 'clicks.change_ratio': -0.5, cr: 2, 'cr.before': 0.5, 'cr.change': 1.5, 'cr.change_ratio': 3 },
    },
  ])
  assert.deepEqual([totals['clicks'], totals['clicks.before']], [3, 2])
  const gone = await ask({ from: '2026-03-29', to: '2026-03-29', compare: '2026-03-28..2026-03-28', group_by: ['date'], metrics: ['clicks'] })
  assert.deepEqual(gone.rows, [{ date: '2026-03-29', clicks: 0, 'clicks.before': 3, 'clicks.change': -3, 'clicks.change_ratio': -1 }])
  const down = await ask({ from: '2026-03-28', to: '2026-03-28', compare: 'previous', group_by: ['country'], metrics: ['clicks'], having: 'clicks.change < 0' })
  assert.deepEqual(down.rows.map((row) => row['country']), ['DE'])
  assert.match(refusal({ compare: 'yesterday' }), /^invalid compare: "yesterday" is neither/)
}) // prettier-ignore

test('a compared period has the days of its zone, where a day has 23 hours too', () => {
  const range = (asked: Partial<AskedReport>): unknown => {
    const parsed = parse({ tz: 'Europe/Berlin', ...asked })
    assert.ok(parsed.kind === 'asked')
    const { range: is, shift } = parsed.report.compare!
    return [new Date(is.fromMs).toISOString(), new Date(is.toMs).toISOString(), shift.unit, shift.by]
  }
  assert.deepEqual(range({ from: '2026-03-29', to: '2026-03-30', compare: 'previous' }), ['2026-03-26T23:00:00.000Z', '2026-03-28T23:00:00.000Z', 'days', 2])
  assert.deepEqual(range({ from: '2026-03-30', to: '2026-03-30', compare: 'year' }), ['2025-03-29T23:00:00.000Z', '2025-03-30T22:00:00.000Z', 'years', 1])
  assert.deepEqual(range({ from: '2026-03-30T10:00:00Z', to: '2026-03-30T12:00:00Z', compare: 'previous' }), ['2026-03-30T08:00:00.000Z', '2026-03-30T10:00:00.000Z', 'days', 0])
}) // prettier-ignore

test('with the time of the click everything stands at its click, also what came days later', async () => {
  const asked = { group_by: ['date'], metrics: ['clicks', 'sales', 'opens'] }
  assert.deepEqual((await ask(asked)).rows, [
    { date: '2026-03-27', clicks: 2, sales: 1, opens: 0 },
    { date: '2026-03-28', clicks: 3, sales: 1, opens: 1 },
  ])
  assert.deepEqual((await ask({ ...asked, time: 'click' })).rows, [
    { date: '2026-03-27', clicks: 2, sales: 2, opens: 0 },
    { date: '2026-03-28', clicks: 3, sales: 0, opens: 1 },
  ])
  const oneDay = await ask({ ...asked, to: '2026-03-27', time: 'click' })
  assert.deepEqual(oneDay.totals, { clicks: 2, sales: 2, opens: 0 })
})

test('formulas of a query are metrics of it, exact to the micro', async () => {
  const formulas = { ecpm: 'revenue / clicks * 1000', third: 'revenue / 3 * 3', net: 'revenue - cost - 1.5', big: 'max(clicks, sales) + 1' }
  const { totals, columns } = await ask({ formulas, metrics: ['clicks'] })
  assert.deepEqual(totals, { clicks: 5, ecpm: '4000.00', third: '20.00', net: '17.50', big: 6 })
  assert.deepEqual(columns.map(({ name, unit, format }) => [name, unit, format])[1], ['ecpm', 'money', 'money'])
  assert.deepEqual(Object.keys((await ask({ formulas: { x: 'clicks * 2' } })).totals), ['x'])
  assert.match(refusal({ formulas: { x: 'clicks + revenue' } }), /^invalid formula\.x: character 8: a number and money/)
  assert.match(refusal({ formulas: { x: 'profit / clicks' } }, anna), /^forbidden formula\.x: "profit"/)
  assert.match(refusal({ formulas: { clicks: 'bots' } }), /there is a metric "clicks" already/)
  assert.match(refusal({ formulas: { country: 'bots' } }), /"country" is a dimension/)
  assert.match(refusal({ formulas: { one: '2 * 3' } }), /a formula names at least one metric/)
  const large = { exact: 'revenue * 1000000000000', over: 'revenue * 900000000000000 / 3', counts: 'clicks * 900000000000000 * 100000' }
  assert.deepEqual((await ask({ formulas: large, metrics: ['clicks'] })).totals, { clicks: 5, exact: null, over: null, counts: null })
}) // prettier-ignore

test('every limit of a question is kept, at its value and past it', () => {
  const names = [...metrics.keys()].filter((name) => metrics.get(name)!.visibleTo.includes('owner'))
  const many = Array.from({ length: 61 }, (_, index) => names[index] ?? `event.e${index}`)
  const orders = ['date', 'country', 'city', 'os', 'clicks', 'bots', 'uniques']
  const formulas = (count: number): Record<string, string> =>
    Object.fromEntries(Array.from({ length: count }, (_, index) => [`f${index}`, 'clicks']))
  const values = (count: number): AskedReport['only'] => ({ sub1: Array.from({ length: count }, String) })
  const filters = (count: number): AskedReport['only'] =>
    Object.fromEntries(Array.from({ length: count }, (_, index) => [`sub${index + 1}`, ['x']]))
  const base = { group_by: orders.slice(0, 4), metrics: ['clicks', 'bots', 'uniques'] }
  const cases: readonly [string, Partial<AskedReport>, Partial<AskedReport>][] = [
    ['metrics', { metrics: many.slice(0, 60) }, { metrics: many }],
    ['order', { ...base, order: orders.slice(0, 6).join(',') }, { ...base, order: orders.join(',') }],
    ['formulas', { formulas: formulas(20) }, { formulas: formulas(21) }],
    ['values', { only: values(200) }, { only: values(201) }],
    ['filters', { only: filters(20) }, { only: filters(21) }],
    ['limit', { limit: 10_000 }, { limit: 10_001 }],
    ['offset', { offset: 10_000_000 }, { offset: 10_000_001 }],
  ]
  for (const [name, within, past] of cases) {
    assert.equal(refusal(within), 'asked', name)
    assert.match(refusal(past), /^invalid /, name)
  }
})
