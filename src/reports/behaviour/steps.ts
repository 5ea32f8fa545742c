import type { Tenant } from '#accounts'
import type { RuleLists } from '#rules'
import { isTimezone } from '#platform/clock'

import { dimensionSql, type CompiledQuery } from '../compile-report.ts'
import { findDimension, type Dimension } from '../dimensions.ts'
import { factsSource } from '../source.ts'
import { countedRows, factsTables, inOwnColumns, type ActionTable } from '../measures.ts'
import { parseRuleFilter, type RuleFilter } from '../rule-filter.ts'
import { parseRange, type TimeRange } from '../time-range.ts'
import { noDimension } from '../unknown-name.ts'
import { tenantCondition } from '../where.ts'
import { behaviourLimits } from './limits.ts'

/** Something that a visitor did, as somebody asks for it: the rows of a table that meet all of it. */
export type AskedStep = {
  readonly of: ActionTable
  /** Of an event or a conversion; left out: any. */
  readonly type?: string | undefined
  /** Of a conversion, as it stands now; left out: pending or approved. */
  readonly status?: readonly string[] | undefined
  /** A rule in its text form. */
  readonly filter?: string | undefined
  readonly name?: string | undefined
}

export type Step = {
  readonly name: string
  readonly table: ActionTable
  readonly condition: CompiledQuery
  /** A click, whichever. */
  readonly isEveryClick: boolean
}

/** What the reports on behaviour have in common. */
export type AskedScope = {
  readonly from?: string | undefined
  readonly to?: string | undefined
  readonly tz?: string | undefined
  /** A rule that every row has to meet, whatever its step. */
  readonly filter?: string | undefined
  readonly group_by?: readonly string[] | undefined
  readonly limit?: number | undefined
}

/** Whose steps are put together: those of a click, or those of a visitor with all of their clicks. */
export type Unit = 'click' | 'visitor'

export type Scope = {
  readonly range: TimeRange
  readonly timezone: string
  readonly groupBy: readonly Dimension[]
  readonly rule: RuleFilter | undefined
  readonly limit: number
}

export type BehaviourDefaults = {
  readonly timezone: string
  readonly nowMs: number
  /** Those that a rule may name. */ readonly lists?: RuleLists | undefined
}

export type Refusal = {
  /** `forbidden`: it exists, and this role may not see it. */
  readonly kind: 'invalid' | 'forbidden'
  readonly path: string
  readonly detail: string
}
export const invalid = (path: string, detail: string): Refusal => ({ kind: 'invalid', path, detail })
export const forbidden = (path: string, name: string, { role }: Tenant): Refusal => ({
  kind: 'forbidden',
  path,
  detail: `"${name}" is not shown to an ${role}`,
})
export const isRefusal = (value: object): value is Refusal => 'kind' in value && 'detail' in value

/** Checks what the reports have in common. Pure.
 * @param tables those whose rows the report reads, first that of the rows whose values it groups by
 */
export function parseScope(
  asked: AskedScope,
  tenant: Tenant,
  defaults: BehaviourDefaults,
  tables: readonly ActionTable[],
): Scope | Refusal {
  const timezone = asked.tz ?? defaults.timezone
  if (!isTimezone(timezone)) return invalid('tz', `"${timezone}" is no IANA time zone`)
  const range = parseRange(asked.from, asked.to, timezone, defaults.nowMs)
  if ('problem' in range) return invalid(range.path, `"${range.path}" ${range.problem}`)
  const groupBy = parseGroups(asked.group_by ?? [], tenant, tables[0]!)
  if (isRefusal(groupBy)) return groupBy
  const rule = asked.filter === undefined ? undefined : parseRuleAt('filter', asked.filter, tenant, defaults, tables)
  if (rule !== undefined && isRefusal(rule)) return rule
  return { range, timezone, groupBy, rule, limit: asked.limit ?? behaviourLimits.rowsDefault }
}

