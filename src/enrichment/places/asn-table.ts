import { closeSync, fstatSync, openSync, readSync } from 'node:fs'
import type { Address } from './address.ts'

/** Which autonomous system announces an address: sorted ranges in typed arrays over one buffer.
 *
 * File, little endian, every part a multiple of four bytes:
 *
 * | bytes | what |
 * |---|---|
 * | 8 | `WPASN\0\0\1`, the last byte is the version of the format |
 * | 4 × 5 | ranges of IPv4 (n4), of IPv6 (n6), organisations (m), bytes of names (b), bytes of the stamp (s) |
 * | s, padded | the stamp: names and sizes of the sources |
 * | 4·n4 × 3 | first address, last address, organisation |
 * | 16·n6 × 2, 4·n6 | first address, last address (four words, most significant first), organisation |
 * | 4·m, 4·(m+1) | AS number; where its name starts |
 * | b, padded | names, UTF-8 |
 */
export const MAGIC = Buffer.from('WPASN\0\0\x01', 'latin1')
export const HEADER_BYTES = MAGIC.length + 5 * 4

export type AutonomousSystem = { readonly asn: number; readonly isp?: string }

export type AsnArrays = {
  readonly first4: Uint32Array
  readonly last4: Uint32Array
  readonly organisation4: Uint32Array
  readonly first6: Uint32Array
  readonly last6: Uint32Array
  readonly organisation6: Uint32Array
  readonly asns: Uint32Array
  readonly nameStarts: Uint32Array
  readonly names: Buffer
}

export class AsnTable {
  readonly #arrays: AsnArrays
  /** Systems that were asked for; there are some 75 000. */
  readonly #systems: (AutonomousSystem | undefined)[] = []

  constructor(arrays: AsnArrays) {
    this.#arrays = arrays
  }

  /** The system of an address, undefined where none announces it. About 20 steps of a binary search. */
  find(address: Address): AutonomousSystem | undefined {
    const { organisation4, organisation6 } = this.#arrays
    const range = address.family === 4 ? this.#findRange4(address.bytes) : this.#findRange6(address.bytes)
    if (range === undefined) return undefined
    return this.#organisation((address.family === 4 ? organisation4 : organisation6)[range]!)
  }

  #findRange4(bytes: readonly number[]): number | undefined {
    const { first4, last4 } = this.#arrays
    const word = wordAt(bytes, 0)
    const range = lastNotAbove(first4.length, (index) => first4[index]! <= word)
    return range >= 0 && last4[range]! >= word ? range : undefined
  }

  #findRange6(bytes: readonly number[]): number | undefined {
    const { first6, last6 } = this.#arrays
    const words = [wordAt(bytes, 0), wordAt(bytes, 4), wordAt(bytes, 8), wordAt(bytes, 12)]
    const range = lastNotAbove(first6.length / 4, (index) => compareWords(first6, index, words) <= 0)
    return range >= 0 && compareWords(last6, range, words) >= 0 ? range : undefined
  }

  #organisation(index: number): AutonomousSystem {
    return (this.#systems[index] ??= this.#decode(index))
  }

  #decode(index: number): AutonomousSystem {
    const { asns, nameStarts, names } = this.#arrays
    const isp = names.toString('utf8', nameStarts[index], nameStarts[index + 1])
    return { asn: asns[index]!, ...(isp !== '' && { isp }) }
  }
}

/** Four bytes from `at` on as an unsigned number, most significant first. */
export const wordAt = (bytes: readonly number[], at: number): number =>
  ((bytes[at]! << 24) | (bytes[at + 1]! << 16) | (bytes[at + 2]! << 8) | bytes[at + 3]!) >>> 0

/** Binary search: the last index for which `isNotAbove` holds, −1 where it holds for none. */
function lastNotAbove(count: number, isNotAbove: (index: number) => boolean): number {
  let low = 0
  let high = count
  while (low < high) {
    const middle = (low + high) >>> 1
    if (isNotAbove(middle)) low = middle + 1
    else high = middle
  }
  return low - 1
}

function compareWords(words: Uint32Array, index: number, other: readonly number[]): number {
  for (let part = 0; part < 4; part += 1) {
    const difference = words[index * 4 + part]! - other[part]!
    if (difference !== 0) return difference
  }
  return 0
}

type Counts = {
  readonly n4: number
  readonly n6: number
  readonly organisations: number
  readonly nameBytes: number
  readonly stampBytes: number
}

/** @returns undefined where the bytes begin no file of this format */
function readCounts(header: Buffer): Counts | undefined {
  if (header.length < HEADER_BYTES || !header.subarray(0, MAGIC.length).equals(MAGIC)) return undefined
  const at = (index: number): number => header.readUInt32LE(MAGIC.length + index * 4)
  return { n4: at(0), n6: at(1), organisations: at(2), nameBytes: at(3), stampBytes: at(4) }
}

const fileBytes = (counts: Counts): number =>
  HEADER_BYTES +
  paddedTo4(counts.stampBytes) +
  counts.n4 * 12 +
  counts.n6 * 36 +
  (counts.organisations * 2 + 1) * 4 +
  paddedTo4(counts.nameBytes)

/** The arrays over the bytes of a compiled file.
 * @param bytes begin at a multiple of four in their buffer
 * @returns undefined where they are cut off or of another format: compile it again
 */
export function asnArraysOf(bytes: Buffer): AsnArrays | undefined {
  const counts = readCounts(bytes)
  if (counts === undefined || fileBytes(counts) !== bytes.length) return undefined
  let offset = HEADER_BYTES + paddedTo4(counts.stampBytes)
  const takeBytes = (length: number): Buffer => {
    const taken = bytes.subarray(offset, offset + length)
    offset += paddedTo4(length)
    return taken
  }
  const takeWords = (count: number): Uint32Array => {
    const taken = takeBytes(count * 4)
    return new Uint32Array(taken.buffer, taken.byteOffset, count)
  }
  return {
    first4: takeWords(counts.n4), last4: takeWords(counts.n4), organisation4: takeWords(counts.n4),
    first6: takeWords(counts.n6 * 4), last6: takeWords(counts.n6 * 4), organisation6: takeWords(counts.n6),
    asns: takeWords(counts.organisations), nameStarts: takeWords(counts.organisations + 1),
    names: takeBytes(counts.nameBytes),
  } // prettier-ignore
}

/** What a compiled file was made of, read from its head.
 * @returns undefined where there is none, or under the same conditions as asnArraysOf
 */
export function readAsnStamp(path: string): string | undefined {
  return openIfPresent(path, (file) => {
    const header = Buffer.alloc(HEADER_BYTES)
    readSync(file, header, 0, HEADER_BYTES, 0)
    const counts = readCounts(header)
    if (counts === undefined || fileBytes(counts) !== fstatSync(file).size) return undefined
    const stamp = Buffer.alloc(counts.stampBytes)
    readSync(file, stamp, 0, stamp.length, HEADER_BYTES)
    return stamp.toString('utf8')
  })
}

export const paddedTo4 = (length: number): number => Math.ceil(length / 4) * 4

function openIfPresent<Result>(path: string, read: (file: number) => Result): Result | undefined {
  let file: number
  try {
    file = openSync(path, 'r')
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined
    throw error
  }
  try {
    return read(file)
  } finally {
    closeSync(file)
  }
}
