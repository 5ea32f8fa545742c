import type { FactsClient } from '#platform/clickhouse'
import { newClickId } from '#platform/ids'
import type { Pool } from '#platform/postgres'

/** Clicks in the facts as the pipeline leaves them: with their place in the log, and its own position after them. */
export type TestClick = Readonly<Record<string, unknown>> & { readonly at: string }

const PARTITION = 'edge-0'
let nextOffset = 0

/** Puts clicks of the advertiser acme into the facts. */
export async function addClicks(facts: FactsClient, pool: Pool, clicks: readonly TestClick[]): Promise<void> {
  const values = clicks.map((click) => ({
    ...{ click_id: newClickId(Date.parse(click.at)), class: 'click', outcome: 'redirected', advertiser_id: 'acme' },
    ...{ log_partition: PARTITION, log_offset: nextOffset++ },
    ...click,
    at: Date.parse(click.at),
  }))
  if (values.length > 0) await facts.insert({ table: 'clicks', values, format: 'JSONEachRow' })
  await movePosition(pool)
}

/** Says that everything so far is in the facts. */
export const movePosition = (pool: Pool): Promise<unknown> =>
  pool.query(
    `INSERT INTO consumer_positions (consumer, log_partition, position, epoch) VALUES ('pipeline', $1, $2, 1)
     ON CONFLICT (consumer, log_partition) DO UPDATE SET position = $2`,
    [PARTITION, nextOffset],
  )

/** Sums of the costs in the facts by the values of some columns, joined by a slash; sums of zero are left out. */
export async function sumCosts(facts: FactsClient, columns: string, where = '1'): Promise<Record<string, bigint>> {
  const answer = await facts.query({
    query: `SELECT concatWithSeparator('/', ${columns}, '') AS place, toString(sum(cost_micros)) AS micros FROM costs
      WHERE ${where} GROUP BY place HAVING sum(cost_micros) != 0 ORDER BY place`,
    format: 'JSONEachRow',
  })
  const rows = await answer.json<{ place: string; micros: string }>()
  return Object.fromEntries(rows.map(({ place, micros }) => [place.replace(/\/$/, ''), BigInt(micros)]))
}
