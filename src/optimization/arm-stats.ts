import type { ArmStats } from '#bandit'
import type { FactsClient } from '#platform/clickhouse'
import { askFacts } from '#reports'

import type { OptimizedPlace } from './places.ts'

/** Seconds rounded up, the finer the fewer: half a minute up to five minutes, then five minutes, from an hour on an hour, from a
 * day on six hours, from a week on a day. So a month is 83 steps.
 */
const rounded = (seconds: string): string => `toUInt32(multiIf(
    ${seconds} <= 300, ceil(${seconds} / 30) * 30, ${seconds} <= 3600, ceil(${seconds} / 300) * 300,
    ${seconds} <= 86400, ceil(${seconds} / 3600) * 3600, ${seconds} <= 604800, ceil(${seconds} / 21600) * 21600,
    ceil(${seconds} / 86400) * 86400))`

const secondsBetween = (from: string, to: string): string => `greatest(0, ${to} - ${from}) / 1000`
const ms = (column: string): string => `toUnixTimestamp64Milli(${column})`

const columns = { flows: 'flow_id', offers: 'offer_id', landings: 'landing_id' } as const

const ofPlace = (column: string): string => `
    advertiser_id = {advertiser_id:String} AND campaign_id = {campaign_id:String}
    AND ({flow_id:String} = '' OR flow_id = {flow_id:String}) AND ({offer_id:String} = '' OR offer_id = {offer_id:String})
    AND ${column} IN {arms:Array(String)}`

/** Clicks that were sent to one of the arms. */
const CLICKS = (column: string): string => `
  SELECT arm, groupArray((age, clicks)) AS clicks FROM (
    SELECT ${column} AS arm, ${rounded('age_seconds')} AS age, toUInt32(count()) AS clicks FROM (
      SELECT ${column}, ${secondsBetween(ms('at'), '{now_ms:Int64}')} AS age_seconds FROM clicks
      WHERE at >= fromUnixTimestamp64Milli({from_ms:Int64}) AND class = 'click' AND outcome = 'redirected' AND ${ofPlace(column)}
    ) GROUP BY arm, age
  ) GROUP BY arm`

/** Their conversions that were not rejected. Each row counts with its sign: a revision takes back the values before it. */
const CONVERSIONS = (column: string): string => `
  SELECT arm, groupArray((age, delay, conversions, earned, earned_squares)) AS conversions FROM (
    SELECT ${column} AS arm, ${rounded('age_seconds')} AS age, ${rounded('delay_seconds')} AS delay,
      toInt32(sum(sign)) AS conversions, sum(revenue * sign) AS earned, sum(pow(revenue, 2) * sign) AS earned_squares
    FROM (
      SELECT ${column}, sign, toFloat64(revenue_micros) / 1e6 AS revenue,
        ${secondsBetween(ms('click_at'), '{now_ms:Int64}')} AS age_seconds,
        least(${secondsBetween(ms('click_at'), ms('at'))}, ${secondsBetween(ms('click_at'), '{now_ms:Int64}')}) AS delay_seconds
      FROM conversions
      WHERE at >= fromUnixTimestamp64Milli({from_ms:Int64}) - INTERVAL 1 DAY
        AND click_at >= fromUnixTimestamp64Milli({from_ms:Int64}) AND status != 'rejected' AND ${ofPlace(column)}
    ) GROUP BY arm, age, delay HAVING conversions > 0
  ) GROUP BY arm`

type ClicksRow = { readonly arm: string; readonly clicks: readonly (readonly [age: number, clicks: number])[] }
type ConversionsRow = {
  readonly arm: string
  readonly conversions: readonly (readonly [
    age: number,
    delay: number,
    count: number,
    earned: number,
    squares: number,
  ])[]
}

const DAY_MS = 86_400_000

/** What the facts have of the arms of a place, as learnWeights takes it. Earnings are revenue, in units of the currency.
 * @throws {WaypostError} facts_unavailable, query_too_expensive
 */
export async function readArmStats(
  facts: FactsClient,
  { weights, advertiserId, campaignId, flowId = '', offerId = '', optimize, arms }: OptimizedPlace,
  nowMs: number,
): Promise<readonly ArmStats[]> {
  const params = {
    now_ms: nowMs,
    from_ms: nowMs - optimize.window_days * DAY_MS,
    ...{ advertiser_id: advertiserId, campaign_id: campaignId, flow_id: flowId, offer_id: offerId },
    arms: arms.map(({ id }) => id),
  }
  const column = columns[weights]
  const clicks = await askFacts<ClicksRow>(facts, { sql: CLICKS(column), params })
  const conversions = await askFacts<ConversionsRow>(facts, { sql: CONVERSIONS(column), params })
  const clicksOf = new Map(clicks.map((row) => [row.arm, row.clicks]))
  const conversionsOf = new Map(conversions.map((row) => [row.arm, row.conversions]))
  return arms.map(({ id, weight }) => ({
    arm_id: id,
    weight,
    clicks: (clicksOf.get(id) ?? []).map(([age_seconds, count]) => ({ age_seconds, count })),
    conversions: (conversionsOf.get(id) ?? []).map(([age_seconds, delay_seconds, count, earned, earned_squares]) => ({
      ...{ age_seconds, delay_seconds, count, earned, earned_squares },
    })),
  }))
}
