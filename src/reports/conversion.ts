/** Amounts of several currencies as those of one, in SQL: added up exactly by currency and day (UTC), multiplied exactly with the rate of the
 * day, added up, and rounded once, half away from zero.
 */
import { FACTOR_ONE, type Factors } from '#currencies'

/** What amounts in other currencies are multiplied with. */
export type Conversion = {
  /** A currency and day each, as `USD 2026-11-01`. */
  readonly keys: readonly string[]
  /** In units of 10^-18, in the same order. */
  readonly factors: readonly bigint[]
}

/** Days of a currency in which amounts are, YYYY-MM-DD (UTC). */
export type CurrencyDays = { readonly currency: string; readonly days: readonly string[] }

/** The factors of what there is, and what there is no rate for. */
export function findConversion(
  present: readonly CurrencyDays[],
  target: string,
  factors: Factors,
): { readonly conversion: Conversion; readonly missing: readonly CurrencyDays[] } {
  const found = new Map<string, bigint>()
  const missing: CurrencyDays[] = []
  for (const { currency, days } of present.filter((one) => one.currency !== target)) {
    const without: string[] = []
    for (const day of days) {
      const factor = factors.find(currency, day)
      if (factor === undefined) without.push(day)
      else found.set(`${currency} ${day}`, factor)
    }
    if (without.length > 0) missing.push({ currency, days: without.sort() })
  }
  return { conversion: { keys: [...found.keys()], factors: [...found.values()] }, missing }
}

/** Columns of a part of a report that converts: the day and currency of all its amounts. */
export const CONVERSION_GROUPS = ['fx_day', 'fx_currency'] as const

/** @param isMoney whether the part has amounts; one without is not cut by currency */
export const conversionColumns = (isMoney: boolean): readonly string[] =>
  isMoney
    ? [`toDate(at, 'UTC') AS fx_day`, `toString(currency) AS fx_currency`]
    : [`toDate(0) AS fx_day`, `'' AS fx_currency`]

/** The factor of a part; 0: there is no rate. */
export const FACTOR = 'fx'

export const factorColumn = `if(fx_currency = {currency:String}, toInt256('${FACTOR_ONE}'), {fx_factors:Array(Int256)}[transform(concat(fx_currency, ' ', toString(fx_day)), {fx_keys:Array(String)}, range(1, toUInt64(length({fx_keys:Array(String)}) + 1)), toUInt64(0))]) AS ${FACTOR}`

/** A list that is empty has no type: an entry that nothing is looked up by stands first. */
export const conversionParams = ({ keys, factors }: Conversion): Readonly<Record<string, unknown>> => ({
  fx_keys: ['', ...keys],
  fx_factors: [0n, ...factors],
})

/** Micros of many parts, converted; NULL for what no 64 bits hold, 9.2 trillion units: a strange rate would do that. */
export function convertedSum(column: string, factor: string): string {
  const exact = `sum(toInt256(${column}) * ${factor})`
  const one = `toInt256('${FACTOR_ONE}')`
  return `accurateCastOrNull(intDiv(2 * ${exact} + if(${exact} < 0, -${one}, ${one}), 2 * ${one}), 'Int64')`
}
