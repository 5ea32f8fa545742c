import { formatAmount } from '#platform/money'
import type { OfferClicks, OfferConversions } from '#reports'
import type { OfferCell } from './tally.ts'

/** What offers would have earned, by what their clicks of the same period did earn.
 *
 * Expected amount = clicks × (amount of the observed conversions ÷ observed clicks), for the offer in the country of the click
 * where both are enough, else for the offer as a whole, else unknown. The interval is 1.96 standard errors of the difference,
 * with conversions as a compound Poisson process: the variance of the observed sum is the sum of the squares of its values.
 */

/** Fewer make a rate that says little: at ten conversions its standard error is about a third of it. */
export const ENOUGH = { clicks: 100, conversions: 10 } as const

const Z_95 = 1.96

export type Rate = {
  readonly offer_id: string
  /** Left out: the offer in all countries. */
  readonly country?: string
  readonly currency: string
  /** Observed in the period. */
  readonly clicks: number
  readonly conversions: number
  readonly revenueMicros: bigint
  readonly payoutMicros: bigint
  readonly revenueSquares: number
  readonly payoutSquares: number
}

export type Earnings = {
  readonly by_currency: readonly {
    readonly currency: string
    readonly revenue: Expected
    readonly payout: Expected
  }[]
  /** The rates that were used, by the clicks they were used for. */
  readonly rates: readonly {
    readonly offer_id: string
    readonly country?: string
    readonly currency: string
    readonly observed_clicks: number
    readonly observed_conversions: number
    readonly revenue_per_click: string
    readonly payout_per_click: string
    readonly clicks_before: number
    readonly clicks_after: number
  }[]
  /** Offers without a rate: what they earn is in no sum. */
  readonly unknown: readonly {
    readonly offer_id: string
    readonly clicks_before: number
    readonly clicks_after: number
  }[]
}

export type Expected = {
  readonly before: string
  readonly after: string
  readonly difference: string
  /** 95 % of the time the difference is between these, as far as the rates of the period hold. */
  readonly difference_low: string
  readonly difference_high: string
}

export type Observed = {
  readonly clicks: readonly OfferClicks[]
  readonly conversions: readonly OfferConversions[]
}

/** @param share of the clicks of the period that the cells stand for; sums are scaled up by it */
export function expectEarnings(cells: readonly OfferCell[], observed: Observed, share: number): Earnings {
  const rates = ratesOf(observed)
  const used = new Map<Rate, { before: number; after: number }>()
  const unknown = new Map<string, { before: number; after: number }>()
  for (const cell of cells) {
    const found = rates.byCountry.get(`${cell.offer_id}|${cell.country}`) ?? rates.byOffer.get(cell.offer_id) ?? []
    for (const rate of found) add(used, rate, cell)
    if (found.length === 0) add(unknown, cell.offer_id, cell)
  }
  const currencies = [...new Set([...used.keys()].map(({ currency }) => currency))].sort()
  return {
    by_currency: currencies.map((currency) => {
      const own = [...used].filter(([rate]) => rate.currency === currency)
      return { currency, revenue: expect(own, 'revenue', share), payout: expect(own, 'payout', share) }
    }),
    rates: [...used].map(([rate, { before, after }]) => ({
      offer_id: rate.offer_id,
      ...(rate.country !== undefined && { country: rate.country }),
      currency: rate.currency,
      observed_clicks: rate.clicks,
      observed_conversions: rate.conversions,
      revenue_per_click: formatAmount(rate.revenueMicros / BigInt(rate.clicks), 2),
      payout_per_click: formatAmount(rate.payoutMicros / BigInt(rate.clicks), 2),
      clicks_before: before,
      clicks_after: after,
    })),
    unknown: [...unknown].map(([offer_id, { before, after }]) => ({
      offer_id,
      clicks_before: before,
      clicks_after: after,
    })),
  }
}

function add<Key>(sums: Map<Key, { before: number; after: number }>, key: Key, cell: OfferCell): void {
  const sum = sums.get(key) ?? { before: 0, after: 0 }
  sums.set(key, { before: sum.before + cell.before, after: sum.after + cell.after })
}

type Used = readonly (readonly [Rate, { readonly before: number; readonly after: number }])[]

function expect(used: Used, amount: 'revenue' | 'payout', share: number): Expected {
  let before = 0n
  let after = 0n
  let variance = 0
  for (const [rate, clicks] of used) {
    const total = amount === 'revenue' ? rate.revenueMicros : rate.payoutMicros
    const squares = amount === 'revenue' ? rate.revenueSquares : rate.payoutSquares
    before += (total * BigInt(clicks.before)) / BigInt(rate.clicks)
    after += (total * BigInt(clicks.after)) / BigInt(rate.clicks)
    variance += ((clicks.after - clicks.before) / rate.clicks) ** 2 * squares
  }
  const difference = after - before
  const margin = BigInt(Math.round(Z_95 * Math.sqrt(variance)))
  const inPeriod = (micros: bigint): string => formatAmount(BigInt(Math.round(Number(micros) / share)), 2)
  return {
    before: inPeriod(before),
    after: inPeriod(after),
    difference: inPeriod(difference),
    difference_low: inPeriod(difference - margin),
    difference_high: inPeriod(difference + margin),
  }
}

/** Rates with enough behind them. An offer whose prices changed their currency has one for each. */
function ratesOf({ clicks, conversions }: Observed): {
  readonly byCountry: ReadonlyMap<string, readonly Rate[]>
  readonly byOffer: ReadonlyMap<string, readonly Rate[]>
} {
  const clicksByCountry = new Map(clicks.map((one) => [`${one.offerId}|${one.country}`, one.clicks]))
  const clicksByOffer = new Map<string, number>()
  for (const one of clicks) clicksByOffer.set(one.offerId, (clicksByOffer.get(one.offerId) ?? 0) + one.clicks)
  const perCountry = conversions.map((one) => toRate(one, one.country, clicksByCountry.get(`${one.offerId}|${one.country}`) ?? 0)) // prettier-ignore
  const whole = new Map<string, Rate>()
  for (const one of conversions) {
    const key = `${one.offerId}|${one.currency}`
    const rate = toRate(one, undefined, clicksByOffer.get(one.offerId) ?? 0)
    const known = whole.get(key)
    whole.set(key, known === undefined ? rate : sumOf(known, rate))
  }
  return {
    byCountry: groupEnough(perCountry, ({ offer_id, country }) => `${offer_id}|${country}`),
    byOffer: groupEnough([...whole.values()], ({ offer_id }) => offer_id),
  }
}

const toRate = (
  { offerId, country: _, ...one }: OfferConversions,
  country: string | undefined,
  clicks: number,
): Rate => ({
  offer_id: offerId,
  ...(country !== undefined && { country }),
  ...one,
  clicks,
})

const sumOf = (left: Rate, right: Rate): Rate => ({
  ...left,
  conversions: left.conversions + right.conversions,
  revenueMicros: left.revenueMicros + right.revenueMicros,
  payoutMicros: left.payoutMicros + right.payoutMicros,
  revenueSquares: left.revenueSquares + right.revenueSquares,
  payoutSquares: left.payoutSquares + right.payoutSquares,
})

function groupEnough(rates: readonly Rate[], keyOf: (rate: Rate) => string): ReadonlyMap<string, readonly Rate[]> {
  const groups = new Map<string, Rate[]>()
  for (const rate of rates) {
    if (rate.clicks < ENOUGH.clicks || rate.conversions < ENOUGH.conversions) continue
    groups.set(keyOf(rate), [...(groups.get(keyOf(rate)) ?? []), rate])
  }
  return groups
}
