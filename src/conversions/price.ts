import { micros, shareOf, type Micros } from '#platform/money'
import type { ConversionStatus, ConversionType, Offer, Price } from '#routing'

/** What is known about a conversion when it is priced. Amounts are in the offer's currency unless `currency` says otherwise. */
export type Sale = {
  readonly type: ConversionType
  readonly goal: string
  /** Who is to be paid; undefined: nobody. */
  readonly affiliateId: string | undefined
  /** What the advertiser's server says it pays us. Never from a page: a visitor could write anything. */
  readonly amountMicros: bigint | undefined
  /** Size of the sale. */
  readonly saleAmountMicros: bigint | undefined
  readonly currency: string | undefined
  /** What its sender says it is. A rejected one is worth nothing whatever its size. */
  readonly status: ConversionStatus | undefined
}

export type Worth = {
  readonly payoutMicros: Micros
  readonly revenueMicros: Micros
  /** 0 where it is unknown or in another currency. */
  readonly saleAmountMicros: Micros
  /** Of a new conversion where its sender names none. */
  readonly status: Exclude<ConversionStatus, 'rejected'>
}

export type Priced =
  | { readonly kind: 'priced'; readonly worth: Worth }
  | { readonly kind: 'refused'; readonly reason: 'amount_invalid' | 'amount_missing' | 'currency_differs' }

type Pricing = Pick<Offer, 'model' | 'currency' | 'prices' | 'affiliates'>

const NOTHING = micros(0n)
const PAID_TYPES: Readonly<Record<Offer['model'], readonly ConversionType[]>> = {
  cpa: ['lead', 'sale'],
  cpl: ['lead'],
  cps: ['sale'],
  revshare: ['lead', 'sale'],
}

type Priceable = Pick<Sale, 'type' | 'goal' | 'affiliateId'>

/** Of the affiliate's own prices, else of the offer's: the first that names the goal, else the first without a goal, of the
 * conversion's type.
 */
function findPrice({ affiliates, prices }: Pick<Offer, 'prices' | 'affiliates'>, sale: Priceable): Price | undefined {
  const own = sale.affiliateId === undefined ? undefined : affiliates?.[sale.affiliateId]?.prices
  return (own && findIn(own, sale)) ?? findIn(prices, sale)
}

const findIn = (prices: readonly Price[], { type, goal }: Priceable): Price | undefined =>
  prices.find((price) => price.type === type && price.goal === goal) ??
  prices.find((price) => price.type === type && price.goal === undefined)

/** What a conversion is worth by the model of its offer.
 *
 * cpa, cpl, cps: payout and revenue as the price says; where the price has no revenue, the sender's amount is the revenue.
 * Of a type that the model does not pay, both are 0. revshare: shares of the sale; a share that the price leaves out falls
 * back to its fixed amount, and where the sender gives no size of the sale, its amount is taken for it. An amount in another
 * currency is never converted: where it would set the price, the conversion is refused, else it is left out. A share of a sale
 * of unknown size is refused: booked as nothing, it would hold the transaction id against the right one.
 * No affiliate: no payout. No price: 0, pending.
 */
export function priceConversion(offer: Pricing, sale: Sale): Priced {
  if ((sale.amountMicros ?? 0n) < 0n || (sale.saleAmountMicros ?? 0n) < 0n)
    return { kind: 'refused', reason: 'amount_invalid' }
  const price = findPrice(offer, sale)
  const isForeign = sale.currency !== undefined && sale.currency !== offer.currency
  const hasAmount = sale.amountMicros !== undefined || sale.saleAmountMicros !== undefined
  if (isForeign && hasAmount && takesPriceFromAmount(offer, price, sale))
    return { kind: 'refused', reason: 'currency_differs' }
  if (!hasAmount && sale.status !== 'rejected' && isShare(offer, price))
    return { kind: 'refused', reason: 'amount_missing' }
  const known = isForeign ? { ...sale, amountMicros: undefined, saleAmountMicros: undefined } : sale
  const { payoutMicros, revenueMicros } = price === undefined ? unpriced(known) : valueOf(offer, price, known)
  return {
    kind: 'priced',
    worth: {
      payoutMicros: sale.affiliateId === undefined ? NOTHING : payoutMicros,
      revenueMicros,
      saleAmountMicros: micros(saleSizeOf(offer, known)),
      status: price?.status ?? 'pending',
    },
  }
}

type Amounts = Omit<Sale, 'currency' | 'status'>

/** Whether the payout or the revenue is a share of the sale. */
const isShare = ({ model }: Pricing, price: Price | undefined): boolean =>
  model === 'revshare' && (price?.payout_share_bp !== undefined || price?.revenue_share_bp !== undefined)

/** Whether the amount, not the offer alone, says what the conversion is worth. */
function takesPriceFromAmount(offer: Pricing, price: Price | undefined, sale: Amounts): boolean {
  if (price === undefined) return sale.amountMicros !== undefined
  if (offer.model === 'revshare') return isShare(offer, price)
  return PAID_TYPES[offer.model].includes(sale.type) && price.revenue_micros === 0 && sale.amountMicros !== undefined
}

/** Whether an amount that comes with a later status changes what the conversion is worth. */
export const isPricedByAmount = (offer: Pricing, sale: Amounts): boolean =>
  (sale.amountMicros !== undefined || sale.saleAmountMicros !== undefined) &&
  takesPriceFromAmount(offer, findPrice(offer, sale), sale)

const unpriced = (sale: Sale): Pick<Worth, 'payoutMicros' | 'revenueMicros'> => ({
  payoutMicros: NOTHING,
  revenueMicros: micros(sale.amountMicros ?? 0n),
})

function valueOf(offer: Pricing, price: Price, sale: Sale): Pick<Worth, 'payoutMicros' | 'revenueMicros'> {
  if (!PAID_TYPES[offer.model].includes(sale.type)) return { payoutMicros: NOTHING, revenueMicros: NOTHING }
  if (offer.model !== 'revshare')
    return {
      payoutMicros: micros(price.payout_micros),
      revenueMicros: price.revenue_micros === 0 ? micros(sale.amountMicros ?? 0n) : micros(price.revenue_micros),
    }
  const size = micros(saleSizeOf(offer, sale))
  return {
    payoutMicros:
      price.payout_share_bp === undefined ? micros(price.payout_micros) : shareOf(size, price.payout_share_bp),
    revenueMicros:
      price.revenue_share_bp === undefined ? micros(price.revenue_micros) : shareOf(size, price.revenue_share_bp),
  }
}

const saleSizeOf = (offer: Pricing, sale: Sale): bigint =>
  sale.saleAmountMicros ?? (offer.model === 'revshare' ? (sale.amountMicros ?? 0n) : 0n)