/** @param table of the rows whose values a click or visitor stands under */
function parseGroups(names: readonly string[], tenant: Tenant, table: ActionTable): readonly Dimension[] | Refusal {
  if (names.length > behaviourLimits.groupsMax)
    return invalid('group_by', `at most ${behaviourLimits.groupsMax} dimensions`)
  const found: Dimension[] = []
  for (const name of new Set(names)) {
    const dimension = findDimension(name)
    if (dimension === undefined) return invalid('group_by', noDimension(name, tenant.role))
    if (!dimension.visibleTo.includes(tenant.role)) return forbidden('group_by', name, tenant)
    if (!dimension.tables.includes(table)) return invalid('group_by', `${table} have no "${name}"`)
    found.push(dimension)
  }
  return found
}

function parseRuleAt(
  path: string,
  text: string,
  tenant: Tenant,
  { lists }: BehaviourDefaults,
  tables: readonly ActionTable[],
): RuleFilter | Refusal {
  const parsed = parseRuleFilter(text, tenant, lists, tables)
  switch (parsed.kind) {
    case 'filter':
      return parsed.filter
    case 'invalid':
      return invalid(path, parsed.detail)
    case 'forbidden':
      return forbidden(path, parsed.field, tenant)
    default:
      return parsed satisfies never
  }
}

const STATUSES = ['pending', 'approved', 'rejected'] as const
const STATUSES_THAT_COUNT: readonly string[] = ['pending', 'approved']

/** Checks one step. Its parameters have names that no other step's have.
 * @param path where it stands in the request, such as `steps.0`
 */
export function parseStep(asked: AskedStep, path: string, tenant: Tenant, defaults: BehaviourDefaults): Step | Refusal {
  const prefix = `${path.replaceAll('.', '_')}_`
  const { of: table, type, status, filter } = asked
  if (type !== undefined && table === 'clicks') return invalid(`${path}.type`, 'a click has no type; use a filter')
  if (status !== undefined && table !== 'conversions')
    return invalid(`${path}.status`, 'only conversions have a status')
  const wrong = status?.find((one) => !(STATUSES as readonly string[]).includes(one))
  if (wrong !== undefined) return invalid(`${path}.status`, `"${wrong}" is none of ${STATUSES.join(', ')}`)
  const rule = filter === undefined ? undefined : parseRuleAt(`${path}.filter`, filter, tenant, defaults, [table])
  if (rule !== undefined && isRefusal(rule)) return rule
  const conditions: CompiledQuery[] = [{ sql: rowsOf[table], params: {} }]
  if (type !== undefined) conditions.push({ sql: `type = {${prefix}type:String}`, params: { [`${prefix}type`]: type } })
  if (table === 'conversions')
    conditions.push({
      sql: `status IN {${prefix}status:Array(String)}`,
      params: { [`${prefix}status`]: status ?? STATUSES_THAT_COUNT },
    })
  if (rule?.[table] !== undefined) conditions.push(renameParams(rule[table], prefix))
  return {
    ...{ name: asked.name ?? type ?? WORDS[table], table, condition: both(conditions) },
    isEveryClick: table === 'clicks' && filter === undefined,
  }
}

const WORDS: Readonly<Record<ActionTable, string>> = { clicks: 'click', events: 'event', conversions: 'conversion' }

/** Rows that are something that a visitor did: of events every accepted one, whatever its type. */
const rowsOf: Readonly<Record<ActionTable, string>> = {
  ...countedRows,
  clicks: inOwnColumns(countedRows.clicks),
  events: `refusal = ''`,
}

/** The same condition with other names of its parameters, so that several of a kind fit into one query. */
function renameParams({ sql, params }: CompiledQuery, prefix: string): CompiledQuery {
  return {
    sql: Object.keys(params).reduce((text, name) => text.replaceAll(`{${name}:`, `{${prefix}${name}:`), sql),
    params: Object.fromEntries(Object.entries(params).map(([name, value]) => [`${prefix}${name}`, value])),
  }
}

