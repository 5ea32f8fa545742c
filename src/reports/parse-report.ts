import type { Tenant } from '#accounts'
import { isTimezone } from '#platform/clock'
import { parseCurrency } from '#platform/money'
import type { RuleLists } from '#rules'

import { parseCompare } from './compare.ts'
import { columnFormulaName, columnsOf, tablesOf, type Filter, type Report } from './compile-report.ts'
import { defineMetric, type CustomMetric } from './custom-metrics.ts'
import { filterValues, findDimension, isOfTime, type Dimension } from './dimensions.ts'
import {
  compileFormula,
  conditionSql,
  FormulaMistake,
  metricsOf,
  parseFormula,
  renameMetrics,
  type Formula,
  type FormulaMetric,
} from './formula/index.ts'
import { reportLimits } from './limits.ts'
import type { FactsTable } from './measures.ts'
import { defaultMetrics, findMetric, type Metric } from './metrics.ts'
import { parseRuleFilter, type RuleFilter } from './rule-filter.ts'
import { parseRange } from './time-range.ts'
import { noDimension, noMetric } from './unknown-name.ts'

export const DIMENSIONS_MAX = reportLimits.dimensionsMax
export const FILTERS_MAX = reportLimits.filtersMax
export const FILTER_VALUES_MAX = reportLimits.filterValuesMax
export const FILTER_VALUE_LENGTH_MAX = reportLimits.filterValueCharactersMax
export const FILTER_RULE_LENGTH_MAX = reportLimits.filterRuleCharactersMax
export const LIMIT_MAX = reportLimits.rowsMax
export const LIMIT_DEFAULT = reportLimits.rowsDefault
export const OFFSET_MAX = reportLimits.offsetMax
export const METRICS_MAX = reportLimits.metricsMax
export const ORDERS_MAX = reportLimits.ordersMax
export const FORMULAS_MAX = reportLimits.formulasMax

/** A report as somebody asks for it, all text. */
export type AskedReport = {
  readonly from?: string | undefined
  readonly to?: string | undefined
  readonly tz?: string | undefined
  readonly currency?: string | undefined
  readonly group_by?: readonly string[] | undefined
  readonly metrics?: readonly string[] | undefined
  /** Columns, comma-separated; `-` before one: descending. */
  readonly order?: string | undefined
  readonly limit?: number | undefined
  readonly offset?: number | undefined
  /** Metrics of this query alone: formulas by name. Those that `metrics` does not name stand after the others. */
  readonly formulas?: Readonly<Record<string, string>> | undefined
  /** A condition over metrics. */
  readonly having?: string | undefined
  /** `previous`, `year` or a period such as `2026-01-01..2026-01-31`. */
  readonly compare?: string | undefined
  readonly time?: 'event' | 'click' | undefined
  /** Values of the row that is opened, by dimension. */
  readonly parent?: Readonly<Record<string, readonly string[]>> | undefined
  /** Values by dimension. */
  readonly only: Readonly<Record<string, readonly string[]>>
  readonly not: Readonly<Record<string, readonly string[]>>
  /** A rule in its text form. */
  readonly filter?: string | undefined
}

export type ReportDefaults = {
  readonly timezone: string
  readonly currency: string
  readonly nowMs: number
  /** Those that a rule may name. */
  readonly lists?: RuleLists | undefined
  /** What the tenant has defined. */
  readonly customMetrics?: readonly CustomMetric[] | undefined
}

export type ParsedReport =
  | { readonly kind: 'asked'; readonly report: Omit<Report, 'currency'> & { readonly currency: string | undefined } }
  | { readonly kind: 'invalid'; readonly path: string; readonly detail: string }
  /** The metric or dimension exists, and this role may not see it. */
  | { readonly kind: 'forbidden'; readonly path: string; readonly detail: string }

