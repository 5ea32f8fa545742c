import type { ClickHouseSettings } from '@clickhouse/client'

import type { FactsClient } from '#platform/clickhouse'
import { WaypostError } from '#platform/errors'
import { memoryBytes } from '#platform/processes'

import type { CompiledQuery } from './compile-report.ts'
import { explainFactsError } from './source.ts'

/** Limits of one question to the facts: a report that is too wide fails by itself instead of slowing down the writer. */
export const QUERY_SECONDS_MAX = 10
export const QUERY_ROWS_MAX = 10_000
/** An eighth of the memory that there is, from 1 to 4 GB: ten million visitors are told apart in 700 MB. */
export const QUERY_MEMORY_BYTES_MAX = Math.round(Math.min(4e9, Math.max(1e9, memoryBytes() / 8)))

/** Expressions that ClickHouse has met a few times are compiled to machine code, and those over 128-bit integers then compare wrongly
 * (formula-values.ch.test.ts finds it). Whatever computes formulas of reports needs this setting.
 */
export const exactSettings = { compile_expressions: 0 } as const

/** Conditions are read and tried together: one after the other, which saves reading where few rows are left, costs a step for each of many
 * small parts.
 */
const fastSettings = { enable_multiple_prewhere_read_steps: 0 } as const

/** A row of an answer: groups g0, g1, … and values v0, v1, … */
export type FactsRow = Readonly<Record<string, string | number | null>>

/** Asks ClickHouse. 64-bit integers arrive as text.
 * @throws {WaypostError} facts_unavailable, query_too_expensive
 */
export async function askFacts<Row>(facts: FactsClient, query: CompiledQuery): Promise<readonly Row[]> {
  const lines = await ask(facts, query, 'JSONEachRow')
  return lines.split('\n').filter((line) => line !== '').map((line) => JSON.parse(line) as Row) // prettier-ignore
}

/** The same as text, one row of JSON on each line: for rows that somebody else reads.
 * @throws {WaypostError} facts_unavailable, query_too_expensive
 */
export async function askFactsLines(facts: FactsClient, query: CompiledQuery): Promise<string> {
  return ask(facts, query, 'JSONEachRow')
}

/** Rows of a query with `WITH TOTALS`. */
export type FactsTotalled<Row> = {
  readonly rows: readonly Row[]
  /** Undefined where the query has no totals, or there are no rows to add up. */
  readonly totals: Row | undefined
  /** Rows past the limit too. */
  readonly rowsTotal: number
}

/** Asks ClickHouse for rows with their totals and their number without the limit. 64-bit integers arrive as text.
 * @throws {WaypostError} facts_unavailable, query_too_expensive
 */
export async function askFactsTotalled<Row>(facts: FactsClient, query: CompiledQuery): Promise<FactsTotalled<Row>> {
  const settings = { totals_mode: 'after_having_exclusive', exact_rows_before_limit: 1 } as const
  const text = await ask(facts, query, 'JSON', settings)
  // The engine in the process writes the parts of an answer that has no rows in another order than a server does.
  if (!text.startsWith('{')) return { rows: [], totals: undefined, rowsTotal: 0 }
  const { data, totals, rows_before_limit_at_least } = JSON.parse(text) as {
    data: Row[]
    totals?: Row
    rows_before_limit_at_least?: number
  }
  return { rows: data, totals, rowsTotal: rows_before_limit_at_least ?? data.length }
}

async function ask(
  facts: FactsClient,
  { sql, params, readsAll = false }: CompiledQuery,
  format: 'JSONEachRow' | 'JSON',
  settings: ClickHouseSettings = {},
): Promise<string> {
  try {
    const answer = await facts.query({
      query: sql,
      query_params: { ...params },
      format,
      clickhouse_settings: {
        max_execution_time: QUERY_SECONDS_MAX,
        max_result_rows: String(QUERY_ROWS_MAX + 1),
        max_memory_usage: String(QUERY_MEMORY_BYTES_MAX),
        output_format_json_quote_64bit_integers: 1,
        ...exactSettings,
        ...fastSettings,
        // Where most rows count, conditions that are read before everything else only make each part be read twice.
        optimize_move_to_prewhere: readsAll ? 0 : 1,
        ...settings,
      },
    })
    return await answer.text()
  } catch (cause) {
    throw factsError(sql.includes(`'Parquet'`) ? explainFactsError(facts, cause) : cause)
  }
}

/** TIMEOUT_EXCEEDED, TOO_MANY_ROWS, TOO_MANY_BYTES, MEMORY_LIMIT_EXCEEDED, TOO_MANY_ROWS_OR_BYTES, TOO_SLOW. */
const EXPENSIVE_CODES: ReadonlySet<string> = new Set(['159', '158', '307', '241', '396', '160'])

/** ClickHouse's own errors have a number: a question that it refuses is our mistake, silence is its.
 * @returns a WaypostError facts_unavailable or query_too_expensive, or what it was given
 */
export function factsError(cause: unknown): unknown {
  if (cause instanceof WaypostError) return cause
  const code = numberOfError(cause)
  if (code !== undefined && EXPENSIVE_CODES.has(code))
    return new WaypostError('query_too_expensive', undefined, { cause })
  if (code !== undefined) return cause
  return new WaypostError('facts_unavailable', undefined, { cause })
}

/** The client gives the number as `code`, a stream of the embedded engine in its text. */
function numberOfError(cause: unknown): string | undefined {
  const { code, message } = cause as { code?: unknown; message?: unknown }
  if (typeof code === 'string' && /^\d+$/.test(code)) return code
  return /^Code: (\d+)\./.exec(String(message))?.[1]
}
