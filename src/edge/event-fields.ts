import { isUuid, parseClickId, type ClickId } from '#platform/ids'
import { parseAmount, parseCurrency } from '#platform/money'
import { builtInEventTypes, refusalReasons, type RefusalReason } from '#records'
import { parseVisitorCode } from './cookies.ts'
import { isLiteralMacro } from './literal-macro.ts'
import type { EventDraft } from './record-drafts.ts'
import { parseSub2 } from './sub2.ts'
import { cleanText } from './text.ts'

/** One thing that is wrong with an event. `path` is a JSON pointer into the body. */
export type Issue = { readonly path: string; readonly code: RefusalReason; readonly message: string }

/** Which event names are known besides the built-in ones. */
export type EventNames = {
  /** @param clickId names declared by the offer of a click; of any offer, when the click is not known yet */
  readonly isCustom: (type: string, clickId: ClickId | undefined) => boolean
}

type Reading = {
  readonly source: Readonly<Record<string, unknown>>
  readonly path: string
  readonly fields: EventDraft
  readonly issues: Issue[]
  readonly names: EventNames
  readonly sub2AllowedKeys: ReadonlySet<string>
}

const BUILT_IN: ReadonlySet<string> = new Set(builtInEventTypes)
const TYPE_CHARACTERS_MAX = 64
const TEXT_CHARACTERS_MAX = 255
const URL_CHARACTERS_MAX = 1_024
/** Larger ones do not fit the column (UInt32); 49 days on a page are no visit. */
const TIME_ON_PAGE_MS_MAX = 4_294_967_295
/** 2100-01-01: later ones are no clock's. */
const TS_CLIENT_MAX = 4_102_444_800_000

/** Reads one event of a body into a record: every field, so that a sender learns all mistakes at once. Never throws.
 * @param value parsed JSON, anything
 * @param path of the event in the body: empty, or `/0`
 * @returns what is wrong with it; empty: the event is good
 */
export function readEvent(
  fields: EventDraft,
  value: unknown,
  path: string,
  names: EventNames,
  sub2AllowedKeys: ReadonlySet<string>,
): readonly Issue[] {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    return [issue(path, 'field_invalid', 'An event is a JSON object.')]
  }
  const source = value as Readonly<Record<string, unknown>>
  const reading: Reading = { source, path, fields, issues: [], names, sub2AllowedKeys }
  for (const read of readers) read(reading)
  return reading.issues
}

function issue(path: string, code: RefusalReason, message: string = refusalReasons[code]): Issue {
  return { path, code, message }
}

/** The first of several names that has a value; null and '' count as not given: pages send what they do not know so. */
function given({ source }: Reading, names: readonly string[]): { name: string; value: unknown } | undefined {
  for (const name of names) {
    if (!Object.hasOwn(source, name)) continue
    const value = source[name]
    if (value !== undefined && value !== null && value !== '') return { name, value }
  }
  return undefined
}

const refuse = (reading: Reading, name: string, code: RefusalReason, message?: string): void =>
  void reading.issues.push(issue(`${reading.path}/${name}`, code, message))

/** A label: text or a number. Longer ones are refused for what decides (`txid`), cut for what only describes. */
function textOf(value: unknown): string | undefined {
  if (typeof value === 'string') return value
  return typeof value === 'number' && Number.isFinite(value) ? String(value) : undefined
}

function readClickId(reading: Reading): void {
  const found = given(reading, ['clickid', 'click_id'])
  if (found === undefined) return refuse(reading, 'clickid', 'click_id_missing')
  const text = textOf(found.value)
  const clickId = parseClickId(text?.trim())
  if (clickId !== undefined) reading.fields.click_id = clickId
  else refuse(reading, found.name, text !== undefined && isLiteralMacro(text) ? 'literal_macro' : 'click_id_invalid')
}

function readType(reading: Reading): void {
  const found = given(reading, ['type', 'event'])
  if (found === undefined) return refuse(reading, 'type', 'type_missing')
  const type = textOf(found.value)?.trim().toLowerCase() ?? ''
  reading.fields.type = cleanText(type, TYPE_CHARACTERS_MAX)
  if (BUILT_IN.has(type)) return
  const isKnown = type.length <= TYPE_CHARACTERS_MAX && reading.names.isCustom(type, reading.fields.click_id)
  if (!isKnown) refuse(reading, found.name, 'type_unknown')
}

function readEventId(reading: Reading): void {
  const found = given(reading, ['event_id'])
  if (found === undefined) return
  if (typeof found.value === 'string' && isUuid(found.value)) reading.fields.event_id = found.value.toLowerCase()
  else refuse(reading, 'event_id', 'field_invalid', 'event_id is a UUID.')
}