type Refusal = Exclude<ParsedReport, { kind: 'asked' }>
const invalid = (path: string, detail: string): Refusal => ({ kind: 'invalid', path, detail })
const forbidden = (path: string, name: string, { role }: Tenant): Refusal => ({
  kind: 'forbidden',
  path,
  detail: `"${name}" is not shown to an ${role}`,
})
const isRefusal = (value: unknown): value is Refusal =>
  typeof value === 'object' && value !== null && 'kind' in value && 'detail' in value

/** Whether a report names metrics that are not of the registry, so that the tenant's own are needed. */
export function namesCustomMetrics({ metrics: names = [], having }: AskedReport): boolean {
  const parsed = having === undefined ? undefined : parseFormula(having)
  const inHaving = parsed?.kind === 'formula' ? metricsOf(parsed.formula) : []
  return [...names, ...inHaving].some((name) => findMetric(name) === undefined)
}

/** Checks a report against the registries and the tenant's role. Pure. */
export function parseReport(asked: AskedReport, tenant: Tenant, defaults: ReportDefaults): ParsedReport {
  const timezone = asked.tz ?? defaults.timezone
  if (!isTimezone(timezone)) return invalid('tz', `"${timezone}" is no IANA time zone`)
  const range = parseRange(asked.from, asked.to, timezone, defaults.nowMs)
  if ('problem' in range) return invalid(range.path, `"${range.path}" ${range.problem}`)
  const currency = asked.currency === undefined ? undefined : parseCurrency(asked.currency)
  if (asked.currency !== undefined && currency === undefined)
    return invalid('currency', `"${asked.currency}" is no ISO 4217 code`)
  const groupBy = parseDimensions(asked.group_by ?? [], tenant)
  if (isRefusal(groupBy)) return groupBy
  const custom = parseCustom(asked.formulas ?? {}, tenant, defaults)
  if (isRefusal(custom)) return custom
  const metrics = parseMetrics(asked, tenant, custom)
  if (isRefusal(metrics)) return metrics
  const compare = parseCompare(asked.compare, range, timezone)
  if (compare !== undefined && 'problem' in compare) return invalid('compare', compare.problem)
  const columns = columnsOf({ metrics, compare }).map(({ name }) => name)
  const having = parseHaving(asked.having, groupBy, tenant, custom, compare !== undefined)
  if (isRefusal(having)) return having
  const tables = tablesOf({ metrics, custom: custom.map(({ metric }) => metric), having }, tenant.role)
  const filters = parseFilters(asked, tenant, tables)
  if (isRefusal(filters)) return filters
  const rule = parseRuleOf(asked.filter, tenant, defaults, tables)
  if (isRefusal(rule)) return rule
  const order = parseOrder(asked.order, groupBy, columns)
  if (isRefusal(order)) return order
  const { limit = LIMIT_DEFAULT, offset = 0, time = 'event' } = asked
  if (!(Number.isInteger(limit) && limit >= 1 && limit <= LIMIT_MAX)) return invalid('limit', `1 to ${LIMIT_MAX} rows`)
  if (!(Number.isInteger(offset) && offset >= 0 && offset <= OFFSET_MAX))
    return invalid('offset', `0 to ${OFFSET_MAX} rows`)
  const rows = { range, timezone, filters, rule, time }
  return {
    kind: 'asked',
    report: { ...rows, currency, groupBy, metrics, custom: custom.map(({ metric }) => metric), having, order, limit, offset, compare },
  }
} // prettier-ignore

function parseDimensions(names: readonly string[], tenant: Tenant): readonly Dimension[] | Refusal {
  if (names.length > DIMENSIONS_MAX) return invalid('group_by', `at most ${DIMENSIONS_MAX} dimensions`)
  const found: Dimension[] = []
  for (const name of new Set(names)) {
    const dimension = findDimension(name)
    if (dimension === undefined) return invalid('group_by', noDimension(name, tenant.role))
    if (!dimension.visibleTo.includes(tenant.role)) return forbidden('group_by', name, tenant)
    found.push(dimension)
  }
  return found
}

type Custom = { readonly metric: Metric; readonly isOfQuery: boolean }

/** Metrics by formula: those of the query, and those that the tenant keeps. One that is kept and cannot be computed for this role
 * is not there, as if it had another's name.
 */
