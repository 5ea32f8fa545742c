import { isIP } from 'node:net'

import { isUuid, parseClickId } from '#platform/ids'
import { decodeRecord, encodeRecord, type ClickRecord, type LoggedRecord } from '#records'

/** A record that both databases take, and its bytes. */
export type Sound = { readonly record: LoggedRecord; readonly payload: Buffer }

/** Reads a payload and checks what would make ClickHouse or PostgreSQL refuse the whole batch for ever.
 *
 * JSON holds two things in strings that databases do not: the zero character (PostgreSQL) and half surrogate pairs
 * (ClickHouse, jsonb). Both are written with `\u`, as are other control characters and nothing else, so one search tells the few
 * payloads apart that need a closer look; in them both become U+FFFD.
 * @returns undefined where the bytes are no record of ours
 */
export function readSound(payload: Buffer): Sound | undefined {
  const record = decodeRecord(payload)
  // `null` is JSON too.
  if (!record || !isSound(record)) return undefined
  const isPlain = !payload.includes(ESCAPE) && payload[payload.length - 1] === CLOSING_BRACE
  if (isPlain) return { record, payload }
  const cleaned = cleanStrings(record) as LoggedRecord
  return { record: cleaned, payload: encodeRecord(cleaned) }
}

/** A click of the index. @returns undefined where the bytes are no click */
export function readSoundClick(payload: Buffer): ClickRecord | undefined {
  const record = readSound(payload)?.record
  return record?.kind === 'click' ? record : undefined
}

const ESCAPE = Buffer.from('\\u')
const CLOSING_BRACE = 0x7d

function cleanStrings(value: unknown): unknown {
  if (typeof value === 'string') return value.replaceAll('\0', '\uFFFD').toWellFormed()
  if (Array.isArray(value)) return value.map(cleanStrings)
  if (typeof value !== 'object' || value === null) return value
  return Object.fromEntries(Object.entries(value).map(([name, item]) => [cleanStrings(name), cleanStrings(item)]))
}

/** ClickHouse keeps DateTime64(3) and days up to here; 13 digits are read as milliseconds. */
const TIME_MIN = 1_000_000_000_000
const TIME_MAX = 4_102_444_800_000
const UINT32_MAX = 2 ** 32 - 1

const isTime = (value: unknown): boolean =>
  Number.isSafeInteger(value) && Number(value) >= TIME_MIN && Number(value) <= TIME_MAX
const isAmount = (value: unknown): boolean => value === undefined || Number.isSafeInteger(value)
const isUint32 = (value: unknown): boolean =>
  value === undefined || (Number.isInteger(value) && Number(value) >= 0 && Number(value) <= UINT32_MAX)
const isClickId = (value: unknown): boolean => typeof value === 'string' && parseClickId(value) === value
const isAddress = (value: unknown): boolean => typeof value === 'string' && isIP(value) !== 0

function isSound(record: LoggedRecord): boolean {
  if (!isTime(record.at) || !isAddress(record.ip)) return false
  switch (record.kind) {
    case 'click':
      return (
        isClickId(record.click_id) &&
        isAmount(record.cost_micros) &&
        isUint32(record.asn) &&
        isUint32(record.config_version)
      )
    case 'event':
      return (
        typeof record.type === 'string' &&
        (record.click_id === undefined || isClickId(record.click_id)) &&
        isAmount(record.amount_micros) &&
        isUint32(record.asn)
      )
    case 'postback':
      return (
        isUuid(record.postback_id) &&
        typeof record.raw === 'string' &&
        (record.click_id === undefined || isClickId(record.click_id)) &&
        isAmount(record.amount_micros) &&
        isAmount(record.sale_amount_micros)
      )
    default:
      record satisfies never
      return false
  }
}
