import { createHash, randomFillSync } from 'node:crypto'

declare const brand: unique symbol
/** A string that only this file makes, so that one kind of id never stands in for another. */
type Branded<Name extends string> = string & { readonly [brand]: Name }

/** UUID of a click, lower case with dashes; ours are version 7 (RFC 9562), a caller's own may be any version. */
export type ClickId = Branded<'ClickId'>

const UUID_ANY_CASE = /^[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{12}$/

/** Two characters of each byte. */
const HEX = Buffer.from(Array.from({ length: 256 }, (_, byte) => byte.toString(16).padStart(2, '0')).join(''))
const POOL_BYTES = 8192
const pool = Buffer.allocUnsafe(POOL_BYTES)
let poolOffset = POOL_BYTES

/** Ten random bytes a call, drawn from a pool: one system call for 800 ids instead of one each. */
function takeRandomBytes(): number {
  if (poolOffset + 10 > POOL_BYTES) {
    randomFillSync(pool)
    poolOffset = 0
  }
  const start = poolOffset
  poolOffset += 10
  return start
}

const DASH = 0x2d
/** Used by one id at a time. Its dashes stay where they are. */
const text = Buffer.alloc(36, DASH)

function putHex(at: number, byte: number): void {
  text[at] = HEX[(byte & 0xff) * 2]!
  text[at + 1] = HEX[(byte & 0xff) * 2 + 1]!
}

/** A new UUIDv7: 48 bits of milliseconds, then 74 random bits.
 *
 * Put together as bytes: what comes from joining strings is a tree of them, at which JSON.stringify leaves its fast path; a
 * record with one such id takes 1.3 µs instead of 0.5.
 * @param nowMs milliseconds since the epoch, integer ≥ 0
 * @see RFC 9562 §5.7
 */
export function newUuidV7(nowMs: number): string {
  const high = Math.floor(nowMs / 2 ** 32)
  const low = nowMs >>> 0
  const r = takeRandomBytes()
  putHex(0, high >>> 8)
  putHex(2, high)
  putHex(4, low >>> 24)
  putHex(6, low >>> 16)
  putHex(9, low >>> 8)
  putHex(11, low)
  putHex(14, 0x70 | (pool[r]! & 0x0f))
  putHex(16, pool[r + 1]!)
  putHex(19, 0x80 | (pool[r + 2]! & 0x3f))
  putHex(21, pool[r + 3]!)
  for (let index = 0; index < 6; index += 1) putHex(24 + 2 * index, pool[r + 4 + index]!)
  return text.toString('latin1')
}

/** A new click id. @param nowMs milliseconds since the epoch */
export const newClickId = (nowMs: number): ClickId => newUuidV7(nowMs) as ClickId

/** Whether the text is a UUID of any version, in either case, with dashes. */
export const isUuid = (text: string): boolean => UUID_ANY_CASE.test(text)

/** Nil and max (RFC 9562 §5.9, §5.10) stand for "no id": as ids of clicks they would make one click of many. */
const PLACEHOLDER = /^(?:[0-]+|[f-]+)$/

/** The click id in a caller's text, lower-cased.
 * @returns undefined when the text is no UUID, or the nil or max UUID
 */
export function parseClickId(text: string | undefined): ClickId | undefined {
  if (text === undefined) return undefined
  if (!UUID_ANY_CASE.test(text)) return undefined
  const id = text.toLowerCase()
  return PLACEHOLDER.test(id) ? undefined : (id as ClickId)
}

/** When a UUIDv7 was made, milliseconds since the epoch.
 * @returns undefined for any other version: its time cannot be known
 */
export function uuidV7Time(uuid: string): number | undefined {
  if (uuid.charCodeAt(14) !== 0x37) return undefined
  return Number.parseInt(uuid.slice(0, 8) + uuid.slice(9, 13), 16)
}

/** A UUID (version 8, RFC 9562) that the same identity always gives: of its SHA-256. */
export function uuidOf(identity: string): string {
  const bytes = createHash('sha256').update(identity).digest()
  bytes[6] = (bytes[6]! & 0x0f) | 0x80
  bytes[8] = (bytes[8]! & 0x3f) | 0x80
  const hex = bytes.toString('hex', 0, 16)
  return `${hex.slice(0, 8)}-${hex.slice(8, 12)}-${hex.slice(12, 16)}-${hex.slice(16, 20)}-${hex.slice(20)}`
}
