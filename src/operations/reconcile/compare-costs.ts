/** Cost imports as PostgreSQL has them against their shares in the facts, to the micro. */
import { sumShares, type BookedAmount } from '#costs'
import type { FactsClient } from '#platform/clickhouse'

import { compare, type Check } from './check.ts'

/** Totals of each currency, how many imports differ, and shares that are there twice. */
export async function compareCosts(facts: FactsClient, booked: readonly BookedAmount[]): Promise<readonly Check[]> {
  const { sums, repeated } = await sumShares(facts, booked)
  const nothing = { micros: '0' }
  const keys = new Map([...booked, ...sums].map((one) => [`${one.import_id} ${one.currency}`, one]))
  const of = (rows: readonly BookedAmount[]): ReadonlyMap<string, { readonly micros: string }> =>
    new Map(rows.map((one) => [`${one.import_id} ${one.currency}`, one]))
  const [expected, found] = [of(booked), of(sums)]
  const differing = [...keys].flatMap(([key, { import_id, currency }]) => {
    const [should, is] = [expected.get(key) ?? nothing, found.get(key) ?? nothing]
    return BigInt(should.micros) === BigInt(is.micros) ? [] : [`import ${import_id}: ${should.micros} micros of ${currency}, found ${is.micros}`] // prettier-ignore
  })
  const currencies = [...new Set([...keys.values()].map(({ currency }) => currency))].filter((one) => one !== '').sort()
  const total = (rows: readonly BookedAmount[], currency: string): bigint =>
    rows.reduce((sum, one) => (one.currency === currency ? sum + BigInt(one.micros) : sum), 0n)
  return [
    ...currencies.map((currency) =>
      compare(
        'costs_in_facts',
        `imported costs in micros of ${currency}, as they were booked and in the facts`,
        total(booked, currency),
        total(sums, currency),
        differing,
      ),
    ),
    compare('cost_imports_in_facts', 'cost imports whose shares are not their amounts', 0, differing.length, differing),
    compare('costs_once_in_facts', 'shares of costs that are in the facts more than once', 0, repeated),
  ]
}
