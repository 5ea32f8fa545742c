import { factsMoment } from '#platform/clock'
import { parseCurrency, type Currency } from '#platform/money'

import { parseRate } from './rates.ts'

/** One unit of the base is `rate` (in units of 10^-12) of the currency. */
export type GivenRate = {
  /** YYYY-MM-DD */
  readonly day: string
  readonly currency: Currency
  readonly rate: bigint
}

export type ReadRates =
  | { readonly kind: 'rates'; readonly rates: readonly GivenRate[] }
  | { readonly kind: 'invalid'; readonly line: number; readonly detail: string }

export const rateFormats = ['csv', 'ecb_csv', 'ecb_xml'] as const
export type RateFormat = (typeof rateFormats)[number]

/** Rates of one import: the European Central Bank's whole history has about 250,000. */
export const RATES_MAX = 500_000

/** Reads a file of rates. One line that cannot be read refuses the file, and is named: a gap that nobody sees would be filled by the
 * rate of another day.
 *
 * - `csv`: `date,currency,rate` on each line, a header or not
 * - `ecb_csv`, `ecb_xml`: `eurofxref-hist.csv` and `.xml` of the European Central Bank, to the base EUR; currencies that ISO 4217
 *   does not list any more are left out
 * @see https://www.ecb.europa.eu/stats/policy_and_exchange_rates/euro_reference_exchange_rates/
 */
export function readRates(text: string, format: RateFormat): ReadRates {
  switch (format) {
    case 'csv':
      return readPlain(text)
    case 'ecb_csv':
      return readEcbCsv(text)
    case 'ecb_xml':
      return readEcbXml(text)
    default:
      return format satisfies never
  }
}

/** What a text most likely is. */
export function guessFormat(text: string): RateFormat {
  const start = text.slice(0, 2_000).trimStart()
  if (start.startsWith('<')) return 'ecb_xml'
  return /^"?date"?\s*,\s*"?[A-Z]{3}"?\s*(,|\r?\n)/i.test(start) && !/^"?date"?\s*,\s*"?currency/i.test(start)
    ? 'ecb_csv'
    : 'csv'
}

const DAY = /^\d{4}-\d{2}-\d{2}$/

/** Whether a text is a day that facts can be of, as YYYY-MM-DD. */
export function isDay(text: string): boolean {
  const ms = DAY.test(text) ? Date.parse(`${text}T00:00:00Z`) : Number.NaN
  return !Number.isNaN(ms) && factsMoment(ms) !== undefined && new Date(ms).toISOString().startsWith(text)
}

const invalid = (line: number, detail: string): ReadRates => ({ kind: 'invalid', line, detail })
const tooMany = (line: number): ReadRates => invalid(line, `there are more than ${RATES_MAX} rates: send them in parts`)

const cellsOf = (line: string): readonly string[] =>
  line.split(',').map((cell) => cell.trim().replace(/^"(.*)"$/, '$1')) // prettier-ignore

function readPlain(text: string): ReadRates {
  const rates: GivenRate[] = []
  for (const [index, line] of text
    .replace(/^\uFEFF/, '')
    .split(/\r?\n/)
    .entries()) {
    if (line.trim() === '') continue
    const cells = cellsOf(line)
    if (index === 0 && cells[0]?.toLowerCase() === 'date') continue
    const read = readRate(cells)
    if (typeof read === 'string') return invalid(index + 1, read)
    if (rates.push(read) > RATES_MAX) return tooMany(index + 1)
  }
  return { kind: 'rates', rates }
}

/** @returns what is wrong as text */
export function readRate([day = '', code = '', text = '', ...rest]: readonly string[]): GivenRate | string {
  if (rest.length > 0) return 'a line has three cells: date,currency,rate'
  if (!isDay(day)) return `"${day.slice(0, 40)}" is no day as YYYY-MM-DD`
  const currency = parseCurrency(code)
  if (currency === undefined) return `"${code.slice(0, 40)}" is no ISO 4217 code`
  const rate = parseRate(text)
  if (rate === undefined)
    return `"${text.slice(0, 40)}" is no rate: a number above 0 with a point and at most 12 digits after it`
  return { day, currency, rate }
}

function readEcbCsv(text: string): ReadRates {
  const [header = '', ...lines] = text.replace(/^\uFEFF/, '').split(/\r?\n/)
  const currencies = cellsOf(header).slice(1).map(parseCurrency) // prettier-ignore
  if (!/^"?date"?\s*,/i.test(header))
    return invalid(1, 'the first line does not begin with Date: this is no eurofxref file')
  const rates: GivenRate[] = []
  for (const [index, line] of lines.entries()) {
    if (line.trim() === '') continue
    const [day = '', ...cells] = cellsOf(line)
    for (const [column, cell] of cells.entries()) {
      const currency = currencies[column]
      if (currency === undefined || cell === '' || cell === 'N/A') continue
      const read = readRate([day, currency, cell])
      if (typeof read === 'string') return invalid(index + 2, read)
      if (rates.push(read) > RATES_MAX) return tooMany(index + 2)
    }
  }
  return { kind: 'rates', rates }
}

const CUBE = /<Cube\s+(?:time=["']([^"']{1,40})["']|currency=["']([^"']{1,40})["']\s+rate=["']([^"']{1,40})["'])/g

/** The file holds nothing but nested `Cube` elements with attributes, so that they are looked for as they are written. */
function readEcbXml(text: string): ReadRates {
  const rates: GivenRate[] = []
  let day: string | undefined
  let line = 1
  let readTo = 0
  for (const match of text.matchAll(CUBE)) {
    for (; readTo < match.index; readTo++) if (text.charCodeAt(readTo) === 10) line++
    const [, time, code = '', rate = ''] = match
    if (time !== undefined) {
      day = time
      continue
    }
    if (parseCurrency(code) === undefined) continue
    const read = readRate([day ?? '', code, rate])
    if (typeof read === 'string') return invalid(line, read)
    if (rates.push(read) > RATES_MAX) return tooMany(line)
  }
  if (day === undefined) return invalid(1, 'there is no Cube with a time: this is no eurofxref file')
  return { kind: 'rates', rates }
}
