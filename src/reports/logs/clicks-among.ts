import type { FactsClient } from '#platform/clickhouse'
import { uuidV7Time } from '#platform/ids'

import { askFacts } from '../ask-facts.ts'
import type { LogQuery } from './parse-log.ts'

const DAY_MS = 86_400_000
const EVER = { fromMs: 0, toMs: Date.UTC(2200, 0) }

/** Those of some clicks that a question for the log of clicks would show, whenever they were.
 * @param ids UUIDs; each is looked for where its id says that it was, and in every day where it is not there: a link may bring an id
 * of somebody else's
 * @throws {WaypostError} facts_unavailable, query_too_expensive
 */
export async function findClicksAmong(
  facts: FactsClient,
  query: Pick<LogQuery, 'where'>,
  ids: readonly string[],
): Promise<ReadonlySet<string>> {
  const dated = ids.filter((id) => uuidV7Time(id) !== undefined)
  const near = await judgeClicks(facts, query, dated, daysOf(dated))
  const elsewhere = await judgeClicks(facts, query, ids.filter((id) => !near.has(id))) // prettier-ignore
  return new Set([...near, ...elsewhere].flatMap(([id, isMet]) => (isMet ? [id] : [])))
}

/** Whether each of the clicks meets the question; those that there are none of are left out.
 * @param days partitions to look into; left out: all
 */
async function judgeClicks(
  facts: FactsClient,
  { where }: Pick<LogQuery, 'where'>,
  ids: readonly string[],
  days?: readonly string[],
): Promise<ReadonlyMap<string, boolean>> {
  if (ids.length === 0) return new Map()
  const { sql, params } = where(EVER)
  const rows = await askFacts<{ id: string; is_met: number }>(facts, {
    sql: `SELECT toString(click_id) AS id, max(${sql}) AS is_met FROM clicks PREWHERE click_id IN {among_ids:Array(UUID)}
      ${days === undefined ? '' : 'WHERE _partition_id IN {among_days:Array(String)}'} GROUP BY click_id`,
    params: { ...params, among_ids: [...new Set(ids)], ...(days !== undefined && { among_days: days }) },
  })
  return new Map(rows.map(({ id, is_met }) => [id, Number(is_met) === 1]))
}

/** The days of the ids, those before and after them too, as partitions. */
const daysOf = (ids: readonly string[]): readonly string[] => [
  ...new Set(
    ids.flatMap((id) =>
      [-DAY_MS, 0, DAY_MS].map((by) => new Date(uuidV7Time(id)! + by).toISOString().slice(0, 10).replaceAll('-', '')),
    ),
  ),
]
