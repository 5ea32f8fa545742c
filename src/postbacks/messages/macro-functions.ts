import { createHash } from 'node:crypto'
import { parseDateFormat } from './format-date.ts'
import type { Macro, MacroFacts } from './macros.ts'

/** What stands after the colon of a macro, read once when the template is compiled. */
export type MacroFunction = {
  readonly apply: (value: string, facts: MacroFacts) => string
  /** Whether a number is still a number afterwards, and stands in JSON without quotes. */
  readonly keepsNumber: boolean
}

/** What is wrong with it, as a sentence that says what was expected. */
export type FunctionMistake = {
  readonly code: 'macro_map_invalid' | 'macro_function_invalid'
  readonly expected: string
}

const hash = (algorithm: string) => (value: string) => createHash(algorithm).update(value).digest('hex')

const textFunctions: Readonly<Record<string, (value: string) => string>> = {
  trim: (value) => value.trim(),
  lower: (value) => value.toLowerCase(),
  upper: (value) => value.toUpperCase(),
  md5: hash('md5'),
  sha1: hash('sha1'),
  sha256: hash('sha256'),
  base64: (value) => Buffer.from(value).toString('base64'),
}

/** Names of the functions of texts. */
export const textFunctionNames: readonly string[] = Object.keys(textFunctions)

/** Reads what follows the colon.
 * @param source e.g. `lead=1 sale=2`, `trim|lower|sha256`, `2`, `Y-m-d,UTC`, `1,9`
 */
export function parseFunction(macro: Macro, source: string): MacroFunction | FunctionMistake {
  const isMap = source.includes('=')
  if (isMap && macro.kind !== 'word' && macro.kind !== 'time') return { code: 'macro_map_invalid', expected: NO_MAP }
  switch (macro.kind) {
    case 'time':
      return parseTime(macro, source)
    case 'random':
      return parseRandom(source)
    case 'money':
      return parseMoney(macro, source) ?? parseChain(source, MONEY_EXPECTED)
    case 'word':
      return isMap ? parseMap(source) : parseChain(source, WORD_EXPECTED)
    case 'text':
    case 'number':
      return parseChain(source, CHAIN_EXPECTED)
    default:
      return macro.kind satisfies never
  }
}

const NO_MAP = 'Only macros of words take a map.'
const CHAIN_EXPECTED = `It takes ${textFunctionNames.join(', ')}, several with | between them.`
const WORD_EXPECTED = `It takes a map (lead=1 sale=2 *=0), or ${textFunctionNames.join(', ')}.`
const MONEY_EXPECTED = 'It takes the number of decimals (0 to 6), minor (cents), micros, or a hash.'

/** Reads `lead=1 sale=2 *=0`; keys ignore case. */
function parseMap(source: string): MacroFunction | FunctionMistake {
  const pairs = source.trim().split(/\s+/).map((pair) => /^([^=]+)=([^=]*)$/.exec(pair)) // prettier-ignore
  if (pairs.some((pair) => pair === null)) return { code: 'macro_map_invalid', expected: 'Write lead=1 sale=2 *=0.' }
  const map = new Map(pairs.map((pair) => [pair![1]!.toLowerCase(), pair![2]!]))
  return { keepsNumber: false, apply: (value) => map.get(value.toLowerCase()) ?? map.get('*') ?? value }
}

/** Functions of texts, one after the other. Nothing stays nothing: its hash would look like somebody. */
function parseChain(source: string, expected: string): MacroFunction | FunctionMistake {
  const steps = source.split('|').map((name) => textFunctions[name.trim().toLowerCase()])
  if (steps.some((step) => step === undefined)) return { code: 'macro_function_invalid', expected }
  return {
    keepsNumber: false,
    apply: (value) => (value === '' ? '' : steps.reduce((text, step) => step!(text), value)),
  }
}

function parseTime({ readTime }: Macro, source: string): MacroFunction | FunctionMistake {
  const format = parseDateFormat(source)
  if (format === undefined)
    return {
      code: 'macro_function_invalid',
      expected:
        'It takes FORMAT or FORMAT,ZONE, such as Y-m-d H:i:s,Europe/Berlin; \\ before letters that are plain text.',
    }
  return {
    keepsNumber: true,
    apply: (_value, facts) => {
      const at = readTime?.(facts)
      return at === undefined ? '' : format(at)
    },
  }
}

/** Largest bound of {random:1,9}: 48 bits of chance over it are even to a millionth. */
export const RANDOM_MAX = 99_999_999

/** A number of the message: the same in every attempt, in every template that asks for the same range, and when it is filled anew. */
function parseRandom(source: string): MacroFunction | FunctionMistake {
  const match = /^\s*(\d{1,8})\s*,\s*(\d{1,8})\s*$/.exec(source)
  const [from, to] = [Number(match?.[1]), Number(match?.[2])]
  if (match === null || from >= to)
    return {
      code: 'macro_function_invalid',
      expected: `It takes two whole numbers from 0 to ${RANDOM_MAX}, the smaller one first, such as 1,9.`,
    }
  return {
    keepsNumber: true,
    apply: (_value, { eventId }) => {
      const chance = createHash('sha256').update(`${eventId}|${from}|${to}`).digest().readUIntBE(0, 6)
      return String(from + (chance % (to - from + 1)))
    },
  }
}

const MICRO_DIGITS = 6

function parseMoney(macro: Macro, source: string): MacroFunction | undefined {
  const word = source.trim().toLowerCase()
  const { readMicros, readCurrency } = macro
  const digitsOf = digitsReader(word, (facts) => readCurrency?.(facts))
  if (digitsOf === undefined) return undefined
  const isWhole = word === 'minor' || word === 'micros'
  return {
    keepsNumber: true,
    apply: (_value, facts) => {
      const amount = readMicros?.(facts)
      if (amount === undefined) return ''
      const digits = digitsOf(facts)
      const rounded = roundTo(amount, digits)
      return isWhole ? String(rounded) : decimal(rounded, digits)
    },
  }
}

function digitsReader(
  word: string,
  currencyOf: (facts: MacroFacts) => string | undefined,
): ((facts: MacroFacts) => number) | undefined {
  if (word === 'micros') return () => MICRO_DIGITS
  if (word === 'minor') return (facts) => minorDigits(currencyOf(facts))
  return /^[0-6]$/.test(word) ? () => Number(word) : undefined
}

const digitsByCurrency = new Map<string, number>()

/** Digits of a currency after the point: 2 of USD, 0 of JPY, 3 of KWD. */
function minorDigits(currency: string | undefined): number {
  if (currency === undefined) return 2
  let digits = digitsByCurrency.get(currency)
  if (digits === undefined) {
    const options = new Intl.NumberFormat('en', { style: 'currency', currency }).resolvedOptions()
    digits = options.maximumFractionDigits ?? 2
    digitsByCurrency.set(currency, digits)
  }
  return digits
}

/** Micros in units of the last of so many digits, rounded half away from zero. */
function roundTo(micros: bigint, digits: number): bigint {
  const unit = 10n ** BigInt(MICRO_DIGITS - digits)
  const half = micros < 0n ? -(unit / 2n) : unit / 2n
  return (micros + half) / unit
}

function decimal(amount: bigint, digits: number): string {
  const size = String(amount < 0n ? -amount : amount).padStart(digits + 1, '0')
  const sign = amount < 0n ? '-' : ''
  return digits === 0 ? `${sign}${size}` : `${sign}${size.slice(0, -digits)}.${size.slice(-digits)}`
}
