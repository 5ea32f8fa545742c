import { formatAmount, parseAmount } from '#platform/money'
import { parseIpBlock } from './addresses.ts'
import { uniqueScopes, type RuleField } from './fields.ts'
import { ruleLimits } from './limits.ts'
import { readPattern } from './patterns.ts'
import type { RuleOp, RuleScalar } from './rule.ts'
import { readDate, readTimeTable } from './time-table.ts'
import { parseVersion } from './versions.ts'

/** A value as rules are stored with it, or what was expected in its place. */
export type ReadValue =
  | { readonly kind: 'read'; readonly value: RuleScalar }
  | { readonly kind: 'refused'; readonly expected: string }
  | { readonly kind: 'pattern_refused'; readonly message: string }

const read = (value: RuleScalar): ReadValue => ({ kind: 'read', value })
const refused = (expected: string): ReadValue => ({ kind: 'refused', expected })

/** Operators that look into a text. */
export const isTextOp = (op: RuleOp): boolean => op === 'contains' || op === 'starts_with' || op === 'ends_with'

/** Puts a value into the one form in which rules are stored: texts, whole numbers, amounts and versions as decimal text, flags
 * as true or false. A text that is a number or a flag where one is asked for is taken as such.
 */
export function readValue(field: RuleField, op: RuleOp, value: unknown): ReadValue {
  if (typeof value !== 'string' && typeof value !== 'number' && typeof value !== 'boolean')
    return refused('a text, a number, true or false')
  if (value === '') return refused('at least one character')
  if (op === 'matches') return readPatternValue(value)
  if (typeof value === 'string' && value.length > ruleLimits.value_length_max)
    return refused(`at most ${ruleLimits.value_length_max} characters`)
  if (isTextOp(op)) return readPart(field, value)
  if (op === 'exists') return readFlag(value)
  return readComparedValue(field, op, value)
}

function readComparedValue(field: RuleField, op: RuleOp, value: RuleScalar): ReadValue {
  switch (field.kind) {
    case 'text':
      return readText(value)
    case 'language':
      return readLanguage(value)
    case 'word':
      return readWord(value, field)
    case 'host':
      return readHost(value)
    case 'reason':
      return readReason(value, field.words ?? [])
    case 'number':
      return readNumber(field, value)
    case 'money':
      return readMoney(value)
    case 'version':
      return readVersion(value, op)
    case 'flag':
      return readFlag(value)
    case 'address':
      return typeof value === 'string' && parseIpBlock(value) !== undefined
        ? read(value)
        : refused('an address or a block of addresses, like 203.0.113.7, 10.0.0.0/8 or 2001:db8::/32')
    case 'time':
      return op === 'between' ? readDateValue(value) : readTimeValue(value)
    case 'scope':
      return uniqueScopes.some((scope) => scope === value) ? read(value) : refused(oneOf(uniqueScopes))
    default:
      return field satisfies never
  }
}

const oneOf = (words: readonly string[]): string => `one of ${words.join(', ')}`

const readText = (value: RuleScalar): ReadValue =>
  typeof value === 'boolean' ? refused('a text') : read(String(value))

function readWord(value: RuleScalar, field: Extract<RuleField, { readonly words?: unknown }>): ReadValue {
  if (typeof value !== 'string') return refused('a word')
  if (field.words !== undefined && !hasWord(field.words, value)) return refused(oneOf(field.words))
  if (field.form !== undefined && !field.form.pattern.test(value)) return refused(field.form.expected)
  return read(value)
}

const hasWord = (words: readonly string[], word: string): boolean =>
  words.some((known) => known.toLowerCase() === word.toLowerCase())

