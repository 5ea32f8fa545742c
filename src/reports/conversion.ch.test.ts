import assert from 'node:assert/strict'
import { test } from 'node:test'

import fc from 'fast-check'

import type { Tenant } from '#accounts'
import { convertSums, parseRate, readFactors, storeRates, type Factors, type GivenRate } from '#currencies'
import type { FactsClient } from '#platform/clickhouse'
import { formatAmount, type Currency } from '#platform/money'
import { withClickHouse, withDatabase } from '#test-kit'

import { parseReport, runReport, type AskedReport, type ReportAnswer } from './index.ts'

type Row = Readonly<Record<string, unknown>> & { readonly at: string }

const owner: Tenant = { role: 'owner' }
const click = (at: string, cost_micros: number, currency: string, country = 'DE'): Row => ({
  ...{ at, class: 'click', outcome: 'redirected', advertiser_id: 'acme', country, cost_micros, currency },
})
const conversion = (at: string, revenue_micros: number, currency: string, more: object = {}): Row => ({
  ...{ at, click_at: at, type: 'sale', status: 'approved', sign: 1, advertiser_id: 'acme', country: 'DE' },
  ...{ revenue_micros, currency, ...more },
})

async function load(facts: FactsClient, rows: Readonly<Partial<Record<'clicks' | 'conversions' | 'costs', readonly Row[]>>>) {
  for (const table of ['clicks', 'events', 'conversions', 'costs']) await facts.command({ query: `TRUNCATE TABLE ${table}` })
  for (const [table, values] of Object.entries(rows))
    if (values.length > 0)
      await facts.insert({ table, values: values.map((row) => ({ ...row, at: Date.parse(row.at), click_at: Date.parse(row.at) })), format: 'JSONEachRow', clickhouse_settings: { input_format_skip_unknown_fields: 1 } })
} // prettier-ignore

async function ask(facts: FactsClient, find: (() => Factors) | undefined, asked: Partial<AskedReport>): Promise<ReportAnswer> {
  const question = { tz: 'UTC', from: '2026-11-01', to: '2026-11-10', currency: 'EUR', only: {}, not: {}, ...asked }
  const parsed = parseReport(question, owner, { timezone: 'UTC', currency: 'EUR', nowMs: Date.UTC(2026, 10, 11) })
  if (parsed.kind !== 'asked') throw new Error(parsed.detail)
  const rates = find && { find: () => Promise.resolve(find()) }
  return runReport(facts, owner, { ...parsed.report, defaultCurrency: 'EUR', rates })
} // prettier-ignore

const factorsOf = (factors: Readonly<Record<string, bigint>>): Factors => ({
  find: (currency, day) => factors[`${currency} ${day}`],
})
const ONE = 10n ** 18n
const INT64_MAX = 2n ** 63n - 1n

test('amounts in other currencies are converted with the rate of their day (UTC), whatever the zone of the report', async (t) => {
  const facts = await withClickHouse(t)
  await load(facts, {
    clicks: [click('2026-11-01T23:30:00Z', 1_000_000, 'USD'), click('2026-11-02T00:30:00Z', 1_000_000, 'USD', 'AT')],
    conversions: [
      conversion('2026-11-02T10:00:00Z', 8_000_000, 'EUR'),
      conversion('2026-11-02T10:00:00Z', 3_000_000, 'USD'),
    ],
    costs: [click('2026-11-01T12:00:00Z', 500_000, 'USD', 'FR')],
  })
  const factors = factorsOf({ 'USD 2026-11-01': ONE / 2n, 'USD 2026-11-02': ONE / 4n })
  const asked = { tz: 'Europe/Berlin', group_by: ['country'], order: 'country', metrics: ['clicks', 'cost', 'revenue', 'profit'] } // prettier-ignore
  const { rows, totals, ...rest } = await ask(facts, () => factors, asked)
  assert.deepEqual(rows, [
    { country: 'AT', clicks: 1, cost: '0.25', revenue: '0.00', profit: '-0.25' },
    { country: 'DE', clicks: 1, cost: '0.50', revenue: '8.75', profit: '8.25' },
    { country: 'FR', clicks: 0, cost: '0.25', revenue: '0.00', profit: '-0.25' },
  ])
  assert.deepEqual(totals, { clicks: 2, cost: '1.00', revenue: '8.75', profit: '7.75' })
  assert.deepEqual([rest.currency, rest.other_currencies, rest.converted_currencies, rest.unconverted], ['EUR', [], ['USD'], []]) // prettier-ignore
  const off = await ask(facts, undefined, asked)
  assert.deepEqual([off.totals['revenue'], off.other_currencies, off.unconverted], ['8.00', ['USD'], []])
})