function readTxid(reading: Reading): void {
  const found = given(reading, ['txid', 'transaction_id'])
  if (found === undefined) return
  const text = textOf(found.value)?.trim()
  if (text === undefined || text.length > TEXT_CHARACTERS_MAX) {
    return refuse(reading, found.name, 'field_invalid', 'txid is text of at most 255 characters.')
  }
  if (isLiteralMacro(text)) return refuse(reading, found.name, 'literal_macro')
  const txid = cleanText(text, TEXT_CHARACTERS_MAX)
  if (txid !== '') reading.fields.txid = txid
}

function readAmount(reading: Reading): void {
  const found = given(reading, ['amount', 'revenue_deposit'])
  if (found === undefined) return
  const { name, value } = found
  if (typeof value === 'string' && isLiteralMacro(value)) return refuse(reading, name, 'literal_macro')
  const amount = typeof value === 'string' || typeof value === 'number' ? parseAmount(value) : undefined
  if (amount === undefined || amount < 0n) refuse(reading, name, 'amount_invalid')
  else reading.fields.amount_micros = Number(amount)
}

function readCurrency(reading: Reading): void {
  const found = given(reading, ['currency'])
  if (found === undefined) return
  const currency = typeof found.value === 'string' ? parseCurrency(found.value) : undefined
  if (currency !== undefined) reading.fields.currency = currency
  else refuse(reading, 'currency', 'currency_invalid')
}

function readSub2(reading: Reading): void {
  const found = given(reading, ['sub2'])
  if (found === undefined) return
  const text = textOf(found.value)
  const sub2 = text === undefined ? undefined : parseSub2(text, reading.sub2AllowedKeys)
  if (sub2?.kind !== 'parsed') return refuse(reading, 'sub2', 'sub2_invalid')
  if (sub2.count > 0) reading.fields.sub2_keys = sub2.keys
}

function readNumber(name: 'time_on_page_ms' | 'ts_client', max: number): (reading: Reading) => void {
  return (reading) => {
    const found = given(reading, [name])
    if (found === undefined) return
    const number = typeof found.value === 'boolean' ? Number.NaN : Math.round(Number(found.value))
    if (number >= 0 && number <= max) reading.fields[name] = number
    else refuse(reading, name, 'field_invalid', `${name} is a number of milliseconds from 0 to ${max}.`)
  }
}

type MetaField = 'tz' | 'screen' | 'connection' | 'site' | 'referrer'

/** What describes the page is cut when it is too long: a long referrer must not cost a deposit. */
function readMeta(name: MetaField, max: number): (reading: Reading) => void {
  return (reading) => {
    const found = given(reading, [name])
    if (found === undefined) return
    const text = textOf(found.value)
    if (text !== undefined) reading.fields[name] = cleanText(text, max)
    else refuse(reading, name, 'field_invalid', `${name} is text.`)
  }
}

const LANGUAGE = /^[a-z]{2,8}(-[a-z0-9]{1,8}){0,3}$/i

function readLanguage(reading: Reading): void {
  const found = given(reading, ['lang'])
  if (typeof found?.value === 'string' && LANGUAGE.test(found.value)) {
    reading.fields.language = found.value.toLowerCase()
  }
}

const DEVICE_TYPES = ['desktop', 'mobile', 'tablet', 'tv', 'console', 'wearable', 'other'] as const

function readDeviceType(reading: Reading): void {
  const found = given(reading, ['device_type'])
  const type = DEVICE_TYPES.find((known) => known === found?.value)
  if (type !== undefined) reading.fields.device_type = type
}

function readVisitorCode(reading: Reading): void {
  const found = given(reading, ['visitor_code'])
  const code = parseVisitorCode(typeof found?.value === 'string' ? found.value : undefined)
  if (code !== undefined) reading.fields.visitor_code = code
}

/** In order: a custom type is looked up by the click id. */
const readers: readonly ((reading: Reading) => void)[] = [
  readClickId,
  readType,
  readEventId,
  readTxid,
  readAmount,
  readCurrency,
  readSub2,
  readNumber('time_on_page_ms', TIME_ON_PAGE_MS_MAX),
  readNumber('ts_client', TS_CLIENT_MAX),
  readMeta('tz', TEXT_CHARACTERS_MAX),
  readMeta('screen', TEXT_CHARACTERS_MAX),
  readMeta('connection', TEXT_CHARACTERS_MAX),
  readMeta('site', TEXT_CHARACTERS_MAX),
  readMeta('referrer', URL_CHARACTERS_MAX),
  readLanguage,
  readDeviceType,
  readVisitorCode,
]