/** All of them. */
export const both = (conditions: readonly CompiledQuery[]): CompiledQuery => ({
  sql: conditions.map(({ sql }) => sql).join(' AND '),
  params: Object.assign({}, ...conditions.map(({ params }) => params)) as Record<string, unknown>,
})

export type RowsOptions = {
  readonly step: Step
  readonly scope: Scope
  readonly tenant: Tenant
  readonly range: TimeRange
  /** Begins the names of the parameters of the range. */
  readonly rangeName: string
  /** Expressions with their names, over the columns of the table. */
  readonly columns: readonly string[]
  /** A further condition. */
  readonly where?: string | undefined
}

/** The rows of a step that are the tenant's own and meet the filter. Of a conversion the state that it has: its rows of sign 1
 * and -1 cancel each other out.
 */
export function compileStepRows({ step, scope, tenant, range, rangeName, columns, where }: RowsOptions): CompiledQuery {
  const { sql, params } = both([
    compileOwnRows(step.table, scope, tenant),
    inRange('at', range, rangeName),
    step.condition,
    ...(where === undefined ? [] : [{ sql: where, params: {} }]),
  ])
  const rows = `FROM ${factsSource(step.table)} WHERE ${sql}`
  const names = columns.map(nameOf)
  return {
    sql:
      step.table === 'conversions'
        ? `SELECT ${columns.join(', ')} ${rows} GROUP BY ${['conversion_id', ...names].join(', ')} HAVING sum(sign) > 0`
        : `SELECT ${columns.join(', ')} ${rows}`,
    params,
  }
}

/** The name at the end of `expression AS name`. */
export const nameOf = (column: string): string => column.slice(column.lastIndexOf(' AS ') + ' AS '.length)

/** Rows of a table that are the tenant's own and meet the filter of the report. Every query on behaviour goes through it. */
export function compileOwnRows(table: ActionTable, scope: Pick<Scope, 'rule'>, tenant: Tenant): CompiledQuery {
  const rule = scope.rule?.[table]
  return both([tenantCondition(tenant), ...(rule === undefined ? [] : [rule])])
}

/** A condition on a time, from (included) to (excluded). */
export const inRange = (column: string, { fromMs, toMs }: TimeRange, name: string): CompiledQuery => ({
  sql: `${column} >= fromUnixTimestamp64Milli({${name}_from_ms:Int64}) AND ${column} < fromUnixTimestamp64Milli({${name}_to_ms:Int64})`,
  params: { [`${name}_from_ms`]: fromMs, [`${name}_to_ms`]: toMs },
})

/** The values of the groups of a row of a table as texts, named g0, g1. */
export const groupColumns = (groupBy: readonly Dimension[], table: ActionTable): readonly string[] =>
  groupBy.map((dimension, index) => `${dimensionSql(dimension, `group_key_${index}`, table)} AS g${index}`)

/** Whether it is of the click, so that its events have the same. A page may tell another visitor than the click. */
export const isOfClick = ({ kind, tables, of }: Dimension): boolean =>
  kind === 'column' && tables.length === factsTables.length && of !== 'visitor_code'

export const groupNames = (groupBy: readonly Dimension[]): readonly string[] => groupBy.map((_, index) => `g${index}`)

export const groupParams = ({ groupBy, timezone }: Scope): Record<string, unknown> => ({
  timezone,
  ...Object.fromEntries(
    groupBy.flatMap(({ kind, of }, index) => (kind === 'sub2_key' ? [[`group_key_${index}`, of]] : [])),
  ),
})

/** What holds the steps of a unit together; '' is no visitor. */
export const unitColumn: Readonly<Record<Unit, string>> = { click: 'click_id', visitor: 'visitor_code' }
export const unitKnown: Readonly<Record<Unit, string | undefined>> = { click: undefined, visitor: `visitor_code != ''` }
