declare const brand: unique symbol
/** Money as an integer count of millionths of the currency's unit: 1 USD = 1 000 000n. Never a float. */
export type Micros = bigint & { readonly [brand]: 'Micros' }

/** ISO 4217 code, upper case. */
export type Currency = string & { readonly [brand]: 'Currency' }

export const MICROS_PER_UNIT = 1_000_000n
/** Largest amount taken from outside: 9 billion units fit a JSON number exactly (2^53 micros). */
export const MICROS_MAX = 9_000_000_000_000_000n

export const micros = (value: bigint | number): Micros => BigInt(value) as Micros

const DECIMAL = /^([+-])?(\d{1,10})(?:([.,])(\d{1,18}))?$/

/** Parses a decimal amount as partners write it: `12`, `12.5`, `12,50`, `0.000001`, `-3`.
 * Digits past the sixth are rounded half away from zero. A comma before exactly three digits is refused: `1,500` is 1.5 to one
 * sender and 1 500 to another, and a guess would be wrong by a factor of a thousand.
 * @param text amount in units of the currency, or a finite JSON number
 * @returns undefined when it is not such a number or its size is over MICROS_MAX
 * @example parseAmount('12.50') // 12_500_000n
 */
export function parseAmount(text: string | number): Micros | undefined {
  const source = typeof text === 'number' ? numberToDecimal(text) : text.trim()
  const match = source === undefined ? null : DECIMAL.exec(source)
  if (match === null) return undefined
  const [, sign, units, separator, fraction = ''] = match
  if (separator === ',' && fraction.length === 3) return undefined
  const digits = fraction.padEnd(7, '0')
  const kept = BigInt(digits.slice(0, 6)) + (digits.charCodeAt(6) >= 0x35 ? 1n : 0n)
  const size = BigInt(units!) * MICROS_PER_UNIT + kept
  if (size > MICROS_MAX) return undefined
  return (sign === '-' ? -size : size) as Micros
}

function numberToDecimal(value: number): string | undefined {
  if (!Number.isFinite(value) || Math.abs(value) > 9e9) return undefined
  return Math.abs(value) < 1e-6 ? '0' : value.toFixed(7)
}

/** Decimal text without trailing zeros, at least `minDecimals` of them kept.
 * @example formatAmount(micros(12_500_000n)) // '12.5'; with minDecimals 2: '12.50'
 */
export function formatAmount(amount: bigint, minDecimals = 0): string {
  const size = amount < 0n ? -amount : amount
  const fraction = (size % MICROS_PER_UNIT).toString().padStart(6, '0').replace(/0+$/, '').padEnd(minDecimals, '0')
  const units = (size / MICROS_PER_UNIT).toString()
  return (amount < 0n ? '-' : '') + (fraction === '' ? units : `${units}.${fraction}`)
}

/** Share of an amount in basis points (1 % = 100), rounded half away from zero.
 * @example shareOf(micros(10_000_001n), 5_000) // 5_000_001n
 */
export function shareOf(amount: Micros, basisPoints: number): Micros {
  const product = amount * BigInt(basisPoints)
  const half = product < 0n ? -5_000n : 5_000n
  return ((product + half) / 10_000n) as Micros
}

const KNOWN_CURRENCIES: ReadonlySet<string> = new Set(Intl.supportedValuesOf('currency'))

/** The ISO 4217 code in a caller's text, in either case.
 * @returns undefined for an unknown code
 */
export function parseCurrency(text: string | undefined): Currency | undefined {
  if (text !== undefined && KNOWN_CURRENCIES.has(text)) return text as Currency
  const code = text?.trim().toUpperCase()
  return code !== undefined && KNOWN_CURRENCIES.has(code) ? (code as Currency) : undefined
}
