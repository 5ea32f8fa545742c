/** The arithmetic of spreading, in ClickHouse: which clicks bear a row of an import, and the insert of their shares.
 *
 * The i-th of n clicks, in the order of time and id, bears trunc(amount·i ÷ n) − trunc(amount·(i−1) ÷ n): the shares are as equal as whole
 * micros can be and sum to the amount exactly, because all but the last term cancel out.
 */
import { clickDimensions } from '#facts'
import type { FactsClient } from '#platform/clickhouse'
import { countedRows } from '#reports'

import { sub2KeyOf, type CostRow, type Spread } from './cost-row.ts'
import { costLimits } from './limits.ts'
import { keyOf, layersOf } from './read-rows.ts'

/** Places of the log, by partition: clicks below are of a booking, whatever comes in meanwhile. */
export type Positions = Readonly<Record<string, number>>

export type SpreadQuestion = {
  readonly advertiserId: string
  readonly spread: Spread
  readonly positions: Positions
  readonly rows: readonly CostRow[]
}

/** One insert: shares of clicks of one day. The same question gives the same chunks and the same rows in them. */
export type Chunk = {
  readonly name: string
  readonly fromMs: number
  readonly toMs: number
  /** Rows that have clicks in it, of one layer, with how many clicks they have before it and in all. */
  readonly rows: readonly { readonly row: CostRow; readonly before: number; readonly clicks: number }[]
}

export type SpreadPlan = {
  /** Clicks that bear each row, by its number. */
  readonly clicks: ReadonlyMap<number, number>
  readonly chunks: readonly Chunk[]
}

/** Columns that a share has of its click. */
const CARRIED: readonly string[] = [
  ...new Set<string>([
    ...clickDimensions,
    ...['sub2_keys', 'visitor_code', 'referrer_host', 'referrer', 'class', 'outcome', 'refusal', 'ip', 'user_agent'],
    ...['is_unique_campaign', 'is_unique_offer', 'is_unique_global', 'domain', 'link_code'],
  ]),
]

const BEARERS: Readonly<Record<Spread, string>> = {
  clicks: '1',
  uniques: `if(campaign_id = '', is_unique_offer, is_unique_campaign)`,
  humans: `bot = ''`,
}

const HOUR_MS = 3_600_000
const DAY_MS = 86_400_000

/** A question over the facts that may take longer than a report. */
const SETTINGS = { max_execution_time: 120, max_memory_usage: '2000000000' } as const

/** Counts the clicks of each row and cuts the work into inserts. Reads few columns of the clicks in question. */
export async function planSpread(facts: FactsClient, question: SpreadQuestion): Promise<SpreadPlan> {
  const clicks = new Map<number, number>()
  const chunks: Chunk[] = []
  for (const [layer, rows] of layersOf(question.rows).entries()) {
    const hours = await countByHour(facts, question, rows)
    chunks.push(...cutIntoChunks(rows, hours, layer))
    for (const { row, count } of hours) clicks.set(row, (clicks.get(row) ?? 0) + count)
  }
  return { clicks, chunks }
}

type HourCount = { readonly row: number; readonly hourMs: number; readonly count: number }

async function countByHour(
  facts: FactsClient,
  question: SpreadQuestion,
  rows: readonly CostRow[],
): Promise<readonly HourCount[]> {
  const { sql, params } = matched(
    question,
    rows.map((row) => ({ row, before: 0, clicks: 0 })),
    timesOf(rows),
    [],
  )
  const answer = await facts.query({
    query: `SELECT row, intDiv(at_ms, ${HOUR_MS}) AS hour, count() AS clicks FROM (${sql}) GROUP BY row, hour ORDER BY hour, row`,
    query_params: params,
    format: 'JSONEachRow',
    clickhouse_settings: SETTINGS,
  })
  const found = await answer.json<{ row: number; hour: string; clicks: string }>()
  return found.map(({ row, hour, clicks }) => ({ row, hourMs: Number(hour) * HOUR_MS, count: Number(clicks) }))
}

