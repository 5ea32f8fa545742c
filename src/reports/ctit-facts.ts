import type { Tenant } from '#accounts'
import type { FactsClient } from '#platform/clickhouse'

import { askFacts } from './ask-facts.ts'
import { tenantCondition } from './where.ts'

/** Affiliates of an offer that are looked at, those with most conversions. */
export const CTIT_AFFILIATES_MAX = 100
/** Conversions of an affiliate that are looked at; of more a sample. */
export const CTIT_SAMPLE_MAX = 1_000

/** How long after their clicks the conversions of an affiliate came. */
export type AffiliateCtits = {
  readonly affiliate_id: string
  /** All of them: of each click the first. */
  readonly conversions: number
  /** Of at most CTIT_SAMPLE_MAX of them, whole seconds ≥ 0. */
  readonly seconds: readonly number[]
}

// The first revision of a conversion is one row; what became of it later does not change when it came. Of each click the first
// conversion alone: the test takes the times for independent, and a sale after a lead of the same click is as fast or slow as that.
const CTITS = (own: string): string => `
  SELECT affiliate_id, toUInt32(count()) AS conversions,
    groupArraySample(${CTIT_SAMPLE_MAX}, 1)(waited) AS seconds
  FROM (
    SELECT affiliate_id, toUInt32(greatest(0, min(dateDiff('second', click_at, at)))) AS waited FROM conversions
    WHERE offer_id = {offer_id:String} AND affiliate_id != '' AND revision = 1 AND sign = 1 AND ${own}
      AND at >= fromUnixTimestamp64Milli({from_ms:Int64}) AND at < fromUnixTimestamp64Milli({to_ms:Int64})
    GROUP BY affiliate_id, click_id
  )
  GROUP BY affiliate_id ORDER BY conversions DESC, affiliate_id LIMIT {limit:UInt32}`

/** The times from click to conversion of an offer in a period, by affiliate: one affiliate more than the limit where there are more.
 * @throws {WaypostError} facts_unavailable, query_too_expensive
 */
export async function readCtits(
  facts: FactsClient,
  tenant: Tenant,
  { offerId, fromMs, toMs }: { readonly offerId: string; readonly fromMs: number; readonly toMs: number },
): Promise<readonly AffiliateCtits[]> {
  const own = tenantCondition(tenant)
  const params = { ...own.params, offer_id: offerId, from_ms: fromMs, to_ms: toMs, limit: CTIT_AFFILIATES_MAX + 1 }
  return askFacts<AffiliateCtits>(facts, { sql: CTITS(own.sql), params })
}