function parseCustom(formulas: Readonly<Record<string, string>>, tenant: Tenant, { customMetrics = [] }: ReportDefaults): readonly Custom[] | Refusal {
  const asked = Object.entries(formulas)
  if (asked.length > FORMULAS_MAX) return invalid('', `at most ${FORMULAS_MAX} formulas`)
  const found: Custom[] = []
  for (const [name, formula] of asked) {
    const defined = defineMetric({ name, formula }, tenant.role)
    const path = `formula.${name}`
    if (defined.kind === 'hidden') return forbidden(path, defined.metric, tenant)
    if (defined.kind === 'invalid') return invalid(path, defined.message)
    found.push({ metric: defined.metric, isOfQuery: true })
  }
  for (const kept of customMetrics) {
    const defined = defineMetric(kept, tenant.role)
    if (defined.kind === 'metric' && !Object.hasOwn(formulas, kept.name)) found.push({ metric: defined.metric, isOfQuery: false })
  }
  return found
} // prettier-ignore

function parseMetrics({ metrics: names = [] }: AskedReport, tenant: Tenant, custom: readonly Custom[]): readonly Metric[] | Refusal {
  const ofQuery = custom.filter(({ isOfQuery }) => isOfQuery).map(({ metric }) => metric)
  if (names.length === 0) return ofQuery.length > 0 ? ofQuery : defaultMetrics(tenant.role)
  const found: Metric[] = []
  for (const name of new Set([...names, ...ofQuery.map((metric) => metric.name)])) {
    const metric = findVisible('metrics', name, tenant, custom)
    if (isRefusal(metric)) return metric
    found.push(metric)
  }
  return found.length > METRICS_MAX ? invalid('metrics', `at most ${METRICS_MAX} metrics`) : found
} // prettier-ignore

function findVisible(path: string, name: string, tenant: Tenant, custom: readonly Custom[]): Metric | Refusal {
  const metric = findMetric(name) ?? custom.find((one) => one.metric.name === name)?.metric
  if (metric === undefined) {
    const own = custom.flatMap((one) => (one.metric.visibleTo.includes(tenant.role) ? [one.metric.name] : []))
    return invalid(path, noMetric(name, tenant.role, own))
  }
  return metric.visibleTo.includes(tenant.role) ? metric : forbidden(path, name, tenant)
}

const COMPARED = /^(.+)\.(before|change|change_ratio)$/

/** A condition over any metric that the role may see, and over what is compared. */
function parseHaving(
  text: string | undefined,
  groupBy: readonly Dimension[],
  tenant: Tenant,
  custom: readonly Custom[],
  isCompared: boolean,
): Formula | undefined | Refusal {
  if (text === undefined) return undefined
  if (groupBy.length === 0) return invalid('having', 'it chooses among the rows of a grouping, and "group_by" is empty')
  const parsed = parseFormula(text)
  if (parsed.kind === 'invalid') return invalid('having', `character ${parsed.column}: ${parsed.message}`)
  const plain = (name: string): string => (isCompared ? (COMPARED.exec(name)?.[1] ?? name) : name)
  for (const name of metricsOf(parsed.formula)) {
    const metric = findVisible('having', plain(name), tenant, custom)
    if (isRefusal(metric)) return metric
  }
  const having = renameMetrics(parsed.formula, (name) => {
    const [, metric, of] = (isCompared && COMPARED.exec(name)) || []
    return metric === undefined ? name : columnFormulaName(metric, of as 'before')
  })
  const mistake = conditionMistake(having, (name) => unitOf(name, tenant, custom))
  return mistake === undefined ? having : invalid('having', mistake)
}

/** What is wrong with the units of a condition. */
function conditionMistake(having: Formula, unit: (name: string) => Metric['unit']): string | undefined {
  try {
    conditionSql(compileFormula(having, (name) => metricOfUnit(unit(name))))
    return undefined
  } catch (mistake) {
    if (mistake instanceof FormulaMistake) return `character ${mistake.column}: ${mistake.message}`
    throw mistake
  }
}

