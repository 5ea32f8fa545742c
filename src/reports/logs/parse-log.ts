import type { Tenant } from '#accounts'

import type { CompiledQuery } from '../compile-report.ts'
import { parseReport, type AskedReport, type ReportDefaults } from '../parse-report.ts'
import { factsSource } from '../source.ts'
import type { TimeRange } from '../time-range.ts'
import { compileWhere } from '../where.ts'
import { logColumns, visibleLogColumns, type FactsLog, type LogColumn } from './log-columns.ts'

export const LOG_COLUMNS_MAX = 120

/** Rows of a log as somebody asks for them, all text; with the filters of reports. */
export type AskedLog = Pick<AskedReport, 'from' | 'to' | 'tz' | 'only' | 'not' | 'filter'> & {
  /** Names; left out: all that the tenant may see. */
  readonly columns?: readonly string[] | undefined
  readonly order?: LogOrder | undefined
}

export const logOrders = ['newest', 'oldest'] as const
export type LogOrder = (typeof logOrders)[number]

/** A question for rows of a log, already checked. */
export type LogQuery = {
  readonly log: FactsLog
  readonly columns: readonly LogColumn[]
  readonly range: TimeRange
  readonly timezone: string
  readonly order: LogOrder
  /** The tenant's rows in a range that meet the filters. */
  readonly where: (range: TimeRange) => CompiledQuery
}

export type ParsedLog =
  | { readonly kind: 'asked'; readonly query: LogQuery }
  | { readonly kind: 'invalid'; readonly path: string; readonly detail: string }
  | { readonly kind: 'forbidden'; readonly path: string; readonly detail: string }

/** A metric of each table: what a report on it may be filtered by, its log may be too. */
const METRIC_OF: Readonly<Record<FactsLog, string>> = { clicks: 'clicks', events: 'opens', conversions: 'leads' }

const ofOtherRange = (path: string): ParsedLog => ({ kind: 'invalid', path, detail: 'the cursor is of another range' })

/** Checks a question for rows of a log against the registries and the tenant's role. Pure.
 * @param range of the first page, for the pages after it; left out: that of `from` and `to`
 */
export function parseLog(
  log: FactsLog,
  asked: AskedLog,
  tenant: Tenant,
  defaults: ReportDefaults,
  range?: TimeRange,
): ParsedLog {
  const { columns: names, order, ...filters } = asked
  const parsed = parseReport({ ...filters, metrics: [METRIC_OF[log]] }, tenant, defaults)
  if (parsed.kind !== 'asked') return parsed
  const { report } = parsed
  if (range !== undefined && asked.from !== undefined && report.range.fromMs !== range.fromMs)
    return ofOtherRange('from')
  if (range !== undefined && asked.to !== undefined && report.range.toMs !== range.toMs) return ofOtherRange('to')
  const columns = parseColumns(log, names, tenant)
  if ('kind' in columns) return columns
  const query: LogQuery = {
    ...{ log, columns, timezone: report.timezone, order: order ?? 'newest', range: range ?? report.range },
    where: (within) =>
      ofLog(log, compileWhere({ ...report, range: within }, tenant, log), { ...report, range: within }, tenant),
  }
  return { kind: 'asked', query }
}

type Rows = Parameters<typeof compileWhere>[0]

/** A conversion is its newest revision: rows of sign 1 whose values no later revision took back. */
function ofLog(log: FactsLog, { sql, params }: CompiledQuery, rows: Rows, tenant: Tenant): CompiledQuery {
  if (log !== 'conversions') return { sql, params }
  const own = compileWhere({ ...rows, filters: [], rule: undefined }, tenant, log)
  const past = `SELECT conversion_id, revision - 1 FROM ${factsSource(log)} WHERE sign = -1 AND ${own.sql}`
  return {
    sql: `sign = 1 AND ${sql} AND (conversion_id, revision) NOT IN (${past})`,
    params: { ...params, ...own.params },
  }
}

function parseColumns(
  log: FactsLog,
  names: readonly string[] | undefined,
  { role }: Tenant,
): readonly LogColumn[] | Exclude<ParsedLog, { kind: 'asked' }> {
  if (names === undefined || names.length === 0) return visibleLogColumns(log, role)
  if (names.length > LOG_COLUMNS_MAX)
    return { kind: 'invalid', path: 'columns', detail: `at most ${LOG_COLUMNS_MAX} columns` }
  const found: LogColumn[] = []
  for (const name of new Set(names)) {
    const column = logColumns(log).find((one) => one.name === name)
    if (column === undefined)
      return { kind: 'invalid', path: 'columns', detail: `the log of ${log} has no column "${name}"` }
    if (!column.visibleTo.includes(role))
      return { kind: 'forbidden', path: 'columns', detail: `"${name}" is not shown to an ${role}` }
    found.push(column)
  }
  return found
}
