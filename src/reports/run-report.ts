import type { Tenant } from '#accounts'
import type { FactsClient } from '#platform/clickhouse'
import { formatAmount } from '#platform/money'

import { askFacts } from './ask-facts.ts'
import { compileCurrencies, compileRows, compileTotals, type Report } from './compile-report.ts'
import type { Dimension } from './dimensions.ts'
import { isMoneySum, type Metric } from './metrics.ts'
import { formatHour } from './time-range.ts'

/** A value of a row: text of a dimension, a count, a ratio, an amount as decimal text, or nothing. */
export type ReportValue = string | number | null
export type ReportRow = Readonly<Record<string, ReportValue>>

export type ReportAnswer = {
  /** ISO 4217; all money of the answer is in it. */
  readonly currency: string
  /** Currencies of further amounts in the range that are not part of the answer. */
  readonly other_currencies: readonly string[]
  readonly rows: readonly ReportRow[]
  /** All rows as one, also those past the limit. */
  readonly totals: ReportRow
  /** Whether there are more rows than the limit. */
  readonly is_truncated: boolean
}

type FactsRow = Readonly<Record<string, string | number | null>>

/** Answers a report for a tenant: its own rows only, whatever the filters say.
 * @param query.currency left out: the one given as default where it occurs, else the most frequent one
 * @throws {WaypostError} facts_unavailable, query_too_expensive
 */
export async function runReport(
  facts: FactsClient,
  tenant: Tenant,
  query: Omit<Report, 'currency'> & { readonly currency: string | undefined; readonly defaultCurrency: string },
): Promise<ReportAnswer> {
  const present = hasMoney(query.metrics) ? await findCurrencies(facts, tenant, query) : []
  const currency = query.currency ?? chooseCurrency(present, query.defaultCurrency)
  const report: Report = { ...query, currency }
  const [rows, totals] = await askRowsAndTotals(facts, tenant, report)
  return {
    currency,
    other_currencies: present.filter((one) => one !== currency).sort(),
    rows: rows.slice(0, report.limit).map((row) => toRow(row, report, report.groupBy)),
    totals: toRow(totals[0] ?? {}, report, []),
    is_truncated: rows.length > report.limit,
  }
}

/** Without groups the one row is the total. */
async function askRowsAndTotals(
  facts: FactsClient,
  tenant: Tenant,
  report: Report,
): Promise<[readonly FactsRow[], readonly FactsRow[]]> {
  const asked = askFacts<FactsRow>(facts, compileTotals(report, tenant))
  if (report.groupBy.length > 0) return Promise.all([askFacts<FactsRow>(facts, compileRows(report, tenant)), asked])
  const totals = await asked
  return [totals, totals]
}

const hasMoney = (metrics: readonly Metric[]): boolean => metrics.some(({ sums }) => sums.some(isMoneySum))

async function findCurrencies(
  facts: FactsClient,
  tenant: Tenant,
  query: Omit<Report, 'currency'>,
): Promise<readonly string[]> {
  const rows = await askFacts<{ currency: string }>(facts, compileCurrencies(query, tenant))
  return rows.map(({ currency }) => currency)
}

/** Amounts of different currencies are never added: a report has one. */
function chooseCurrency(present: readonly string[], byDefault: string): string {
  return present.length === 0 || present.includes(byDefault) ? byDefault : present[0]!
}

function toRow(row: FactsRow, { metrics, timezone }: Report, groupBy: readonly Dimension[]): ReportRow {
  const groups = groupBy.map(
    (dimension, index) => [dimension.name, groupValue(dimension, row[`g${index}`] ?? '', timezone)] as const,
  )
  const measures = metrics.map(
    (metric) => [metric.name, measureValue(metric, row[`m_${metric.name}`] ?? null)] as const,
  )
  return Object.fromEntries<ReportValue>([...groups, ...measures])
}

const groupValue = (dimension: Dimension, value: string | number, timezone: string): ReportValue =>
  dimension.kind === 'hour' ? formatHour(Number(value), timezone) : String(value)

function measureValue({ unit }: Metric, value: string | number | null): ReportValue {
  if (value === null) return null
  return unit === 'money' ? formatAmount(BigInt(value), 2) : Number(value)
}