/** From the start of the first row to the end of the last, milliseconds since the epoch. */
export const timesOf = (rows: readonly CostRow[]): { fromMs: number; toMs: number } => ({
  fromMs: rows.reduce((first, { startsMs }) => Math.min(first, startsMs), Infinity),
  toMs: rows.reduce((last, { endsMs }) => Math.max(last, endsMs), -Infinity),
})

/** Hours in their order, as many together as an insert may have clicks, and none over midnight: one insert is one part of one day. */
function cutIntoChunks(rows: readonly CostRow[], hours: readonly HourCount[], layer: number): readonly Chunk[] {
  const byNumber = new Map(rows.map((row) => [row.rowNo, row]))
  const totals = new Map<number, number>()
  for (const { row, count } of hours) totals.set(row, (totals.get(row) ?? 0) + count)
  const before = new Map<number, number>()
  const chunks: Chunk[] = []
  let open: { fromMs: number; toMs: number; clicks: number; counts: Map<number, number> } | undefined
  const close = (): void => {
    if (open === undefined) return
    const { fromMs, toMs, counts } = open
    const inChunk = [...counts.keys()].map((no) => ({
      row: byNumber.get(no)!,
      before: before.get(no) ?? 0,
      clicks: totals.get(no)!,
    }))
    chunks.push({ name: `${layer}.${fromMs / HOUR_MS}`, fromMs, toMs, rows: inChunk })
    for (const [no, count] of counts) before.set(no, (before.get(no) ?? 0) + count)
    open = undefined
  }
  for (const [hourMs, counts] of groupByHour(hours)) {
    const clicks = [...counts.values()].reduce((sum, count) => sum + count, 0)
    const isOtherDay = open !== undefined && Math.floor(open.fromMs / DAY_MS) !== Math.floor(hourMs / DAY_MS)
    if (open !== undefined && (isOtherDay || open.clicks + clicks > costLimits.chunkClicks)) close()
    open ??= { fromMs: hourMs, toMs: hourMs, clicks: 0, counts: new Map() }
    open.toMs = hourMs + HOUR_MS
    open.clicks += clicks
    for (const [row, count] of counts) open.counts.set(row, (open.counts.get(row) ?? 0) + count)
  }
  close()
  return chunks
}

function groupByHour(hours: readonly HourCount[]): ReadonlyMap<number, ReadonlyMap<number, number>> {
  const grouped = new Map<number, Map<number, number>>()
  for (const { row, hourMs, count } of hours) {
    const counts = grouped.get(hourMs) ?? new Map<number, number>()
    grouped.set(hourMs, counts.set(row, count))
  }
  return grouped
}

/** Which import and version a row of the facts is of. */
export type Booking = { readonly importId: string; readonly version: number }

/** Inserts the shares of a chunk; sent again, the table drops it by its token. */
export async function insertChunk(
  facts: FactsClient,
  question: SpreadQuestion,
  chunk: Chunk,
  { importId, version }: Booking,
): Promise<void> {
  const { sql, params } = matched(question, chunk.rows, chunk, CARRIED)
  const columns = ['at', 'click_id', ...CARRIED]
  const query = `INSERT INTO costs (import_id, import_version, import_row, chunk, is_reversal, cost_micros, currency, ${columns.join(', ')})
SETTINGS ${insertSettings(importId, version, chunk.name)}
SELECT {import_id:UUID}, {version:UInt32}, row, {chunk:String}, false,
  toInt64(intDiv(toInt256(amount) * i, clicks_of_row) - intDiv(toInt256(amount) * (i - 1), clicks_of_row)), row_currency, ${columns.join(', ')}
FROM (SELECT *, before + row_number() OVER (PARTITION BY row ORDER BY at, click_id) AS i FROM (${sql}))`
  await facts.command({
    query,
    query_params: { ...params, import_id: importId, version, chunk: chunk.name },
    clickhouse_settings: SETTINGS,
  })
}

/** One part per insert: all of its rows or none. The token stands in the statement: as a setting of the session it would reach
 * other inserts of the embedded engine. */
const insertSettings = (importId: string, version: number, chunk: string): string =>
  `insert_deduplication_token = 'cost:${importId}:${version}:${chunk}', max_insert_threads = 1, max_block_size = 65536,
  min_insert_block_size_rows = 1000000000, min_insert_block_size_bytes = 0`

