/** Arithmetic of exchange rates: integers only, one rounding at the end. */

/** Decimal places of a rate as it is given and kept. */
export const RATE_DECIMALS = 12
/** Decimal places of what an amount is multiplied with. More than a rate has: between two currencies it is a quotient, and one unit of
 * the one may be worth very little of the other.
 */
export const FACTOR_DECIMALS = 18

const RATE_ONE = 10n ** BigInt(RATE_DECIMALS)
export const FACTOR_ONE: bigint = 10n ** BigInt(FACTOR_DECIMALS)

const RATE = /^(\d{1,12})(?:\.(\d{1,12}))?$/

/** A rate as text, in units of 10^-12.
 * @returns undefined when it is no positive decimal number of at most 12 digits before and 12 after the point
 * @example parseRate('1.0834') // 1_083_400_000_000n
 */
export function parseRate(text: string): bigint | undefined {
  const match = RATE.exec(text.trim())
  if (match === null) return undefined
  const rate = BigInt(match[1]!) * RATE_ONE + BigInt((match[2] ?? '').padEnd(RATE_DECIMALS, '0'))
  return rate === 0n ? undefined : rate
}

/** Decimal text of a rate without trailing zeros. @example formatRate(1_083_400_000_000n) // '1.0834' */
export function formatRate(rate: bigint): string {
  const fraction = (rate % RATE_ONE).toString().padStart(RATE_DECIMALS, '0').replace(/0+$/, '')
  return fraction === '' ? String(rate / RATE_ONE) : `${rate / RATE_ONE}.${fraction}`
}

/** What an amount in one currency is multiplied with to be one in another, in units of 10^-18.
 * @param from units of the amount's currency for one of the base; @param to units of the wanted one
 * @example factorOf(parseRate('2')!, parseRate('1')!) // 0.5 in units of 10^-18
 */
export const factorOf = (from: bigint, to: bigint): bigint => divideHalfAway(to * FACTOR_ONE, from)

/** Quotient, rounded half away from zero. @param divisor above 0 */
export function divideHalfAway(dividend: bigint, divisor: bigint): bigint {
  const half = dividend < 0n ? -divisor : divisor
  return (2n * dividend + half) / (2n * divisor)
}

/** The sum of amounts in another currency: multiplied exactly, added exactly, rounded once, half away from zero.
 * @param sums micros of one day and currency each, with the factor of that day and currency
 */
export const convertSums = (sums: readonly { readonly micros: bigint; readonly factor: bigint }[]): bigint =>
  divideHalfAway(
    sums.reduce((total, { micros, factor }) => total + micros * factor, 0n),
    FACTOR_ONE,
  )