/** As records have them: without scheme, path and port; an IPv6 address in brackets. */
const HOST = /^(?:\*\.)?(?:\[[0-9a-f:.]+\]|[^\s/*?#@:[\]]+)$/i

const readHost = (value: RuleScalar): ReadValue =>
  typeof value === 'string' && HOST.test(value)
    ? read(value)
    : refused('a host name without a port, like facebook.com or *.facebook.com')

/** As browsers send them; `en_GB` and `english` are met by nobody. */
const readLanguage = (value: RuleScalar): ReadValue =>
  typeof value === 'string' && /^[a-z]{2,3}(?:-[a-z0-9]{1,8}){0,3}$/i.test(value)
    ? read(value)
    : refused('a language, like en or en-gb')

function readReason(value: RuleScalar, reasons: readonly string[]): ReadValue {
  if (value === 'any' || value === 'true') return read(true)
  if (value === 'none' || value === 'false') return read(false)
  const isReason = typeof value === 'boolean' || (typeof value === 'string' && hasWord(reasons, value))
  return isReason ? read(value) : refused(oneOf(['any', 'none', ...reasons]))
}

type NumberField = Extract<RuleField, { readonly prefix?: unknown }>

/** The number of a value or of an entry of a list, with or without the letters that its field may have: 3320 of AS3320. */
export const numberOf = (field: NumberField, value: RuleScalar): number => Number(withoutPrefix(field, String(value)))

const hasPrefix = ({ prefix }: NumberField, text: string): boolean =>
  prefix !== undefined && text.slice(0, prefix.length).toUpperCase() === prefix

const withoutPrefix = (field: NumberField, text: string): string =>
  hasPrefix(field, text) ? text.slice(field.prefix!.length) : text

function readNumber(field: NumberField, value: RuleScalar): ReadValue {
  if (typeof value === 'boolean' || !/^-?\d{1,15}(?:\.\d{1,6})?$/.test(withoutPrefix(field, String(value))))
    return refused('a number')
  // Adding 0 makes 0 of -0, which JSON does not tell apart.
  return read(numberOf(field, value) + 0)
}

/** Part of a text; of a number its digits are looked into, so that the letters before it would never be found. */
const readPart = (field: RuleField, value: RuleScalar): ReadValue =>
  field.kind === 'number' && hasPrefix(field, String(value))
    ? refused(`digits, without ${field.prefix}`)
    : readText(value)

function readMoney(value: RuleScalar): ReadValue {
  const amount = typeof value === 'boolean' || String(value).includes(',') ? undefined : parseAmount(value)
  return amount === undefined
    ? refused('an amount in units of its currency, like 0.25')
    : read(formatAmount(amount === 0n ? 0n : amount))
}

function readVersion(value: RuleScalar, op: RuleOp): ReadValue {
  // The number 16.10 is 16.1 by the time it is read here.
  if (typeof value === 'number' && !(Number.isSafeInteger(value) && value >= 0))
    return refused('a version with a point as text, like "16.4"')
  if (typeof value === 'boolean') return refused('a version, like 16 or "16.4"')
  const text = String(value)
  if (op === 'between' && !/^\d{1,9}(?:\.\d{1,9}){0,7}$/.test(text)) return refused('a version, like 16 or "16.4"')
  return /^\d/.test(text) && parseVersion(text)?.join('.') !== text.replaceAll(/(^|\.)0+(?=\d)/g, '$1')
    ? refused('a version, like 16 or "16.4", or a name, like XP')
    : read(text)
}

function readFlag(value: RuleScalar): ReadValue {
  if (value === true || value === 'true') return read(true)
  return value === false || value === 'false' ? read(false) : refused('true or false')
}

const readTimeValue = (value: RuleScalar): ReadValue =>
  typeof value === 'string' && readTimeTable(value) !== undefined
    ? read(value)
    : refused('weekdays, hours and an IANA zone, like "Mon-Fri 09:00-18:00 Europe/Berlin"')

const readDateValue = (value: RuleScalar): ReadValue =>
  typeof value === 'string' && readDate(value) !== undefined
    ? read(value)
    : refused('a date, like "2026-01-31", "2026-01-31T18:00 Europe/Berlin" or "2026-01-31T18:00Z"')

function readPatternValue(value: RuleScalar): ReadValue {
  if (typeof value !== 'string') return refused('a regular expression as text')
  const found = readPattern(value)
  if (found.kind === 'refused')
    return { kind: 'pattern_refused', message: `${found.message} (character ${found.position} of the pattern)` }
  return read(unescapeSlashes(value))
}

/** `\/` means the same as `/`: rules are stored with the latter. */
const unescapeSlashes = (pattern: string): string =>
  pattern.replaceAll(/\\[^]/g, (escape) => (escape === '\\/' ? '/' : escape))
