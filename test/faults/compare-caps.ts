import { join } from 'node:path'
import { openSqliteCapState } from '#caps'
import type { Pool } from '#platform/postgres'
import { compileCappedOffers, type CompiledOfferCaps, type Snapshot } from '#routing'
import { CAPPED_OFFER, CAPPED_OFFER_CLICKS } from './breakable-site.ts'
import type { Comparison } from './compare-with-journal.ts'

type OfferCount = { readonly offer_id: string; readonly times: string | number }

const CLICKS_SENT = `SELECT offer_id, count() AS times FROM clicks
  WHERE class = 'click' AND outcome = 'redirected' GROUP BY offer_id`
const CONVERSIONS_BOOKED = `SELECT offer_id, count(*)::int AS times FROM conversions WHERE status <> 'rejected' GROUP BY offer_id`
const SNAPSHOT = 'SELECT snapshot FROM config_versions ORDER BY version DESC LIMIT 1'

type CapFigures = Pick<
  Comparison,
  | 'caps_clicks_counted'
  | 'caps_clicks_over'
  | 'caps_clicks_missing'
  | 'caps_conversions_miscounted'
  | 'caps_clicks_in_vain'
>

/** Compares what caps have counted with the clicks of the facts and the conversions that are booked. An edge that is killed between
 * the reservation and the record of a click leaves one counted that is nowhere else: room is lost then, never given twice.
 */
export async function compareCaps(
  dataDir: string,
  pool: Pool,
  queryFacts: (text: string) => Promise<readonly OfferCount[]>,
): Promise<CapFigures> {
  const sent = timesOf(await queryFacts(CLICKS_SENT))
  const booked = timesOf((await pool.query<OfferCount>(CONVERSIONS_BOOKED)).rows)
  const counted = await readCounts(dataDir, pool)
  const sum = (of: (offerId: string) => number): number => [...counted.keys()].reduce((all, id) => all + of(id), 0)
  const clicks = (offerId: string): number => counted.get(offerId)![0]!
  return {
    caps_clicks_counted: sum(clicks),
    caps_clicks_over: Math.max(0, sent(CAPPED_OFFER) - CAPPED_OFFER_CLICKS, clicks(CAPPED_OFFER) - CAPPED_OFFER_CLICKS),
    caps_clicks_missing: sum((id) => Math.max(0, sent(id) - clicks(id))),
    caps_conversions_miscounted: sum((id) => Math.abs(booked(id) - counted.get(id)![1]!)),
    caps_clicks_in_vain: sum((id) => Math.max(0, clicks(id) - sent(id))),
  }
}

/** Clicks and conversions counted, offer by offer. */
async function readCounts(dataDir: string, pool: Pool): Promise<ReadonlyMap<string, readonly number[]>> {
  const { rows } = await pool.query<{ snapshot: Snapshot }>(SNAPSHOT)
  const caps = openSqliteCapState({ directory: join(dataDir, 'caps') })
  try {
    const now = Date.now()
    const usedOf = (offer: CompiledOfferCaps): readonly number[] =>
      offer.countsAt(now).map((counts) => caps.list(counts, now, 1)[0]?.used ?? 0)
    return new Map([...compileCappedOffers(rows[0]!.snapshot)].map(([offerId, offer]) => [offerId, usedOf(offer)]))
  } finally {
    await caps.close()
  }
}

function timesOf(rows: readonly OfferCount[]): (offerId: string) => number {
  const times = new Map(rows.map((row) => [row.offer_id, Number(row.times)]))
  return (offerId) => times.get(offerId) ?? 0
}
