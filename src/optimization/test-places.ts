import type { FactsClient } from '#platform/clickhouse'
import type { Optimize, Snapshot } from '#routing'
import { campaign, flow, offer, snapshot } from '#routing/test-snapshots'

export const NOW_MS = Date.UTC(2026, 5, 1, 12)

export const optimize = (parts: Partial<Optimize> = {}): Optimize => ({
  weights: ['offers'],
  mode: 'on',
  goal: 'cr',
  floor_share: 0.1,
  window_days: 30,
  ...parts,
})

/** A smart link over three offers of the same weight. */
export const smartLink = (parts: Partial<Optimize> = {}): Snapshot => {
  const ids = ['good', 'fair', 'poor']
  const offers = ids.map((offer_id) => ({ offer_id, weight: 100 }))
  return snapshot({
    offers: ids.map((id) => offer(id)),
    campaigns: [campaign({ flows: [flow('f1', { offers })], optimize: optimize(parts) })],
  })
}

const PERIOD_MS = 5 * 86_400_000

type ArmFacts = {
  readonly clicks: number
  readonly conversions: number
  readonly revenueMicros?: number
}

/** Writes clicks of the last five days, and conversions of some of them ten minutes later, both evenly spread. */
export async function writeArm(facts: FactsClient, offerId: string, arm: ArmFacts): Promise<void> {
  const { clicks, conversions, revenueMicros = 10_000_000 } = arm
  const at = (stepMs: number): string =>
    `fromUnixTimestamp64Milli(toInt64({now_ms:Int64} - 3600000 - number * ${Math.floor(stepMs)}), 'UTC')`
  const [clickAt, convertedAt] = [at(PERIOD_MS / clicks), at(PERIOD_MS / conversions)]
  const ids = `'acme', 'summer', 'f1', {offer_id:String}, {landing_id:String}`
  const columns = 'advertiser_id, campaign_id, flow_id, offer_id, landing_id'
  const query_params = {
    ...{ now_ms: NOW_MS, clicks, conversions, revenue: revenueMicros },
    ...{ offer_id: offerId, landing_id: `${offerId}-land` },
  }
  await facts.command({
    query: `INSERT INTO clicks (at, click_id, class, outcome, ${columns})
      SELECT ${clickAt}, generateUUIDv7(), 'click', 'redirected', ${ids} FROM numbers({clicks:UInt64})`,
    query_params,
  })
  await facts.command({
    query: `INSERT INTO conversions (at, click_at, conversion_id, revision, sign, status, currency, revenue_micros, ${columns})
      SELECT ${convertedAt} + INTERVAL 10 MINUTE, ${convertedAt}, generateUUIDv7(), 1, 1, 'approved', 'USD', {revenue:Int64}, ${ids}
      FROM numbers({conversions:UInt64})`,
    query_params,
  })
}

/** Writes clicks that came within the last minutes. */
export async function writeRecentClicks(facts: FactsClient, offerId: string, clicks: number): Promise<void> {
  await facts.command({
    query: `INSERT INTO clicks (at, click_id, class, outcome, advertiser_id, campaign_id, flow_id, offer_id)
      SELECT fromUnixTimestamp64Milli(toInt64({now_ms:Int64} - 1 - number * 100), 'UTC'), generateUUIDv7(), 'click', 'redirected',
        'acme', 'summer', 'f1', {offer_id:String} FROM numbers({clicks:UInt64})`,
    query_params: { now_ms: NOW_MS, clicks, offer_id: offerId },
  })
}

export async function emptyFacts(facts: FactsClient): Promise<void> {
  for (const table of ['clicks', 'conversions']) await facts.command({ query: `TRUNCATE TABLE ${table}` })
}
