import type { ClickId } from '#platform/ids'
import type { CapGap } from '../../cap-state.ts'
import type { ClickHold, CountedConversion, CountedEntry, Counter, HoldBatch } from '../../tally.ts'

/** Keys and values of the entries. The first byte of a key says what it is. Stored: never change one.
 *
 * | byte | rest of the key            | value                                                       |
 * | ---- | -------------------------- | ----------------------------------------------------------- |
 * | `c`  | end of the period, key     | used                                                        |
 * | `s`  | slot                       | batches: end, sum                                           |
 * | `k`  | click id                   | holds: slot, end, amount                                    |
 * | `t`  | last end of a hold, click id | –                                                         |
 * | `v`  | conversion id              | revision, came in, index that refused it, entries: key, end, amount |
 * | `w`  | came in, conversion id     | –                                                           |
 * | `g`  | –                          | gap: since, until                                           |
 *
 * Numbers are float64, integers up to 2^53; times in keys are big-endian integers, so that they sort.
 */
type KeyKind = 'c' | 's' | 'k' | 't' | 'v' | 'w' | 'g'

const TIME_BYTES = 8
const CLICK_ID_BYTES = 16
export const CONVERSION_ID_BYTES_MAX = 64
/** An index that no key has. */
const NO_INDEX = 0xffff

export const NOTHING = Buffer.of(0)
export const GAP_KEY = Buffer.from('g')

export const counterKey = ({ key, periodEndMs }: Counter): Buffer => timedKey('c', periodEndMs, Buffer.from(key))
export const slotKey = (slot: string): Buffer => Buffer.from(`s${slot}`)
export const clickKey = (clickId: ClickId): Buffer => plainKey('k', clickIdBytes(clickId))
export const lapseKey = (endMs: number, clickId: ClickId): Buffer => timedKey('t', endMs, clickIdBytes(clickId))
export const conversionKey = (conversionId: string): Buffer => plainKey('v', Buffer.from(conversionId))
export const conversionTimeKey = (at: number, conversionId: string): Buffer =>
  timedKey('w', at, Buffer.from(conversionId))

/** The least key of a kind at that time: ranges end before it. */
export const timeBound = (kind: 'c' | 't' | 'w', ms: number): Buffer => timedKey(kind, ms, Buffer.alloc(0))

/** The keys of a kind: the first, and the one after the last. */
export const kindRange = (kind: 'c' | 'v'): readonly [Buffer, Buffer] => [
  Buffer.from(kind),
  Buffer.of(kind.charCodeAt(0) + 1),
]

/** What follows the time in a key. */
const afterTime = (key: Buffer): Buffer => key.subarray(1 + TIME_BYTES)
/** The slot of a count: what its key says before the period. */
export function slotOfCounter(counter: Buffer): string {
  const key = afterTime(counter).toString()
  return key.slice(0, key.lastIndexOf('@'))
}
/** The count of a key; a period that never ends has the largest integer as its end. */
export const counterOf = (counter: Buffer): Counter => ({
  key: afterTime(counter).toString(),
  periodEndMs: counter.readUInt32BE(1) * 2 ** 32 + counter.readUInt32BE(5),
})
export const conversionIdOfKey = (key: Buffer): string => key.toString('utf8', 1)
export const slotOfHolds = (holds: Buffer): string => holds.toString('utf8', 1)
export const conversionIdOf = (timeKey: Buffer): string => afterTime(timeKey).toString()
export function clickIdOf(lapse: Buffer): ClickId {
  const hex = afterTime(lapse).toString('hex')
  const parts = [hex.slice(0, 8), hex.slice(8, 12), hex.slice(12, 16), hex.slice(16, 20), hex.slice(20)]
  return parts.join('-') as ClickId
}

function plainKey(kind: KeyKind, rest: Buffer): Buffer {
  const key = Buffer.allocUnsafe(1 + rest.length)
  key.write(kind, 0, 'latin1')
  rest.copy(key, 1)
  return key
}

function timedKey(kind: KeyKind, ms: number, rest: Buffer): Buffer {
  const key = Buffer.allocUnsafe(1 + TIME_BYTES + rest.length)
  key.write(kind, 0, 'latin1')
  const time = Math.max(0, Math.floor(Math.min(ms, Number.MAX_SAFE_INTEGER)))
  key.writeUInt32BE(Math.floor(time / 2 ** 32), 1)
  key.writeUInt32BE(time % 2 ** 32, 5)
  rest.copy(key, 1 + TIME_BYTES)
  return key
}

