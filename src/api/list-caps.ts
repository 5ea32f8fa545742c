import { readCapSlot, type CapCount, type CapCounters, type CapCounts } from '#caps'
import { formatAmount } from '#platform/money'
import { compileCappedOffers, type Offer, type Snapshot } from '#routing'

import { apiLimits } from './limits.ts'

type OfferCap = NonNullable<Offer['caps']>[number]

export type CapFilter = {
  readonly offer_id?: string | undefined
  readonly advertiser_id?: string | undefined
  /** Nothing of others is told. */
  readonly ofTenant: string | undefined
}

/** How full each count of the caps is, the fullest first. A cap with dimensions has a row for each value that has a count; one
 * without has always one.
 */
export function listCaps(
  snapshot: Snapshot,
  counters: Pick<CapCounters, 'list'>,
  { offer_id, advertiser_id, ofTenant }: CapFilter,
  nowMs: number,
) {
  const offers = snapshot.offers.filter(
    (offer) =>
      (offer_id === undefined || offer.offer_id === offer_id) &&
      (advertiser_id === undefined || offer.advertiser_id === advertiser_id) &&
      (ofTenant === undefined || offer.advertiser_id === ofTenant),
  )
  const compiled = compileCappedOffers({ ...snapshot, offers })
  const rows = offers.flatMap((offer) =>
    (compiled.get(offer.offer_id)?.countsAt(nowMs) ?? []).flatMap((counts, index) =>
      rowsOfCap(offer, offer.caps![index]!, counts, listCounts(counters, counts, nowMs)),
    ),
  )
  return rows.toSorted((a, b) => b.share - a.share)
}

function listCounts(counters: Pick<CapCounters, 'list'>, of: CapCounts, nowMs: number): readonly CapCount[] {
  const counts = counters.list(of, nowMs, apiLimits.countsOfCapMax)
  return counts.length === 0 && of.per.length === 0 ? [{ slot: of.slot, used: 0, held: 0 }] : counts
}

function rowsOfCap(offer: Offer, cap: OfferCap, of: CapCounts, counts: readonly CapCount[]) {
  const isMoney = cap.metric === 'payout' || cap.metric === 'revenue'
  const text = (value: number): string => (isMoney ? formatAmount(BigInt(value)) : String(value))
  const isEndless = of.periodEndMs === Infinity
  return counts.flatMap(({ slot, used, held }) => {
    const found = readCapSlot(of, slot)
    if (found === undefined) return []
    return {
      ...{ offer_id: offer.offer_id, advertiser_id: offer.advertiser_id, cap_id: cap.cap_id },
      ...{ metric: cap.metric, mode: cap.mode, period: cap.period },
      period_start: isEndless ? null : new Date(of.periodStartMs).toISOString(),
      period_end: isEndless ? null : new Date(of.periodEndMs).toISOString(),
      currency: isMoney ? offer.currency : null,
      values:
        found.kind === 'values'
          ? Object.fromEntries(of.per.map((dimension, index) => [dimension, found.values[index]!]))
          : {},
      ...(found.kind === 'fingerprint' && { fingerprint: found.fingerprint }),
      ...{ limit: text(cap.limit), used: text(used), held: text(held) },
      share: cap.limit === 0 ? 1 : Math.round(((used + held) / cap.limit) * 10_000) / 10_000,
    }
  })
}
