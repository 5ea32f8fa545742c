import type { FactsClient } from '#platform/clickhouse'

/** Rows of a question of this module, 64-bit numbers as text. */
export async function ask<Row>(facts: FactsClient, query: string): Promise<readonly Row[]> {
  const answer = await facts.query({
    query,
    format: 'JSONEachRow',
    clickhouse_settings: { output_format_json_quote_64bit_integers: 1 },
  })
  return answer.json<Row>()
}
