import type { FactsClient } from '#platform/clickhouse'
import { WaypostError } from '#platform/errors'

import type { CompiledQuery } from './compile-report.ts'

/** Limits of one question to the facts: a report that is too wide fails by itself instead of slowing down the writer. */
export const QUERY_SECONDS_MAX = 10
export const QUERY_ROWS_MAX = 10_000
const QUERY_MEMORY_BYTES_MAX = 1_000_000_000

/** Asks ClickHouse. 64-bit integers arrive as text.
 * @throws {WaypostError} facts_unavailable, query_too_expensive
 */
export async function askFacts<Row>(facts: FactsClient, query: CompiledQuery): Promise<readonly Row[]> {
  return ask(facts, query, (answer) => answer.json<Row>())
}

/** The same as text, one row of JSON on each line: for rows that somebody else reads.
 * @throws {WaypostError} facts_unavailable, query_too_expensive
 */
export async function askFactsLines(facts: FactsClient, query: CompiledQuery): Promise<string> {
  return ask(facts, query, (answer) => answer.text())
}

type Answer = { json<Row>(): Promise<Row[]>; text(): Promise<string> }

async function ask<T>(
  facts: FactsClient,
  { sql, params }: CompiledQuery,
  read: (answer: Answer) => Promise<T>,
): Promise<T> {
  try {
    const answer = await facts.query({
      query: sql,
      query_params: { ...params },
      format: 'JSONEachRow',
      clickhouse_settings: {
        max_execution_time: QUERY_SECONDS_MAX,
        max_result_rows: String(QUERY_ROWS_MAX + 1),
        max_memory_usage: String(QUERY_MEMORY_BYTES_MAX),
        output_format_json_quote_64bit_integers: 1,
      },
    })
    return await read(answer)
  } catch (cause) {
    throw toWaypostError(cause)
  }
}

/** TIMEOUT_EXCEEDED, TOO_MANY_ROWS, TOO_MANY_BYTES, MEMORY_LIMIT_EXCEEDED, TOO_MANY_ROWS_OR_BYTES, TOO_SLOW. */
const EXPENSIVE_CODES: ReadonlySet<string> = new Set(['159', '158', '307', '241', '396', '160'])

/** ClickHouse's own errors have a number: a question that it refuses is our mistake, silence is its. */
function toWaypostError(cause: unknown): unknown {
  const code = (cause as { code?: unknown }).code
  if (typeof code === 'string' && EXPENSIVE_CODES.has(code))
    return new WaypostError('query_too_expensive', undefined, { cause })
  if (typeof code === 'string' && /^\d+$/.test(code)) return cause
  return new WaypostError('facts_unavailable', undefined, { cause })
}