function clickIdBytes(clickId: ClickId): Buffer {
  const bytes = Buffer.allocUnsafe(CLICK_ID_BYTES)
  bytes.write(clickId.replaceAll('-', ''), 'hex')
  return bytes
}

export function encodeNumber(value: number): Buffer {
  const bytes = Buffer.allocUnsafe(8)
  bytes.writeDoubleLE(value)
  return bytes
}

export const decodeNumber = (bytes: Buffer): number => bytes.readDoubleLE()

export function encodeGap({ sinceMs, untilMs }: CapGap): Buffer {
  return Buffer.concat([encodeNumber(sinceMs), encodeNumber(untilMs)])
}

export const decodeGap = (bytes: Buffer): CapGap => ({
  sinceMs: bytes.readDoubleLE(0),
  untilMs: bytes.readDoubleLE(8),
})

export function encodeBatches(batches: readonly HoldBatch[]): Buffer {
  const bytes = Buffer.allocUnsafe(batches.length * 16)
  let at = 0
  for (const { endMs, sum } of batches) at = bytes.writeDoubleLE(sum, bytes.writeDoubleLE(endMs, at))
  return bytes
}

export function decodeBatches(bytes: Buffer): readonly HoldBatch[] {
  const batches: HoldBatch[] = []
  for (let at = 0; at < bytes.length; at += 16)
    batches.push({ endMs: bytes.readDoubleLE(at), sum: bytes.readDoubleLE(at + 8) })
  return batches
}

/** A text of at most 255 bytes and two numbers. */
type Triple = readonly [text: string, first: number, second: number]

function encodeTriples(head: Buffer, triples: readonly Triple[]): Buffer {
  const texts = triples.map(([text]) => Buffer.from(text))
  const bytes = Buffer.allocUnsafe(texts.reduce((sum, text) => sum + 17 + text.length, head.length))
  let at = head.copy(bytes)
  for (const [index, [, first, second]] of triples.entries()) {
    at = bytes.writeUInt8(texts[index]!.length, at)
    at += texts[index]!.copy(bytes, at)
    at = bytes.writeDoubleLE(second, bytes.writeDoubleLE(first, at))
  }
  return bytes
}

function decodeTriples(bytes: Buffer, from: number): readonly Triple[] {
  const triples: Triple[] = []
  for (let at = from; at < bytes.length;) {
    const textEnd = at + 1 + bytes[at]!
    const text = bytes.toString('utf8', at + 1, textEnd)
    triples.push([text, bytes.readDoubleLE(textEnd), bytes.readDoubleLE(textEnd + 8)])
    at = textEnd + 16
  }
  return triples
}

const NO_HEAD = Buffer.alloc(0)

export const encodeHolds = (holds: readonly ClickHold[]): Buffer =>
  encodeTriples(
    NO_HEAD,
    holds.map(({ slot, endMs, amount }) => [slot, endMs, amount]),
  )

export const decodeHolds = (bytes: Buffer): readonly ClickHold[] =>
  decodeTriples(bytes, 0).map(([slot, endMs, amount]) => ({ slot, endMs, amount }))

const CONVERSION_HEAD_BYTES = 18

export function encodeConversion({ revision, at, overIndex, entries }: CountedConversion): Buffer {
  const head = Buffer.allocUnsafe(CONVERSION_HEAD_BYTES)
  head.writeUInt16LE(overIndex ?? NO_INDEX, head.writeDoubleLE(at, head.writeDoubleLE(revision)))
  return encodeTriples(
    head,
    entries.map(({ key, periodEndMs, amount }) => [key, periodEndMs, amount]),
  )
}

export function decodeConversion(bytes: Buffer): CountedConversion {
  const overIndex = bytes.readUInt16LE(16)
  const entries = decodeTriples(bytes, CONVERSION_HEAD_BYTES).map(([key, periodEndMs, amount]): CountedEntry => ({
    key,
    periodEndMs,
    amount,
  }))
  const counted = { revision: bytes.readDoubleLE(0), at: bytes.readDoubleLE(8), entries }
  return overIndex === NO_INDEX ? counted : { ...counted, overIndex }
}
