import type { Role, Tenant } from '#accounts'

import type { Dimension } from './dimensions.ts'
import { countedRows, factsSums, type FactsTable, type Metric, type SumName } from './metrics.ts'
import type { RuleFilter } from './rule-filter.ts'
import type { TimeRange } from './time-range.ts'

/** A question, already checked: every name is one of the registries. */
export type Report = {
  readonly range: TimeRange
  readonly timezone: string
  readonly currency: string
  readonly groupBy: readonly Dimension[]
  readonly metrics: readonly Metric[]
  readonly filters: readonly Filter[]
  /** Undefined: no rule. It has a condition for every table of the metrics. */
  readonly rule: RuleFilter | undefined
  readonly order: { readonly by: string; readonly isDescending: boolean }
  /** Rows at most. */
  readonly limit: number
}

/** Rows whose dimension has one of the values (or none of them). */
export type Filter = { readonly dimension: Dimension; readonly values: readonly string[]; readonly isExcluded: boolean }

export type CompiledQuery = { readonly sql: string; readonly params: Readonly<Record<string, unknown>> }

/** The rows of a report, one more than its limit so that the caller can tell whether there are more. */
export function compileRows(report: Report, tenant: Tenant): CompiledQuery {
  const groups = report.groupBy.map((_, index) => groupName(index))
  const query = compileSums(report, tenant, report.groupBy)
  const order = [orderColumn(report), ...groups].join(', ')
  const sql = `SELECT ${[...groups, ...measures(report.metrics, tenant.role)].join(', ')}
FROM (${query.sql})
ORDER BY ${order}
LIMIT {limit:UInt32}`
  return { sql, params: { ...query.params, limit: report.limit + 1 } }
}

/** All rows of a report as one group. Computed again from the facts: ratios and unique visitors cannot be added up. */
export function compileTotals(report: Report, tenant: Tenant): CompiledQuery {
  const query = compileSums(report, tenant, [])
  return { ...query, sql: `SELECT ${measures(report.metrics, tenant.role).join(', ')} FROM (${query.sql})` }
}

/** Currencies of the money in a report's range, the one with the most rows first. */
export function compileCurrencies(report: Omit<Report, 'currency'>, tenant: Tenant): CompiledQuery {
  const amounts = { clicks: 'cost_micros != 0', conversions: '(revenue_micros != 0 OR payout_micros != 0)' } as const
  const parts: readonly CompiledQuery[] = (['clicks', 'conversions'] as const)
    .filter((table) => report.rule === undefined || report.rule[table] !== undefined)
    .map((table) => {
      const { sql, params } = compileWhere(report, tenant, table)
      const counted = `${countedRows[table]} AND ${sql} AND ${amounts[table]} AND currency != ''`
      return { sql: `SELECT currency FROM ${table} WHERE ${counted}`, params }
    })
  if (parts.length === 0) return { sql: `SELECT '' AS currency, 0 AS rows WHERE 0`, params: {} }
  return {
    sql: `SELECT currency, count() AS rows FROM (${parts.map(({ sql }) => sql).join('\nUNION ALL\n')}) GROUP BY currency ORDER BY rows DESC, currency`,
    params: Object.assign({}, ...parts.map(({ params }) => params)) as Record<string, unknown>,
  }
}

const groupName = (index: number): string => `g${index}`

function orderColumn({ order, groupBy }: Report): string {
  const group = groupBy.findIndex(({ name }) => name === order.by)
  const column = group >= 0 ? groupName(group) : `m_${order.by}`
  return `${column} ${order.isDescending ? 'DESC' : 'ASC'} NULLS LAST`
}

const measures = (metrics: readonly Metric[], role: Role): readonly string[] =>
  metrics.map((metric) => `${metric.sql(role)} AS m_${metric.name}`)

/** One row of sums for each group. Each table that a metric needs gives its part, with zeros for the sums of the others. */
function compileSums(report: Report, tenant: Tenant, groupBy: readonly Dimension[]): CompiledQuery {
  const needed = [...new Set(report.metrics.flatMap((metric) => metric.sums))]
  const tables = [...new Set(needed.map((name) => factsSums[name].table))]
  const wheres = tables.map((table) => compileWhere(report, tenant, table))
  const parts = tables.map((table, index) => partOf(table, needed, groupBy, wheres[index]!.sql))
  const groups = groupBy.map((_, index) => groupName(index))
  const sums = needed.map((name) => `sum(s_${name}) AS ${name}`)
  const sql = `SELECT ${[...groups, ...sums].join(', ')} FROM (
${parts.join('\nUNION ALL\n')}
)${groups.length > 0 ? ` GROUP BY ${groups.join(', ')}` : ''}`
  return {
    sql,
    params: Object.assign(
      { ...groupParams(groupBy), timezone: report.timezone, currency: report.currency },
      ...wheres.map(({ params }) => params),
    ) as Record<string, unknown>,
  }
}

