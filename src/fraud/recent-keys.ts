import { hashKey } from './key-hash.ts'

/** When keys were last seen, for as many as fit into memory of a fixed size; all threads of an edge write at once.
 *
 * A bucket is eight entries (one cache line) of 64 bits, swapped as one: 32 bits of the key's hash, 32 of its time. The
 * oldest entry of a full bucket makes place, so that a key may be forgotten early and then counts as new. Two keys are taken
 * for one in 8 of 2³² cases.
 */
export type RecentKeys = {
  /** Whether the key was seen within the window; notes that it was seen.
   * @param at milliseconds since the epoch
   * @param windowMs at most a day
   */
  readonly see: (key: string, windowMs: number, at: number) => boolean
  /** What `see` would answer; notes nothing. */
  readonly peek: (key: string, windowMs: number, at: number) => boolean
}

const ENTRIES_OF_BUCKET = 8
/** Each failed swap means that another thread changed this bucket; after so many in a row the key counts as new. */
const SWAPS_MAX = 16

export const recentKeysBytes = (bucketsLog2: number): number =>
  2 ** bucketsLog2 * ENTRIES_OF_BUCKET * BigInt64Array.BYTES_PER_ELEMENT

/** @param entries of `recentKeysBytes(bucketsLog2)`, all zero at first; all who use them have the same seed */
export function openRecentKeys(entries: BigInt64Array, bucketsLog2: number, seed: number): RecentKeys {
  const mask = 2 ** bucketsLog2 - 1
  /** The same memory by halves, which can be scanned without making a bigint of each entry. */
  const halves = new Int32Array(entries.buffer, entries.byteOffset, entries.length * 2)

  /** The entry of a key, or else the one that it takes the place of: the first empty or the oldest of its bucket. */
  const find = (start: number, print: number, now: number): Place => {
    const place: Place = { at: start, print: 0, time: 0 }
    let ageMax = -Infinity
    for (let at = start; at < start + ENTRIES_OF_BUCKET; at += 1) {
      const found = Atomics.load(halves, 2 * at + PRINT)
      const time = Atomics.load(halves, 2 * at + TIME)
      if (found === print) return { at, print, time }
      const age = found === 0 ? Infinity : (now - time) | 0
      if (age > ageMax) [ageMax, place.at, place.print, place.time] = [age, at, found, time]
    }
    return place
  }

  return {
    see(key, windowMs, at) {
      const now = toTime(at)
      const { first, second } = hashKey(key, seed)
      const print = second || 1
      const start = (first & mask) * ENTRIES_OF_BUCKET
      const seen = entryOf(print, now)
      for (let swaps = 0; swaps < SWAPS_MAX; swaps += 1) {
        const place = find(start, print, now)
        // Swapped only from what the search saw. Two threads with one key want the same place, since both see the same bucket, and
        // the one that comes second finds the other's entry when it searches again.
        const before = entryOf(place.print, place.time)
        if (Atomics.compareExchange(entries, place.at, before, seen) !== before) continue
        return place.print === print && isWithin(place.time, now, windowMs)
      }
      return false
    },
    peek(key, windowMs, at) {
      const now = toTime(at)
      const { first, second } = hashKey(key, seed)
      const print = second || 1
      const place = find((first & mask) * ENTRIES_OF_BUCKET, print, now)
      return place.print === print && isWithin(place.time, now, windowMs)
    },
  }
}

/** An entry as it was read. */
type Place = { at: number; print: number; time: number }

/** The low 32 bits of the milliseconds: they come again after 49 days. */
const toTime = (at: number): number => (at % 2 ** 32) | 0
const isWithin = (time: number, now: number, windowMs: number): boolean => Math.abs((now - time) | 0) <= windowMs
const entryOf = (print: number, time: number): bigint => (BigInt(print) << 32n) | BigInt(time >>> 0)

/** Which half of an entry, as 32-bit words in the machine's order, is which. */
const IS_LITTLE_ENDIAN = new Uint8Array(Uint16Array.of(1).buffer)[0] === 1
const PRINT = IS_LITTLE_ENDIAN ? 1 : 0
const TIME = 1 - PRINT
