import type { Tenant } from '#accounts'
import { parseCurrency } from '#platform/money'
import type { RuleLists } from '#rules'

import type { Filter, Report } from './compile-report.ts'
import { findDimension, type Dimension } from './dimensions.ts'
import { factsSums, metrics as allMetrics, visibleMetrics, type Metric } from './metrics.ts'
import { parseRuleFilter, type RuleFilter } from './rule-filter.ts'
import { isTimezone, parseRange } from './time-range.ts'

export const DIMENSIONS_MAX = 6
export const FILTERS_MAX = 20
export const FILTER_VALUES_MAX = 200
export const FILTER_VALUE_LENGTH_MAX = 255
/** Characters of a rule: with the rest of the query it stays below the longest URL. */
export const FILTER_RULE_LENGTH_MAX = 8_000
export const LIMIT_MAX = 10_000
export const LIMIT_DEFAULT = 100

/** A report as somebody asks for it, all text. */
export type AskedReport = {
  readonly from?: string | undefined
  readonly to?: string | undefined
  readonly tz?: string | undefined
  readonly currency?: string | undefined
  readonly group_by?: readonly string[] | undefined
  readonly metrics?: readonly string[] | undefined
  /** Metric or dimension; `-` before it: descending. */
  readonly order?: string | undefined
  readonly limit?: number | undefined
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
  /** Those that a rule may name. */ readonly lists?: RuleLists | undefined
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
  const metrics = parseMetrics(asked.metrics, tenant)
  if (isRefusal(metrics)) return metrics
  const filters = parseFilters(asked, tenant)
  if (isRefusal(filters)) return filters
  const rule = parseRuleOf(asked.filter, tenant, defaults, metrics)
  if (isRefusal(rule)) return rule
  const order = parseOrder(asked.order, groupBy, metrics)
  if (isRefusal(order)) return order
  const limit = asked.limit ?? LIMIT_DEFAULT
  return { kind: 'asked', report: { range, timezone, currency, groupBy, metrics, filters, rule, order, limit } }
}

function parseDimensions(names: readonly string[], tenant: Tenant): readonly Dimension[] | Refusal {
  if (names.length > DIMENSIONS_MAX) return invalid('group_by', `at most ${DIMENSIONS_MAX} dimensions`)
  const found: Dimension[] = []
  for (const name of new Set(names)) {
    const dimension = findDimension(name)
    if (dimension === undefined) return invalid('group_by', `there is no dimension "${name}"`)
    if (!dimension.visibleTo.includes(tenant.role)) return forbidden('group_by', name, tenant)
    found.push(dimension)
  }
  return found
}

function parseMetrics(names: readonly string[] | undefined, tenant: Tenant): readonly Metric[] | Refusal {
  if (names === undefined || names.length === 0) return visibleMetrics(tenant.role)
  const found: Metric[] = []
  for (const name of new Set(names)) {
    const metric = allMetrics.get(name)
    if (metric === undefined) return invalid('metrics', `there is no metric "${name}"`)
    if (!metric.visibleTo.includes(tenant.role)) return forbidden('metrics', name, tenant)
    found.push(metric)
  }
  return found
}

function parseFilters({ only, not }: AskedReport, tenant: Tenant): readonly Filter[] | Refusal {
  const asked = [
    ...Object.entries(only).map(([name, values]) => ({ path: name, name, values, isExcluded: false })),
    ...Object.entries(not).map(([name, values]) => ({ path: `not.${name}`, name, values, isExcluded: true })),
  ]
  if (asked.length > FILTERS_MAX) return invalid('', `at most ${FILTERS_MAX} filters`)
  const filters: Filter[] = []
  for (const { path, name, values, isExcluded } of asked) {
    const dimension = findDimension(name)
    // Hours are filtered by from and to.
    if (dimension === undefined || dimension.kind === 'hour') return invalid(path, `there is no filter "${name}"`)
    if (!dimension.visibleTo.includes(tenant.role)) return forbidden(path, name, tenant)
    if (values.length > FILTER_VALUES_MAX) return invalid(path, `at most ${FILTER_VALUES_MAX} values`)
    if (values.some((value) => value.length > FILTER_VALUE_LENGTH_MAX))
      return invalid(path, `a value has at most ${FILTER_VALUE_LENGTH_MAX} characters`)
    filters.push({ dimension, values, isExcluded })
  }
  return filters
}

function parseRuleOf(
  text: string | undefined,
  tenant: Tenant,
  { lists }: ReportDefaults,
  metrics: readonly Metric[],
): RuleFilter | undefined | Refusal {
  if (text === undefined) return undefined
  const needed = metrics.flatMap(({ sums }) => sums.map((name) => factsSums[name].table))
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
  order: string | undefined,
  groupBy: readonly Dimension[],
  metrics: readonly Metric[],
): Report['order'] | Refusal {
  const first = groupBy[0]
  if (order === undefined) {
    const isByTime = first !== undefined && (first.kind === 'date' || first.kind === 'hour')
    return isByTime ? { by: first.name, isDescending: false } : { by: metrics[0]!.name, isDescending: true }
  }
  const isDescending = order.startsWith('-')
  const by = isDescending ? order.slice(1) : order
  if (!groupBy.some(({ name }) => name === by) && !metrics.some(({ name }) => name === by))
    return invalid('order', `"${by}" is neither in group_by nor in metrics`)
  return { by, isDescending }
}