function partOf(table: FactsTable, needed: readonly SumName[], groupBy: readonly Dimension[], where: string): string {
  const groups = groupBy.map(
    (dimension, index) => `${dimensionSql(dimension, `group_key_${index}`)} AS ${groupName(index)}`,
  )
  const sums = needed.map(
    (name) => `${factsSums[name].table === table ? factsSums[name].sql : 'toInt64(0)'} AS s_${name}`,
  )
  const grouping = groupBy.length > 0 ? ` GROUP BY ${groupBy.map((_, index) => groupName(index)).join(', ')}` : ''
  return `SELECT ${[...groups, ...sums].join(', ')} FROM ${table} WHERE ${countedRows[table]} AND ${where}${grouping}`
}

/** @param keyParam parameter that holds the key, for a key of sub2 */
function dimensionSql(dimension: Dimension, keyParam: string): string {
  switch (dimension.kind) {
    case 'date':
      return 'toString(toDate(at, {timezone:String}))'
    case 'hour':
      return 'toUnixTimestamp(toStartOfHour(at, {timezone:String}))'
    case 'sub2_key':
      return `sub2_keys[{${keyParam}:String}]`
    case 'column':
      return `toString(${dimension.of})`
    default:
      return dimension.kind satisfies never
  }
}

const groupParams = (groupBy: readonly Dimension[]): Record<string, string> =>
  Object.fromEntries(
    groupBy.flatMap(({ kind, of }, index) => (kind === 'sub2_key' ? [[`group_key_${index}`, of]] : [])),
  )

/** Which rows count. The only place where the tenant's filter is put in, and every query over facts goes through it. */
function compileWhere(report: Omit<Report, 'currency'>, tenant: Tenant, table: FactsTable): CompiledQuery {
  const own = tenantCondition(tenant)
  const filters = report.filters.map((filter, index) => filterCondition(filter, index))
  const inRange = 'at >= fromUnixTimestamp64Milli({from_ms:Int64}) AND at < fromUnixTimestamp64Milli({to_ms:Int64})'
  const range = { from_ms: report.range.fromMs, to_ms: report.range.toMs, timezone: report.timezone }
  const rule = report.rule?.[table]
  const conditions = [own, ...filters, ...(rule === undefined ? [] : [rule])]
  return {
    sql: [inRange, ...conditions.map(({ sql }) => sql)].join(' AND '),
    params: Object.assign({}, range, ...conditions.map(({ params }) => params)) as Record<string, unknown>,
  }
}

/** Rows that are the tenant's own. */
export function tenantCondition(tenant: Tenant): CompiledQuery {
  if (tenant.role === 'owner') return { sql: '1', params: {} }
  const ofAdvertiser = {
    sql: 'advertiser_id = {tenant_advertiser_id:String}',
    params: { tenant_advertiser_id: tenant.advertiserId },
  }
  if (tenant.role === 'advertiser') return ofAdvertiser
  const ofAffiliate = {
    sql: 'affiliate_id = {tenant_affiliate_id:String}',
    params: { tenant_affiliate_id: tenant.affiliateId },
  }
  if (tenant.advertiserId === undefined) return ofAffiliate
  return {
    sql: `${ofAdvertiser.sql} AND ${ofAffiliate.sql}`,
    params: { ...ofAdvertiser.params, ...ofAffiliate.params },
  }
}

function filterCondition({ dimension, values, isExcluded }: Filter, index: number): CompiledQuery {
  const subject = dimensionSql(dimension, `filter_key_${index}`)
  const key = dimension.kind === 'sub2_key' ? { [`filter_key_${index}`]: dimension.of } : {}
  return {
    sql: `${subject} ${isExcluded ? 'NOT IN' : 'IN'} {filter_${index}:Array(String)}`,
    params: { ...key, [`filter_${index}`]: values },
  }
}
