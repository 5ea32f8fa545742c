import { randomUUID } from 'node:crypto'

import { insertLines, type FactsClient } from '#platform/clickhouse'

export type FactTable = 'clicks' | 'events' | 'conversions'

/** Rows of a range of a source: of the log for clicks and events, of revisions for conversions. */
export type FactInsert = {
  readonly table: FactTable
  readonly lines: Buffer
  /** Names the source and the range; the same range always brings the same rows. */
  readonly range: string
}

/** Inserts a range of rows; sent again, the table drops it by its deduplication token.
 * @param isTokenOn off only in the fault run: then every insert has a token of its own
 * @throws {Error} ClickHouse is away or refuses: nothing of the range is in the table, or all of it
 */
export async function insertFacts(client: FactsClient, insert: FactInsert, isTokenOn = true): Promise<void> {
  const token = isTokenOn ? `${insert.range}:${insert.table}` : randomUUID()
  await insertLines(client, { table: insert.table, lines: insert.lines, token })
}

type PresentQuery = {
  readonly table: FactTable
  readonly column: 'log_offset' | 'seq'
  /** For clicks and events. */
  readonly partition?: string
  readonly from: number
  readonly to: number
}

/** Which of the numbers [from, to) have a row. Reads one column of the table: for the first batch after a crash only. */
export async function findPresent(client: FactsClient, query: PresentQuery): Promise<ReadonlySet<number>> {
  const ofPartition = query.partition === undefined ? '' : 'AND log_partition = {partition:String}'
  const answer = await client.query({
    query: `SELECT DISTINCT ${query.column} AS number FROM ${query.table}
      WHERE ${query.column} >= {from:UInt64} AND ${query.column} < {to:UInt64} ${ofPartition}`,
    query_params: { from: query.from, to: query.to, partition: query.partition ?? '' },
    format: 'JSONEachRow',
  })
  const rows = await answer.json<{ number: string | number }>()
  return new Set(rows.map(({ number }) => Number(number)))
}
