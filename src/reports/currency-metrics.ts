import type { Role } from '#accounts'
import { quote } from '#platform/clickhouse'

import { amountsPresent, moneyTablesOf, type Report } from './compile-report.ts'
import { countedRows, type Measure } from './measures.ts'
import type { Metric } from './metrics.ts'

/** Counts, beside what a report asks, the rows whose amounts are in each of some currencies, and those in any other (undefined); for itself
 * and never shown. Its own rows are those that it counts for its amounts.
 */
export function countCurrencies(
  currencies: readonly string[],
  report: Report,
  role: Role,
): readonly { readonly currency: string | undefined; readonly metric: Metric }[] {
  const none = `currency NOT IN (${['', ...currencies].map(quote).join(', ')})`
  return moneyTablesOf(report, role).flatMap((table) => [
    ...currencies.map((currency) => ({ currency, metric: metricOf(currency, `currency = ${quote(currency)}`, table) })),
    { currency: undefined, metric: metricOf('another currency', none, table) },
  ])
}

function metricOf(what: string, condition: string, table: keyof typeof amountsPresent): Metric {
  const name = `amounts in ${what} of ${table}`
  const measure: Measure = {
    ...{ name, table, rows: countedRows[table], unit: 'count', kind: 'sum', of: undefined },
    when: `${condition} AND ${amountsPresent[table]}`,
  }
  return {
    ...{ name, title: name, description: '', formula: '', unit: 'count', format: 'integer', visibleTo: [], isDefault: false },
    definition: () => ({ kind: 'measure', measure }),
  }
} // prettier-ignore
