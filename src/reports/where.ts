import type { Tenant } from '#accounts'

import type { Slice } from './click-sums.ts'
import type { CompiledQuery, Filter, RowsAsked } from './compile-report.ts'
import { dimensionColumnSql, filterValues, isOfTime, type TimeBasis } from './dimensions.ts'
import type { FactsTable } from './measures.ts'

/** The column of the time that counts. */
export const timeColumn = (time: RowsAsked['time'], table: FactsTable): 'at' | 'click_at' =>
  time === 'click' && table !== 'clicks' && table !== 'costs' ? 'click_at' : 'at'

type WhereOptions = {
  /** Begins the names of the parameters. */
  readonly prefix?: string
  readonly shift?: TimeBasis['shift']
  /** The part of the range that is meant; left out: all of it. */
  readonly slice?: Slice | undefined
}

/** Which rows count. The only place where the tenant's filter is put in, and every report goes through it.
 * Parameters are named `<prefix>_…`, besides those of the tenant, of the rule and `timezone`.
 */
export function compileWhere(
  asked: RowsAsked,
  tenant: Tenant,
  table: FactsTable,
  { prefix = 's', shift, slice }: WhereOptions = {},
): CompiledQuery {
  const at = timeColumn(asked.time, table)
  const basis = { at: slice?.at ?? at, shift }
  const filters = asked.filters.map((filter, index) => filterCondition(filter, table, basis, `${prefix}_${index}`))
  const rule = asked.rule?.[table]
  const conditions = [tenantCondition(tenant), ...filters, ...(rule === undefined ? [] : [rule])]
  return {
    sql: [slice?.sql ?? rangeSql(at, prefix), ...conditions.map(({ sql }) => sql)].join(' AND '),
    params: Object.assign(
      { [`${prefix}_from`]: asked.range.fromMs, [`${prefix}_to`]: asked.range.toMs, timezone: asked.timezone },
      ...conditions.map(({ params }) => params),
      slice?.params,
    ) as Record<string, unknown>,
    narrow: narrowSql(conditions),
  }
}

/** What an affiliate may see, the dimensions that are asked for, and the first narrow condition of a rule. */
function narrowSql(conditions: readonly CompiledQuery[]): string | undefined {
  const narrow = conditions.flatMap((condition) => condition.narrow ?? [])
  return narrow.length === 0 ? undefined : narrow.join(' AND ')
}

/** How much earlier than its click an event may stand, by the clocks of several machines. */
const CLOCKS_APART_DAYS = 1

/** Partitions are days of `at`: what follows a click is not older than it, so days before the range need not be read. */
function rangeSql(at: 'at' | 'click_at', prefix: string): string {
  const from = `fromUnixTimestamp64Milli({${prefix}_from:Int64})`
  const within = `${at} >= ${from} AND ${at} < fromUnixTimestamp64Milli({${prefix}_to:Int64})`
  return at === 'at' ? within : `${within} AND at >= ${from} - INTERVAL ${CLOCKS_APART_DAYS} DAY`
}

/** Rows that are the tenant's own. */
export function tenantCondition(tenant: Tenant): CompiledQuery {
  if (tenant.role === 'owner') return { sql: '1', params: {} }
  const ofAdvertiser = {
    sql: 'advertiser_id = {tenant_advertiser_id:String}',
    params: { tenant_advertiser_id: tenant.advertiserId },
  }
  if (tenant.role === 'advertiser') return ofAdvertiser
  const sql = 'affiliate_id = {tenant_affiliate_id:String}'
  const ofAffiliate = { sql, params: { tenant_affiliate_id: tenant.affiliateId }, narrow: sql }
  if (tenant.advertiserId === undefined) return ofAffiliate
  return {
    sql: `${ofAdvertiser.sql} AND ${ofAffiliate.sql}`,
    params: { ...ofAdvertiser.params, ...ofAffiliate.params },
    narrow: ofAffiliate.narrow,
  }
}

function filterCondition(filter: Filter, table: FactsTable, basis: TimeBasis, name: string): CompiledQuery {
  const { dimension, values, isExcluded } = filter
  const subject = dimensionColumnSql(dimension, table, basis, `${name}_key`)
  const key = dimension.kind === 'sub2_key' ? { [`${name}_key`]: dimension.of } : {}
  const read = filterValues(dimension, values)
  // What no row can have was refused before.
  if ('problem' in read) throw new RangeError(read.problem)
  const sql = `${subject} ${isExcluded ? 'NOT IN' : 'IN'} {${name}:Array(${read.type})}`
  const isNarrow = !isExcluded && !isOfTime(dimension) && dimension.tables.includes(table)
  return { sql, params: { ...key, [name]: read.values }, narrow: isNarrow ? sql : undefined }
}