const metricOfUnit = (unit: Metric['unit']): FormulaMetric => ({
  kind: 'column',
  sql: '0',
  unit: unit === 'ratio' ? 'count' : unit,
})

function unitOf(name: string, tenant: Tenant, custom: readonly Custom[]): Metric['unit'] {
  const [metric = '', of] = name.split('~')
  const found = findVisible('having', metric, tenant, custom)
  return of === 'change_ratio' || isRefusal(found) ? 'ratio' : found.unit
}

function parseFilters({ only, not, parent = {} }: AskedReport, tenant: Tenant, tables: readonly FactsTable[]): readonly Filter[] | Refusal {
  const asked = [
    ...Object.entries(only).map(([name, values]) => ({ path: name, name, values, isExcluded: false, isParent: false })),
    ...Object.entries(not).map(([name, values]) => ({ path: `not.${name}`, name, values, isExcluded: true, isParent: false })),
    ...Object.entries(parent).map(([name, values]) => ({ path: `parent.${name}`, name, values, isExcluded: false, isParent: true })),
  ]
  if (asked.length > FILTERS_MAX) return invalid('', `at most ${FILTERS_MAX} filters`)
  const filters: Filter[] = []
  for (const { path, name, values, isExcluded, isParent } of asked) {
    const dimension = findDimension(name)
    if (dimension === undefined) return invalid(path, noDimension(name, tenant.role, 'filter'))
    if (!dimension.visibleTo.includes(tenant.role)) return forbidden(path, name, tenant)
    if (values.length > FILTER_VALUES_MAX) return invalid(path, `at most ${FILTER_VALUES_MAX} values`)
    if (values.some((value) => value.length > FILTER_VALUE_LENGTH_MAX))
      return invalid(path, `a value has at most ${FILTER_VALUE_LENGTH_MAX} characters`)
    const read = filterValues(dimension, values)
    if ('problem' in read) return invalid(path, read.problem)
    const without = isParent ? undefined : tables.find((table) => !dimension.tables.includes(table))
    if (without !== undefined)
      return invalid(path, `"${name}" is known of ${dimension.tables.join(' and ')}, and not of ${without}, which the metrics count too; ask for other metrics, or group by it`)
    filters.push({ dimension, values, isExcluded, isParent })
  }
  return filters
} // prettier-ignore

function parseRuleOf(
  text: string | undefined,
  tenant: Tenant,
  { lists }: ReportDefaults,
  needed: readonly FactsTable[],
): RuleFilter | undefined | Refusal {
  if (text === undefined) return undefined
  const parsed = parseRuleFilter(text, tenant, lists, needed)
  switch (parsed.kind) {
    case 'filter':
      return parsed.filter
    case 'invalid':
      return invalid('filter', parsed.detail)
    case 'forbidden':
      return forbidden('filter', parsed.field, tenant)
    default:
      return parsed satisfies never
  }
}

/** By default in the order of time where the time comes first, else the largest first. */
function parseOrder(
  text: string | undefined,
  groupBy: readonly Dimension[],
  columns: readonly string[],
): Report['order'] | Refusal {
  const first = groupBy[0]
  if (text === undefined) {
    if (first !== undefined && isOfTime(first)) return [{ by: first.name, isDescending: false }]
    return [{ by: columns[0]!, isDescending: true }]
  }
  const asked = text.split(',').map((part) => part.trim()).filter((part) => part !== '')
  if (asked.length === 0 || asked.length > ORDERS_MAX) return invalid('order', `1 to ${ORDERS_MAX} columns`)
  const order: Report['order'][number][] = []
  for (const part of asked) {
    const isDescending = part.startsWith('-')
    const by = isDescending ? part.slice(1) : part
    if (!groupBy.some(({ name }) => name === by) && !columns.includes(by))
      return invalid('order', `"${by}" is neither in group_by nor in metrics`)
    order.push({ by, isDescending })
  }
  return order
} // prettier-ignore