test('what has no rate is named with its days and amounts, and is in no sum', async (t) => {
  const facts = await withClickHouse(t)
  await load(facts, {
    clicks: [click('2026-11-01T12:00:00Z', 1_000_000, 'USD'), click('2026-11-02T12:00:00Z', 2_000_000, 'USD')],
    conversions: [conversion('2026-11-03T12:00:00Z', 5_000_000, 'GBP', { sale_amount_micros: 7_000_000 })],
  })
  const factors = factorsOf({ 'USD 2026-11-01': ONE })
  const answer = await ask(facts, () => factors, { metrics: ['clicks', 'sales', 'revenue', 'cost', 'aov'] })
  assert.deepEqual(answer.rows, [{ clicks: 2, sales: 1, revenue: '0.00', cost: '1.00', aov: null }])
  assert.deepEqual(answer.other_currencies, ['GBP', 'USD'])
  assert.deepEqual(
    [...answer.unconverted].sort((one, other) => (one.currency < other.currency ? -1 : 1)),
    [
      { currency: 'GBP', days: ['2026-11-03'], amounts: { revenue: '5.00', sale_amount: '7.00' } },
      { currency: 'USD', days: ['2026-11-02'], amounts: { click_cost: '2.00' } },
    ],
  )
})

test('the period that is compared is converted with the rates of its own days', async (t) => {
  const facts = await withClickHouse(t)
  await load(facts, {
    clicks: [click('2026-11-09T12:00:00Z', 1_000_000, 'USD'), click('2026-11-07T12:00:00Z', 1_000_000, 'USD')],
  })
  const factors = factorsOf({ 'USD 2026-11-09': ONE / 2n, 'USD 2026-11-07': ONE / 4n })
  const { totals } = await ask(facts, () => factors, { from: '2026-11-09', to: '2026-11-10', compare: 'previous', metrics: ['cost'] }) // prettier-ignore
  assert.deepEqual([totals['cost'], totals['cost.before'], totals['cost.change']], ['0.50', '0.25', '0.25'])
})

test('the currency of a report that is narrowed is that of its rows, and others are named where its rows have them', async (t) => {
  const facts = await withClickHouse(t)
  await load(facts, {
    clicks: [
      { ...click('2026-11-02T12:00:00Z', 1_000_000, 'USD'), sub1: 'a' },
      { ...click('2026-11-02T13:00:00Z', 1_000_000, 'USD'), sub1: 'a' },
      { ...click('2026-11-02T12:00:00Z', 2_000_000, 'EUR', 'AT'), sub1: 'b' },
      { ...click('2026-11-02T12:00:00Z', 0, 'GBP', 'AT'), sub1: 'a' },
    ],
    conversions: [conversion('2026-11-02T12:00:00Z', 4_000_000, 'PLN', { sub1: 'c' })],
    costs: [{ ...click('2026-11-02T12:00:00Z', 3_000_000, 'SEK', 'AT'), sub1: 'c' }],
  })
  const of = async (subs: readonly string[], currency?: string, metrics = ['cost', 'revenue']) => {
    const answer = await ask(facts, undefined, { only: { sub1: subs }, currency, metrics, group_by: ['country'] })
    return [answer.currency, answer.other_currencies, answer.totals['cost'], answer.columns.length]
  }
  assert.deepEqual(await of(['a']), ['USD', [], '2.00', 3])
  assert.deepEqual(await of(['a', 'b']), ['EUR', ['USD'], '2.00', 3])
  assert.deepEqual(await of(['a', 'b'], 'USD'), ['USD', ['EUR'], '2.00', 3])
  assert.deepEqual(await of(['c']), ['PLN', ['SEK'], '0.00', 3])
  assert.deepEqual(await of(['c'], undefined, ['cost']), ['SEK', [], '3.00', 2])
  assert.deepEqual(await of(['none']), ['EUR', [], '0.00', 3])
})

test('a default that the amounts do not have is tried once, not with every report', async (t) => {
  const facts = await withClickHouse(t)
  await load(facts, { clicks: [{ ...click('2026-11-02T12:00:00Z', 1_000_000, 'SEK'), sub1: 'a' }] })
  const query = t.mock.method(facts, 'query')
  const statementsOf = async (asked: Partial<AskedReport>): Promise<number> => {
    const before = query.mock.callCount()
    const { currency } = await ask(facts, undefined, { currency: undefined, metrics: ['cost'], ...asked })
    assert.equal(currency, 'SEK')
    return query.mock.callCount() - before
  }
  await statementsOf({})
  assert.equal(await statementsOf({}), 2)
  await statementsOf({ only: { sub1: ['a'] } })
  assert.equal(await statementsOf({ only: { sub1: ['a'] } }), 1)
})

test('a currency that only the compared period has is named where nothing is converted, and does not choose that of the report', async (t) => {
  const facts = await withClickHouse(t)
  await load(facts, {
    clicks: [
      click('2026-11-09T12:00:00Z', 1_000_000, 'USD'),
      click('2026-11-07T12:00:00Z', 3_000_000, 'EUR'),
      click('2026-11-07T12:00:00Z', 2_000_000, 'USD'),
    ],
  })
  const asked = { from: '2026-11-09', to: '2026-11-10', currency: undefined, compare: 'previous', metrics: ['cost'] }
  const { currency, other_currencies, totals } = await ask(facts, undefined, asked)
  assert.deepEqual([currency, other_currencies], ['USD', ['EUR']])
  assert.deepEqual([totals['cost'], totals['cost.before']], ['1.00', '2.00'])
  // The range has no amounts: only the day before it has.
  const before = await ask(facts, undefined, { ...asked, from: '2026-11-10' })
  assert.deepEqual([before.currency, before.other_currencies], ['USD', []])
})

