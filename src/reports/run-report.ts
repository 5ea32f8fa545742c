import type { Tenant } from '#accounts'
import type { FactorQuestion, Factors } from '#currencies'
import type { FactsClient } from '#platform/clickhouse'
import { formatAmount } from '#platform/money'

import { askFactsTotalled, type FactsRow } from './ask-facts.ts'
import { askInCurrency } from './ask-in-currency.ts'
import { compileReport, type Report, type ValueColumn } from './compile-report.ts'
import { dimensionValue, type Dimension } from './dimensions.ts'
import type { Format, Unit } from './metrics.ts'
import type { Unconverted } from './settle-currency.ts'
import type { MissingDays } from './source.ts'

/** A value of a row: text of a dimension, a count, a ratio, an amount as decimal text, or nothing. */
export type ReportValue = string | number | null
export type ReportRow = Readonly<Record<string, ReportValue>>

/** A column of an answer: a dimension, or a number with its unit and how it is shown. */
export type ReportColumn = {
  readonly name: string
  /** For people: the head of the column. */
  readonly title: string
  readonly kind: 'dimension' | 'metric'
  /** Null: of a dimension. */
  readonly unit: Unit | null
  readonly format: Format | 'text'
}

/** A report that was parsed, with its currency or the one to prefer. */
export type ReportQuery = Omit<Report, 'currency' | 'conversion'> & {
  readonly currency: string | undefined
  readonly defaultCurrency: string
  /** Where rates are found; undefined: amounts in other currencies are left out. */
  readonly rates?: { readonly find: (question: FactorQuestion) => Promise<Factors> } | undefined
}

export type ReportAnswer = {
  /** ISO 4217; all money of the answer is in it. */
  readonly currency: string
  /** Currencies of further amounts in the range that are not part of the answer, or not all of them. */
  readonly other_currencies: readonly string[]
  /** Currencies whose amounts were converted. */
  readonly converted_currencies: readonly string[]
  /** Amounts that are not part of the answer because their days have no rate; empty where nothing is converted. */
  readonly unconverted: readonly Unconverted[]
  /** Days that are not part of the answer, or not with all of their rows. */
  readonly missing_days: readonly MissingDays[]
  /** What each name of a row is, in the order of a table's columns. */
  readonly columns: readonly ReportColumn[]
  readonly rows: readonly ReportRow[]
  /** All rows as one, also those past the limit. */
  readonly totals: ReportRow
  /** Rows without the limit. */
  readonly total_rows: number
  /** Whether there are more rows than the limit. */
  readonly is_truncated: boolean
}

/** Answers a report for a tenant: its own rows only, whatever the filters say.
 * @param query.currency left out: the one given as default where it occurs, else the most frequent one
 * @throws {WaypostError} facts_unavailable, query_too_expensive
 */
export async function runReport(facts: FactsClient, tenant: Tenant, query: ReportQuery): Promise<ReportAnswer> {
  const { settled, columns, page } = await askInCurrency(facts, tenant, query)
  const { report, others, converted, unconverted } = settled
  const { rows, totals, rowsTotal } = page
  const read = (row: FactsRow, groupBy: readonly Dimension[]): ReportRow => toRow(row, report, groupBy, columns)
  const isGrouped = report.groupBy.length > 0
  const total = isGrouped ? totals : rows[0]
  return {
    currency: report.currency,
    missing_days: report.sources?.missing() ?? [],
    ...{ other_currencies: others, converted_currencies: converted, unconverted },
    columns: describeColumns(report, columns),
    rows: rows.map((row) => read(row, report.groupBy)),
    totals: read(total ?? (await askNothing(facts, tenant, report)), []),
    total_rows: isGrouped ? rowsTotal : 1,
    is_truncated: isGrouped && rowsTotal > report.offset + rows.length,
  }
} // prettier-ignore

/** The totals of no rows. */
async function askNothing(facts: FactsClient, tenant: Tenant, report: Report): Promise<FactsRow> {
  const { fromMs } = report.range
  const nowhere = { fromMs, toMs: fromMs }
  const compare = report.compare && { ...report.compare, range: nowhere }
  const none = { ...report, range: nowhere, compare, groupBy: [], having: undefined }
  return (await askFactsTotalled<FactsRow>(facts, compileReport(none, tenant))).rows[0] ?? {}
}

const SUFFIX_TITLES: Readonly<Record<ValueColumn['of'], string>> = {
  ...{ value: '', before: ', before', change: ', change', change_ratio: ', change in %' },
}

export function describeColumns({ groupBy }: Report, columns: readonly ValueColumn[]): readonly ReportColumn[] {
  return [
    ...groupBy.map(({ name, title }): ReportColumn => ({ name, title, kind: 'dimension', unit: null, format: 'text' })),
    ...columns.map(({ name, metric, of, unit }): ReportColumn => ({
      ...{ name, title: metric.title + SUFFIX_TITLES[of], kind: 'metric', unit },
      format: of === 'change_ratio' ? 'percent' : metric.format,
    })),
  ]
}

export function toRow(
  row: FactsRow,
  { timezone }: Report,
  groupBy: readonly Dimension[],
  columns: readonly ValueColumn[],
): ReportRow {
  const groups = groupBy.map(
    (dimension, index) => [dimension.name, dimensionValue(dimension, row[`g${index}`] ?? '', timezone)] as const,
  )
  const values = columns.map(({ name, unit }, index) => [name, numberValue(unit, row[`v${index}`] ?? null)] as const)
  return Object.fromEntries<ReportValue>([...groups, ...values])
}

function numberValue(unit: Unit, value: string | number | null): ReportValue {
  if (value === null) return null
  if (unit === 'money') return formatAmount(BigInt(value), 2)
  return unit === 'seconds' ? Number(value) / 1000 : Number(value)
}
