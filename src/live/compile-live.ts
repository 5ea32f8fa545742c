import type { Role } from '#accounts'
import { countedRows, dimensionSql, tenantCondition, type CompiledQuery } from '#reports'

import type { LiveQuestion, LiveTable, LiveWindow } from './ask-live.ts'
import { visibleColumns } from './live-columns.ts'

export const windowMs: Readonly<Record<LiveWindow, number>> = { second: 1_000, minute: 60_000 }

const NO_COUNTS = 'CAST(map() AS Map(String, Int64))'
const mapSum = (key: string, value: string): string =>
  `CAST(sumMap(map(toString(${key}), toInt64(${value}))) AS Map(String, Int64))`
const approved = (amount: string): string => mapSum('currency', `if(status = 'approved', sign * ${amount}, 0)`)
const pending = (amount: string): string => mapSum('currency', `if(status = 'pending', sign * ${amount}, 0)`)

type Measure = {
  readonly name: string
  readonly kind: 'count' | 'counts' | 'money'
  readonly table: LiveTable
  readonly sql: string
}

/** What a window counts. As in reports: `sign` takes back what a later revision of a conversion replaced. */
const measures: readonly Measure[] = [
  { name: 'clicks', kind: 'count', table: 'clicks', sql: 'toInt64(count())' },
  { name: 'bots', kind: 'count', table: 'clicks', sql: `toInt64(countIf(bot != ''))` },
  { name: 'events', kind: 'counts', table: 'events', sql: mapSum('type', '1') },
  { name: 'conversions', kind: 'counts', table: 'conversions', sql: mapSum('type', `if(status != 'rejected', sign, 0)`) },
  { name: 'rejected', kind: 'count', table: 'conversions', sql: `toInt64(sumIf(sign, status = 'rejected'))` },
  { name: 'revenue', kind: 'money', table: 'conversions', sql: approved('revenue_micros') },
  { name: 'revenue_pending', kind: 'money', table: 'conversions', sql: pending('revenue_micros') },
  { name: 'payout', kind: 'money', table: 'conversions', sql: approved('payout_micros') },
  { name: 'payout_pending', kind: 'money', table: 'conversions', sql: pending('payout_micros') },
] // prettier-ignore

/** What an advertiser pays is none of the affiliate's business. */
const hiddenFromAffiliates: ReadonlySet<string> = new Set(['revenue', 'revenue_pending'])

/** What a role sees counted of these tables. */
export const visibleMeasures = (of: readonly LiveTable[], role: Role): readonly Measure[] =>
  measures.filter(({ name, table }) => of.includes(table) && !(role === 'affiliate' && hiddenFromAffiliates.has(name)))

/** Rows that are counted: as in reports, but events of every type. */
const counted: Readonly<Record<LiveTable, string>> = { ...countedRows, events: `refusal = ''` }

/** The windows that begin at `fromMs` or later: for each one row that is the whole (`is_total`), and with a dimension its largest
 * values. Windows in which nothing happened have no row.
 */
export function compileCounts(question: LiveQuestion, window: LiveWindow, fromMs: number): CompiledQuery {
  const { tenant, dimension, top } = question
  const shown = visibleMeasures(question.of, tenant.role)
  const parts = question.of.map((table) => {
    const where = compileWhere(question, table)
    const group = dimension === undefined ? `''` : dimensionSql(dimension, 'group_key', table)
    const sums = shown.map(({ name, kind, table: own, sql }) =>
      own === table ? `${sql} AS s_${name}` : `${kind === 'count' ? 'toInt64(0)' : NO_COUNTS} AS s_${name}`,
    )
    const sql = `SELECT intDiv(toUnixTimestamp64Milli(at), {window_ms:Int64}) AS w, ${group} AS g, ${sums.join(', ')}
FROM ${table} WHERE ${counted[table]} AND at >= fromUnixTimestamp64Milli({from_ms:Int64}) AND ${where.sql} GROUP BY w, g`
    return { sql, params: where.params }
  })
  const sums = shown.map(({ name, kind }) => `${kind === 'count' ? 'sum' : 'sumMap'}(s_${name}) AS ${name}`)
  const sql = `SELECT w, grouping(g) AS is_total, g, ${sums.join(', ')} FROM (
${parts.map((part) => part.sql).join('\nUNION ALL\n')}
) GROUP BY GROUPING SETS ((w), (w, g))
ORDER BY w, is_total DESC${shown.map(({ name, kind }) => (kind === 'count' ? `, ${name} DESC` : `, arraySum(mapValues(${name})) DESC`)).join('')}, g
LIMIT {rows:UInt32} BY w`
  const key = dimension?.kind === 'sub2_key' ? { group_key: dimension.of } : {}
  const own = Object.assign({}, ...parts.map(({ params }) => params)) as Record<string, unknown>
  const rows = dimension === undefined ? 1 : top + 1
  return { sql, params: { ...own, ...key, window_ms: windowMs[window], from_ms: fromMs, rows } }
}

/** Where a stream is in what arrives: after these places of the log, or after this revision. */
export type LivePlace = { readonly offsets: Readonly<Record<string, number>> } | { readonly seq: string }

/** The place at which a table stands at the moment, whoever asks. */
export function compilePlace(table: LiveTable, fromMs: number): CompiledQuery {
  const place = table === 'conversions' ? LAST_SEQ : LAST_OFFSETS
  const sql = `SELECT ${place} FROM ${table} WHERE at >= fromUnixTimestamp64Milli({from_ms:Int64})`
  return { sql, params: { from_ms: fromMs } }
}

const LAST_OFFSETS = `maxMap(map(toString(log_partition), log_offset + 1)) AS next_offsets`
const LAST_SEQ = 'max(seq) AS last_seq'

/** What arrived after a place: how many rows, a fair sample of them, and the place after them. In one look, so that the three agree. */
export function compileNewRows(
  question: LiveQuestion,
  table: LiveTable,
  after: LivePlace,
  fromMs: number,
): CompiledQuery {
  const { sql: own, params } = compileWhere(question, table)
  const columns = visibleColumns(table, question.tenant.role).map(({ sql }) => sql)
  const isNew =
    'seq' in after ? 'sign = 1 AND seq > {seq:UInt64}' : 'log_offset >= {offsets:Map(String, UInt64)}[log_partition]'
  const sql = `SELECT count() AS total, ${'seq' in after ? LAST_SEQ : LAST_OFFSETS},
  groupArraySample(${Math.trunc(question.rate)})(tuple(${columns.join(', ')})) AS sample
FROM ${table} WHERE at >= fromUnixTimestamp64Milli({from_ms:Int64}) AND ${isNew} AND ${own}`
  return { sql, params: { ...params, ...after, from_ms: fromMs } }
}

/** The only place where a live question is bound to the tenant's own rows. */
function compileWhere({ tenant, rule }: LiveQuestion, table: LiveTable): CompiledQuery {
  const own = tenantCondition(tenant)
  const asked = rule?.[table]
  return asked === undefined
    ? own
    : { sql: `${own.sql} AND (${asked.sql})`, params: { ...own.params, ...asked.params } }
}