test('rates are found by day, of the week before where the day has none, as of a moment', { timeout: 60_000 }, async (t) => {
  const { pool } = await withDatabase(t)
  const usd = 'USD' as Currency
  const gbp = 'GBP' as Currency
  const given = (day: string, currency: Currency, text: string): GivenRate => ({ day, currency, rate: parseRate(text)! })
  const origin = { source: 'test', by: 'test' }
  await storeRates(pool, 'EUR', [given('2026-11-06', usd, '1.25'), given('2026-11-06', gbp, '0.8')], origin)
  const find = (target: string, asOf?: Date) => readFactors(pool, { currencies: ['USD', 'GBP', 'EUR'], target, from: '2026-11-01', to: '2026-11-30', asOf })
  const toEuro = await find('EUR')
  assert.equal(toEuro.find('USD', '2026-11-05'), undefined)
  assert.equal(toEuro.find('USD', '2026-11-06'), (ONE * 4n) / 5n)
  assert.equal(toEuro.find('USD', '2026-11-13'), (ONE * 4n) / 5n)
  assert.equal(toEuro.find('USD', '2026-11-14'), undefined)
  assert.equal((await find('USD')).find('GBP', '2026-11-06'), 1_562_500_000_000_000_000n)
  assert.equal((await find('USD')).find('EUR', '2026-11-06'), (ONE * 5n) / 4n)
  const { rows: [moment] } = await pool.query<{ now: Date }>('SELECT clock_timestamp() AS now')
  await pool.query(`SELECT pg_sleep(0.002)`)
  assert.deepEqual(await storeRates(pool, 'EUR', [given('2026-11-06', usd, '2')], origin), { stored: 1, unchanged: 0 })
  assert.deepEqual(await storeRates(pool, 'EUR', [given('2026-11-06', usd, '2.0')], origin), { stored: 0, unchanged: 1 })
  assert.equal((await find('EUR')).find('USD', '2026-11-06'), ONE / 2n)
  assert.equal((await find('EUR', moment!.now)).find('USD', '2026-11-06'), (ONE * 4n) / 5n)
  await assert.rejects(pool.query('UPDATE exchange_rates SET rate = 1'), /append only/)
}) // prettier-ignore

test('converted sums are those of plain big integers, to the micro', async (t) => {
  const facts = await withClickHouse(t)
  const day = fc.integer({ min: 1, max: 9 }).map((number) => `2026-11-0${number}`)
  const currency = fc.constantFrom('EUR', 'USD', 'VND', 'KWD')
  const country = fc.constantFrom('DE', 'AT')
  const amount = fc.oneof(fc.integer({ min: -3, max: 3 }), fc.integer({ min: -9e12, max: 9e12 }))
  const row = fc.record({ day, currency, country, amount })
  const rate = fc.bigInt({ min: 1n, max: 10n ** 24n })
  await fc.assert(
    fc.asyncProperty(fc.array(row, { minLength: 1, maxLength: 40 }), fc.infiniteStream(rate), async (given, rates) => {
      await load(facts, {
        clicks: given.map((one) => click(`${one.day}T12:00:00Z`, one.amount, one.currency, one.country)),
        conversions: given.map((one) =>
          conversion(`${one.day}T12:00:00Z`, one.amount, one.currency, { country: one.country }),
        ),
      })
      const known = new Map<string, bigint>()
      const factorFor = (key: string): bigint =>
        known.get(key) ?? known.set(key, rates.next().value as bigint).get(key)!
      const factors: Factors = { find: (code, of) => factorFor(`${code} ${of}`) }
      const { rows, totals } = await ask(facts, () => factors, { group_by: ['country'], metrics: ['cost', 'revenue'] })
      const sum = (of: string | undefined): string | null => {
        const micros = convertSums(
          given
            .filter((one) => of === undefined || one.country === of)
            .map((one) => ({
              micros: BigInt(one.amount),
              factor: one.currency === 'EUR' ? ONE : factorFor(`${one.currency} ${one.day}`),
            })),
        )
        return micros > INT64_MAX || micros < -INT64_MAX - 1n ? null : formatAmount(micros, 2)
      }
      assert.deepEqual(totals, { cost: sum(undefined), revenue: sum(undefined) })
      for (const one of rows) {
        const of = one['country'] as string
        assert.deepEqual(one, { country: of, cost: sum(of), revenue: sum(of) })
      }
    }),
    { numRuns: 25, endOnFailure: true },
  )
})
