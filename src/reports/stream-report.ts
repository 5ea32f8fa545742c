import type { Tenant } from '#accounts'
import { linesOf, streamFacts, writeFactsFile, type FactsClient } from '#platform/clickhouse'

import { exactSettings, factsError, type FactsRow } from './ask-facts.ts'
import { compileReport, type CompiledQuery, type CompiledReport, type Report } from './compile-report.ts'
import type { Dimension } from './dimensions.ts'
import type { Cell, CellType, TableColumn } from './formats/table.ts'
import type { Format, Unit } from './metrics.ts'
import { describeColumns, toRow, type ReportQuery } from './run-report.ts'
import { inCurrencyAbove, settleCurrency } from './settle-currency.ts'
import { findSources, refuseMissing } from './source.ts'

/** A report as a table that comes row by row, without totals. */
export type StreamedReport = {
  /** ISO 4217; all money is in it. */
  readonly currency: string
  /** Currencies of further amounts that are not in the table, in all or for some days. */
  readonly other_currencies: readonly string[]
  readonly columns: readonly TableColumn[]
  readonly rows: AsyncIterable<readonly Cell[]>
  /** The same as a Parquet file. @returns rows */
  readonly writeParquet: (file: string, onProgress?: (rows: number) => void) => Promise<number | undefined>
}

/** What one question may take: a table for somebody who waits, or an export in the background. */
export type StreamLimits = { readonly secondsMax: number; readonly threads: number; readonly signal?: AbortSignal }

const MEMORY_BYTES_MAX = 1_000_000_000

/** Says of a report before anybody waits for its table whether it would be refused.
 * @throws {WaypostError} conflict: it would lack retired days
 */
export async function refuseMissingReport(facts: FactsClient, tenant: Tenant, query: ReportQuery): Promise<void> {
  const { rates: _, defaultCurrency, ...plain } = query
  const sources = await findSources(facts, tenant, plain)
  if (sources === undefined) return
  compileReport({ ...plain, sources, currency: plain.currency ?? defaultCurrency }, tenant)
  refuseMissing('A report as a table', sources.missing())
}

/** Answers a report for a tenant as a table of any length: `limit` and `offset` of the query hold, whatever they are.
 * @throws {WaypostError} facts_unavailable, query_too_expensive; also while rows are read
 */
export async function streamReport(
  facts: FactsClient,
  tenant: Tenant,
  query: ReportQuery,
  { secondsMax, threads, signal }: StreamLimits,
): Promise<StreamedReport> {
  const sources = await findSources(facts, tenant, query)
  const { report, others } = await settleCurrency(
    facts,
    tenant,
    await inCurrencyAbove(facts, tenant, { ...query, sources }),
  )
  const compiled = compileReport(report, tenant)
  refuseMissing('A report as a table', report.sources?.missing() ?? [])
  const common = {
    settings: {
      ...{ max_execution_time: secondsMax, max_memory_usage: MEMORY_BYTES_MAX, max_threads: threads },
      ...{ totals_mode: 'after_having_exclusive', ...exactSettings },
    },
    ...(signal && { signal }),
  }
  const asked = { ...compiled, ...common, format: 'JSONEachRow' } as const
  return {
    currency: report.currency,
    other_currencies: others,
    columns: tableOf(report, compiled),
    rows: readRows(linesOf(streamFacts(facts, asked)), report, compiled),
    writeParquet: (file, onProgress) =>
      writeFactsFile(facts, {
        ...{ ...typedQuery(report, compiled), ...common, file, format: 'Parquet' as const },
        ...(onProgress && { onProgress }),
      }).catch((error: unknown) => {
        throw factsError(error)
      }),
  }
}

async function* readRows(
  lines: AsyncIterable<string>,
  report: Report,
  { columns }: CompiledReport,
): AsyncIterable<readonly Cell[]> {
  try {
    for await (const line of lines) {
      const row = JSON.parse(line, asText) as FactsRow
      yield Object.values(toRow(row, report, report.groupBy, columns))
    }
  } catch (error) {
    throw factsError(error)
  }
}

/** Amounts of 64 bits stand in the line as numbers with more digits than a number holds. */
const asText = (_key: string, value: unknown, context?: { readonly source?: string }): unknown =>
  typeof value === 'number' && !Number.isSafeInteger(value) && /^-?\d+$/.test(context?.source ?? '')
    ? context!.source
    : value

function tableOf(report: Report, compiled: CompiledReport): readonly TableColumn[] {
  return describeColumns(report, compiled.columns).map(({ name, title, format }, index) => ({
    ...{ name, title, type: cellTypeOf(format, report.groupBy[index]) },
  }))
}

const cellTypes: Readonly<Record<Format, CellType>> = {
  ...{ integer: 'integer', decimal: 'decimal', percent: 'percent', money: 'money', duration: 'seconds' },
}

function cellTypeOf(format: Format | 'text', dimension: Dimension | undefined): CellType {
  if (format !== 'text') return cellTypes[format]
  switch (dimension?.kind) {
    case 'date':
      return 'date'
    case 'hour':
      return 'time'
    case 'hour_of_day':
    case 'weekday':
    case 'number':
      return 'integer'
    default:
      return 'text'
  }
}

/** The columns of a report with their types, for a format that has types. */
function typedQuery({ groupBy, timezone }: Report, { sql, params, columns }: CompiledReport): CompiledQuery {
  const groups = groupBy.map((dimension, index) => `${typedGroup(dimension, `g${index}`)} AS \`${dimension.name}\``)
  const values = columns.map(({ name, unit }, index) => `${typedValue(unit, `v${index}`)} AS \`${name}\``)
  return { sql: `SELECT ${[...groups, ...values].join(', ')} FROM (${sql})`, params: { ...params, timezone } }
}

function typedGroup({ kind }: Dimension, column: string): string {
  switch (kind) {
    case 'hour':
      return `toDateTime(${column}, {timezone:String})`
    case 'week':
      return `formatDateTime(${column}, '%G-W%V')`
    case 'month':
      return `formatDateTime(${column}, '%Y-%m')`
    case 'date':
    case 'hour_of_day':
    case 'weekday':
    case 'number':
      return column
    default:
      return `toString(${column})`
  }
}

function typedValue(unit: Unit, column: string): string {
  if (unit === 'money') return `CAST(${column} AS Nullable(Decimal(38, 6))) / 1000000`
  return unit === 'seconds' ? `${column} / 1000` : column
}
