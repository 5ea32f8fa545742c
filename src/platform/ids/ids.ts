import { randomFillSync } from 'node:crypto'

declare const brand: unique symbol
/** A string that only this file makes, so that one kind of id never stands in for another. */
type Branded<Name extends string> = string & { readonly [brand]: Name }

/** UUID of a click, lower case with dashes; ours are version 7 (RFC 9562), a caller's own may be any version. */
export type ClickId = Branded<'ClickId'>

const UUID_ANY_CASE = /^[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{12}$/

const HEX = Array.from({ length: 256 }, (_, byte) => byte.toString(16).padStart(2, '0'))
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

const hex = (byte: number): string => HEX[byte & 0xff]!

/** A new UUIDv7: 48 bits of milliseconds, then 74 random bits.
 * @param nowMs milliseconds since the epoch, integer ≥ 0
 * @see RFC 9562 §5.7
 */
export function newUuidV7(nowMs: number): string {
  const high = Math.floor(nowMs / 2 ** 32)
  const low = nowMs >>> 0
  const r = takeRandomBytes()
  const at = (index: number): number => pool[r + index]!
  return (
    hex(high >>> 8) + hex(high) + hex(low >>> 24) + hex(low >>> 16) + '-' + hex(low >>> 8) + hex(low) +
    '-' + hex(0x70 | (at(0) & 0x0f)) + hex(at(1)) +
    '-' + hex(0x80 | (at(2) & 0x3f)) + hex(at(3)) +
    '-' + hex(at(4)) + hex(at(5)) + hex(at(6)) + hex(at(7)) + hex(at(8)) + hex(at(9))
  ) // prettier-ignore
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
