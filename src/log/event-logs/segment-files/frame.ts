import { crc32 } from 'node:zlib'

/** One record in a segment file, little-endian:
 *
 * | bytes | field |
 * |---|---|
 * | 0–3 | magic `WPR1` |
 * | 4–7 | CRC-32 of everything after it, seeded with the segment's salt |
 * | 8–11 | payload length |
 * | 12–19 | offset |
 * | 20–27 | appended at, milliseconds since the epoch |
 * | 28– | payload |
 *
 * The salt is random and stands in the file's name only. So a payload that holds the bytes of a whole record (which a
 * sender may have written on purpose) is not taken for one when a reader looks for the next record after damage.
 */
export const FRAME_HEADER_BYTES = 28

/** A length field beyond this is damage: it bounds what a reader allocates for one record. */
export const PAYLOAD_BYTES_MAX = 16 * 1024 * 1024

const MAGIC = 0x31525057
export const MAGIC_BYTES: Buffer = Buffer.from('WPR1', 'latin1')
const CRC_AT = 4
const CHECKED_FROM = 8
const TWO_32 = 2 ** 32

export type Frame = { readonly offset: number; readonly appendedAt: number; readonly payload: Buffer }

/** What stands at a position: a whole record and where it ends, a header whose payload is not in the buffer (with the
 * bytes needed from the position on), or no record.
 */
export type FrameReading =
  | { readonly kind: 'frame'; readonly frame: Frame; readonly end: number }
  | { readonly kind: 'cut'; readonly bytesNeeded: number }
  | { readonly kind: 'invalid' }

const INVALID: FrameReading = { kind: 'invalid' }
const CUT_HEADER: FrameReading = { kind: 'cut', bytesNeeded: FRAME_HEADER_BYTES }

/** The header is built here and copied: a view on the group's buffer for every record would cost more than the copy. */
const header = Buffer.alloc(FRAME_HEADER_BYTES)
const checkedHeader = header.subarray(CHECKED_FROM)

/** Writes a record; the caller has made room.
 * @returns position after it
 */
export function writeFrame(
  target: Buffer,
  position: number,
  salt: number,
  offset: number,
  appendedAt: number,
  payload: Buffer,
): number {
  header.writeUInt32LE(MAGIC, 0)
  header.writeUInt32LE(payload.length, 8)
  writeUint64(header, 12, offset)
  writeUint64(header, 20, appendedAt)
  header.writeUInt32LE(crc32(payload, crc32(checkedHeader, salt)), CRC_AT)
  target.set(header, position)
  target.set(payload, position + FRAME_HEADER_BYTES)
  return position + FRAME_HEADER_BYTES + payload.length
}

/** Reads the record at a position; never throws, whatever the bytes are. The payload is a view, not a copy. */
export function readFrame(source: Buffer, position: number, salt: number): FrameReading {
  if (source.length - position < FRAME_HEADER_BYTES) return CUT_HEADER
  if (source.readUInt32LE(position) !== MAGIC) return INVALID
  const length = source.readUInt32LE(position + 8)
  if (length === 0 || length > PAYLOAD_BYTES_MAX) return INVALID
  const end = position + FRAME_HEADER_BYTES + length
  if (end > source.length) return { kind: 'cut', bytesNeeded: end - position }
  if (crc32(source.subarray(position + CHECKED_FROM, end), salt) !== source.readUInt32LE(position + CRC_AT)) {
    return INVALID
  }
  const frame = {
    offset: readUint64(source, position + 12),
    appendedAt: readUint64(source, position + 20),
    payload: source.subarray(position + FRAME_HEADER_BYTES, end),
  }
  return { kind: 'frame', frame, end }
}

/** The offset a header claims, before its checksum is known to hold: lets a search skip what cannot be meant. */
export const claimedOffset = (source: Buffer, position: number): number => readUint64(source, position + 12)

/** The append time a header claims; undefined where it is no header. */
export const claimedAppendedAt = (header: Buffer): number | undefined =>
  header.readUInt32LE(0) === MAGIC ? readUint64(header, 20) : undefined

/** An integer up to 2^53 − 1 as eight bytes. */
export function writeUint64(target: Buffer, position: number, value: number): void {
  target.writeUInt32LE(value >>> 0, position)
  target.writeUInt32LE(Math.floor(value / TWO_32), position + 4)
}

export const readUint64 = (source: Buffer, position: number): number =>
  source.readUInt32LE(position) + source.readUInt32LE(position + 4) * TWO_32
