import type { Tenant } from '#accounts'
import type { FactsClient } from '#platform/clickhouse'

import { askFacts } from '../ask-facts.ts'
import { factsSource, findMissingDays, type MissingDays } from '../source.ts'
import type { TimeRange } from '../time-range.ts'
import { textSql, type FactsLog, type LogColumn } from './log-columns.ts'
import type { LogQuery } from './parse-log.ts'

/** Where a row stands in the order of its log: no other has the same place, and it never changes. */
export type LogPlace = {
  readonly atMs: number
  /** Of the click, event or conversion. */
  readonly id: string
  /** Two records with the id of one event stand at two places of the event log. */
  readonly partition: string
  readonly offset: string
}

export type LogValue = string | number | boolean | null | Readonly<Record<string, string>>
export type LogRow = Readonly<Record<string, LogValue>>
export type LogPage = {
  readonly rows: readonly LogRow[]
  /** Of the last row; undefined: there are no more. */
  readonly next: LogPlace | undefined
  /** Days of the whole range of which rows are gone. */
  readonly missing_days: readonly MissingDays[]
}

type PlaceColumn = { readonly sql: string; readonly type: string }
const AT: PlaceColumn = { sql: 'at', type: `DateTime64(3, 'UTC')` }
const RECORD: readonly PlaceColumn[] = [
  { sql: 'log_partition', type: 'String' },
  { sql: 'log_offset', type: 'UInt64' },
]
const placeColumns: Readonly<Record<FactsLog, readonly PlaceColumn[]>> = {
  clicks: [AT, { sql: 'click_id', type: 'UUID' }, ...RECORD],
  events: [AT, { sql: 'event_id', type: 'String' }, ...RECORD],
  conversions: [AT, { sql: 'conversion_id', type: 'UUID' }],
}

/** Spans that are looked into first: most pages are full of the newest hours, and a whole range need not be sorted for them. */
const SPANS_MS = [3_600_000, 86_400_000, 8 * 86_400_000, Number.POSITIVE_INFINITY]

/** A page of a log for a tenant. Rows that come in meanwhile move nothing: pages after it have neither gaps nor repeats.
 * @param after the place of the last row of the page before; undefined: the first page
 * @throws {WaypostError} facts_unavailable, query_too_expensive
 */
export async function readLogPage(
  facts: FactsClient,
  tenant: Tenant,
  query: LogQuery,
  after: LogPlace | undefined,
  limit: number,
): Promise<LogPage> {
  const missing_days = await findMissingLog(facts, tenant, query)
  const found: StoredRow[] = []
  let place = after
  for (const range of spansOf(query, after)) {
    const rows = await askSpan(facts, query, range, place, limit + 1 - found.length)
    found.push(...rows)
    if (found.length > limit) break
    place = undefined
  }
  const shown = found.slice(0, limit)
  return {
    rows: shown.map((row) => valuesOf(row, query.columns)),
    next: found.length > limit ? placeOf(shown.at(-1)!) : undefined,
    missing_days,
  }
}

/** Days of which a log, or an export of it, lacks rows that were retired. */
export const findMissingLog = (
  facts: FactsClient,
  tenant: Tenant,
  { log, range }: LogQuery,
): Promise<readonly MissingDays[]> =>
  findMissingDays(facts, tenant, [{ table: log, range, column: placeColumns[log][1]!.sql }])

/** The range in spans, each after the one before it in the order of the log. */
function spansOf({ range, order }: LogQuery, after: LogPlace | undefined): readonly TimeRange[] {
  const isNewest = order === 'newest'
  const spans: TimeRange[] = []
  // The millisecond of the place itself may have more rows.
  let from = isNewest ? range.fromMs : Math.max(range.fromMs, after?.atMs ?? 0)
  let to = isNewest ? Math.min(range.toMs, (after?.atMs ?? Number.POSITIVE_INFINITY) + 1) : range.toMs
  for (const ms of SPANS_MS) {
    if (from >= to) break
    const span = isNewest
      ? { fromMs: Math.max(from, to - ms), toMs: to }
      : { fromMs: from, toMs: Math.min(to, from + ms) }
    spans.push(span)
    if (isNewest) to = span.fromMs
    else from = span.toMs
  }
  return spans
}

type StoredRow = Readonly<Record<string, LogValue>>

async function askSpan(
  facts: FactsClient,
  query: LogQuery,
  range: TimeRange,
  after: LogPlace | undefined,
  limit: number,
): Promise<readonly StoredRow[]> {
  const { log, columns, order } = query
  const places = placeColumns[log]
  const where = query.where(range)
  const isNewest = order === 'newest'
  const beyond =
    after === undefined
      ? ''
      : `AND (${places.map(({ sql }) => sql).join(', ')}) ${isNewest ? '<' : '>'} (${placeParams(places)})`
  const hidden = places.map(({ sql }, index) => `toString(${sql}) AS p${index}`)
  const sql = `SELECT ${[...columns.map((column, index) => `${textSql(column)} AS c${index}`), ...hidden].join(', ')}
FROM ${factsSource(log)} AS ${log} WHERE ${where.sql} ${beyond}
ORDER BY ${places.map((column) => `${log}.${column.sql} ${isNewest ? 'DESC' : 'ASC'}`).join(', ')}
LIMIT {page_limit:UInt32} SETTINGS query_plan_max_limit_for_lazy_materialization = 10000`
  return askFacts<StoredRow>(facts, {
    sql,
    params: { ...where.params, page_limit: limit, ...(after && paramsOf(after)) },
  })
}

const placeParams = (places: readonly PlaceColumn[]): string =>
  places
    .map(({ type }, index) => (index === 0 ? 'fromUnixTimestamp64Milli({place_0:Int64})' : `{place_${index}:${type}}`))
    .join(', ')

const paramsOf = ({ atMs, id, partition, offset }: LogPlace): Record<string, unknown> => ({
  ...{ place_0: atMs, place_1: id, place_2: partition, place_3: offset },
})

const placeOf = (row: StoredRow): LogPlace => ({
  atMs: Date.parse(`${String(row['p0']).replace(' ', 'T')}Z`),
  id: String(row['p1']),
  partition: String(row['p2'] ?? ''),
  offset: String(row['p3'] ?? '0'),
})

/** Numbers of 64 bits come as text. */
function valuesOf(row: StoredRow, columns: readonly LogColumn[]): LogRow {
  return Object.fromEntries(
    columns.map(({ name, type }, index) => {
      const value = row[`c${index}`] ?? null
      if (type === 'number') return [name, Number(value)]
      return [name, type === 'time' && value === '' ? null : value]
    }),
  )
}