/** Inserts the opposite of a chunk of an earlier version. */
export async function insertReversal(
  facts: FactsClient,
  { importId, version }: Booking,
  reversed: { readonly version: number; readonly chunk: string },
): Promise<void> {
  const name = `r${reversed.version}.${reversed.chunk}`
  const columns = ['at', 'click_id', 'import_id', 'import_row', 'currency', ...CARRIED]
  await facts.command({
    query: `INSERT INTO costs (import_version, chunk, is_reversal, cost_micros, ${columns.join(', ')})
SETTINGS ${insertSettings(importId, version, name)}
SELECT {version:UInt32}, {chunk:String}, true, -cost_micros, ${columns.join(', ')}
FROM costs WHERE import_id = {import_id:UUID} AND import_version = {reversed:UInt32} AND chunk = {reversed_chunk:String} AND NOT is_reversal`,
    query_params: {
      ...{ version, chunk: name, import_id: importId },
      ...{ reversed: reversed.version, reversed_chunk: reversed.chunk },
    },
    clickhouse_settings: SETTINGS,
  })
}

type ChunkRow = Chunk['rows'][number]

/** Clicks with the row that each belongs to. @param columns of the clicks */
function matched(
  { advertiserId, spread, positions }: SpreadQuestion,
  rows: readonly ChunkRow[],
  { fromMs, toMs }: { readonly fromMs: number; readonly toMs: number },
  columns: readonly string[],
): { readonly sql: string; readonly params: Record<string, unknown> } {
  const names = Object.keys(rows[0]?.row.dimensions ?? {})
  const sub2Keys = names.flatMap((name, index) => {
    const key = sub2KeyOf(name)
    return key === undefined ? [] : [[`sub2_key_${index}`, key] as const]
  })
  const values = names.map((name, index) =>
    sub2KeyOf(name) === undefined ? `toString(${name})` : `sub2_keys[{sub2_key_${index}:String}]`,
  )
  const key = values.length === 0 ? `materialize('')` : `arrayStringConcat([${values.join(', ')}], '\\x01')`
  // Nothing is looked up in an empty list; before the first record there is no position, and no click either.
  const partitions = [['', 0] as const, ...Object.entries(positions)]
  const tuples = rows.map(({ row, before, clicks }) => [
    ...[row.rowNo, String(row.startsMs), String(row.endsMs), keyOf(row), String(row.amountMicros), row.currency],
    ...[String(before), String(clicks)],
  ])
  const sql = `
  SELECT ${['row', 'amount', 'row_currency', 'before', 'clicks_of_row', 'at_ms', 'at', 'click_id', ...columns].join(', ')}
  FROM (
    SELECT ${['at', 'click_id', ...columns].join(', ')}, toUnixTimestamp64Milli(at) AS at_ms, ${key} AS click_key
    FROM clicks
    WHERE advertiser_id = {advertiser_id:String} AND ${countedRows.clicks} AND ${BEARERS[spread]}
      AND at >= fromUnixTimestamp64Milli({from_ms:Int64}) AND at < fromUnixTimestamp64Milli({to_ms:Int64})
      AND log_offset < transform(toString(log_partition), {partitions:Array(String)}, {offsets:Array(UInt64)}, toUInt64(0))
  ) AS bearers
  ASOF JOIN (
    SELECT r.1 AS row, r.2 AS starts_ms, r.3 AS ends_ms, r.4 AS row_key, r.5 AS amount, r.6 AS row_currency, r.7 AS before, r.8 AS clicks_of_row
    FROM (SELECT arrayJoin(JSONExtract({rows:String}, 'Array(Tuple(UInt32, Int64, Int64, String, Int64, String, UInt64, UInt64))')) AS r)
  ) AS wanted ON bearers.click_key = wanted.row_key AND bearers.at_ms >= wanted.starts_ms
  WHERE at_ms < ends_ms`
  return {
    sql,
    params: {
      ...Object.fromEntries(sub2Keys),
      ...{ advertiser_id: advertiserId, from_ms: fromMs, to_ms: toMs, rows: JSON.stringify(tuples) },
      ...{ partitions: partitions.map(([name]) => name), offsets: partitions.map(([, offset]) => offset) },
    },
  }
}
