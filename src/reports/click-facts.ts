import type { Tenant } from '#accounts'
import type { FactsClient } from '#platform/clickhouse'
import { uuidV7Time, type ClickId } from '#platform/ids'

import { askFacts } from './ask-facts.ts'
import { tenantCondition } from './where.ts'

/** A row of the facts as it is: column name → value; 64-bit integers as text. */
export type FactsRow = Readonly<Record<string, unknown>>

export const CLICK_EVENTS_MAX = 1_000
const DAY_MS = 86_400_000

/** The column is an IPv6 one, which shows `192.0.2.1` as `::ffff:192.0.2.1`; people and other parts of Waypost write the former. */
const PLAIN_IP = `replaceRegexpOne(toString(ip), '^::ffff:([0-9]+[.][0-9.]+)$', '\\\\1') AS ip`

const CLICK = (own: string, near: string): string => `
  SELECT * REPLACE (${PLAIN_IP}) FROM clicks WHERE click_id = {click_id:UUID} AND ${near} AND ${own} ORDER BY at LIMIT 1`

const NEAR =
  'at >= fromUnixTimestamp64Milli({near_ms:Int64} - {day_ms:Int64}) AND at < fromUnixTimestamp64Milli({near_ms:Int64} + {day_ms:Int64})'

/** The click's row in the facts.
 * @param atMs when it was, where that is known: finds it without reading every day
 * @returns undefined when there is none, or none of the tenant's own
 */
export async function findClickFacts(
  facts: FactsClient,
  tenant: Tenant,
  clickId: ClickId,
  atMs?: number,
): Promise<FactsRow | undefined> {
  const own = tenantCondition(tenant)
  const nearMs = atMs ?? uuidV7Time(clickId)
  const params = { ...own.params, click_id: clickId }
  if (nearMs !== undefined) {
    const rows = await askFacts<FactsRow>(facts, {
      sql: CLICK(own.sql, NEAR),
      params: { ...params, near_ms: nearMs, day_ms: DAY_MS },
    })
    if (rows[0] !== undefined || atMs !== undefined) return rows[0]
  }
  const rows = await askFacts<FactsRow>(facts, { sql: CLICK(own.sql, '1'), params })
  return rows[0]
}

const EVENTS = (own: string): string => `
  SELECT event_id, at, type, refusal, txid, amount_micros, currency, sub2_keys, time_on_page_ms, site, referrer,
    ${PLAIN_IP}, user_agent, raw
  FROM events
  WHERE click_id = {click_id:UUID} AND ${own}
    AND at >= fromUnixTimestamp64Milli({click_ms:Int64}) - INTERVAL 1 HOUR
    AND advertiser_id = {advertiser_id:String} AND campaign_id = {campaign_id:String}
  ORDER BY at, event_id LIMIT {limit:UInt32}`

/** Events of a click in the order of time, refused ones too, at most CLICK_EVENTS_MAX. The click's advertiser and campaign
 * lead the sort key: with them only its own part of each day is read. */
export async function listEventsOfClick(
  facts: FactsClient,
  tenant: Tenant,
  click: {
    readonly clickId: ClickId
    readonly atMs: number
    readonly advertiserId: string
    readonly campaignId: string
  },
): Promise<readonly FactsRow[]> {
  const own = tenantCondition(tenant)
  const params = {
    ...own.params,
    click_id: click.clickId,
    click_ms: click.atMs,
    advertiser_id: click.advertiserId,
    campaign_id: click.campaignId,
    limit: CLICK_EVENTS_MAX,
  }
  return askFacts<FactsRow>(facts, { sql: EVENTS(own.sql), params })
}
