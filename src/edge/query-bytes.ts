import { readQuery, type QueryLimits } from './query.ts'

const AMPERSAND = 0x26
const EQUALS = 0x3d
const PERCENT = 0x25
const PLUS = 0x2b
const QUESTION_MARK = 0x3f
const SPACE = 0x20
const UPPER_A = 0x41
const UPPER_Z = 0x5a

/** Names of parameters, found by the bytes of a query without making a string of them. */
export type NameTable = {
  /** Number of the name in the cell of its hash or one of the next; −1: no further name has this hash. */
  readonly cells: Int16Array
  readonly names: readonly string[]
  readonly numbers: ReadonlyMap<string, number>
}

const FNV_START = 0x811c9dc5
const FNV_PRIME = 0x01000193

/** @param names lower-case ASCII, each once; the table answers with their places in this list */
export function compileNames(names: readonly string[]): NameTable {
  // At most a quarter full: most look-ups end in the first cell.
  const cells = new Int16Array(2 ** Math.ceil(Math.log2(names.length * 4))).fill(-1)
  for (const [number, name] of names.entries()) {
    let hash = FNV_START
    for (let at = 0; at < name.length; at += 1) hash = Math.imul(hash ^ name.charCodeAt(at), FNV_PRIME)
    let cell = cellOf(hash, cells)
    while (cells[cell] !== -1) cell = (cell + 1) & (cells.length - 1)
    cells[cell] = number
  }
  return { cells, names, numbers: new Map(names.map((name, number) => [name, number])) }
}

const cellOf = (hash: number, cells: Int16Array): number => (hash ^ (hash >>> 15)) & (cells.length - 1)

function findName({ cells, names }: NameTable, hash: number, from: number, to: number): number {
  for (let cell = cellOf(hash, cells); ; cell = (cell + 1) & (cells.length - 1)) {
    const number = cells[cell]!
    if (number === -1 || isAt(names[number]!, from, to)) return number
  }
}

function isAt(name: string, from: number, to: number): boolean {
  if (name.length !== to - from) return false
  for (let at = 0; at < name.length; at += 1) if (name.charCodeAt(at) !== lowered(bytes[from + at]!)) return false
  return true
}

const lowered = (byte: number): number => (byte >= UPPER_A && byte <= UPPER_Z ? byte + 0x20 : byte)

const CHARACTERS_MAX = 16_384
/** UTF-8 takes at most three bytes for a unit of UTF-16. Used by one query at a time, none of which waits. */
const bytes = Buffer.allocUnsafeSlow(CHARACTERS_MAX * 3)
const decoded = Buffer.allocUnsafeSlow(CHARACTERS_MAX)

/** V8 makes a slice of 13 characters or more a view of the whole text. JSON.stringify leaves its fast path at the first such
 * view: a record with one of them takes 1.3 µs instead of 0.5. Bytes made a string are a text of their own.
 */
const VIEW_CHARACTERS_MIN = 13

/** readQuery for parameters with known names, in any case: calls `take` with the number of the name in the table.
 *
 * The query is looked at as bytes: a look at a byte costs a quarter of charCodeAt on a part of a URL, and a name that is
 * only compared need not become a string. What has anything but ASCII in it or in its escapes takes readQuery's way.
 */
export function readNamedQuery(
  text: string,
  limits: QueryLimits,
  table: NameTable,
  take: (number: number, value: string) => void,
): void {
  const isAscii = text.length <= CHARACTERS_MAX && bytes.write(text) === text.length
  if (isAscii) readBytes(text, limits, table, take)
  else readQuery(text, limits, (name, value) => takeNamed(table, name, value, take))
}

function takeNamed(table: NameTable, name: string, value: string, take: (number: number, value: string) => void): void {
  const number = table.numbers.get(name.toLowerCase())
  if (number !== undefined) take(number, value)
}

function readBytes(
  text: string,
  limits: QueryLimits,
  table: NameTable,
  take: (number: number, value: string) => void,
): void {
  const { length } = text
  let at = 0
  for (let count = 0; at < length && count < limits.parametersMax; count += 1) {
    const start = at
    while (at < length && bytes[at] === QUESTION_MARK) at += 1
    const from = at
    let hash = FNV_START
    let isPlain = true
    let byte = 0
    for (; at < length; at += 1) {
      byte = bytes[at]!
      if (byte === EQUALS || byte === AMPERSAND) break
      if (byte === PERCENT || byte === PLUS) isPlain = false
      hash = Math.imul(hash ^ lowered(byte), FNV_PRIME)
    }
    const equals = at
    if (at < length && byte === EQUALS) {
      let isValuePlain = true
      for (at += 1; at < length; at += 1) {
        byte = bytes[at]!
        if (byte === AMPERSAND) break
        if (byte === PERCENT || byte === PLUS || byte < SPACE) isValuePlain = false
      }
      if (at > equals + 1) {
        if (!isPlain) takePair(text.slice(start, at), limits, table, take)
        else {
          const number = findName(table, hash, from, equals)
          if (number !== -1) {
            const value = readValue(text, equals + 1, at, isValuePlain, limits)
            if (value === undefined) takePair(text.slice(start, at), limits, table, take)
            else take(number, value)
          }
        }
      }
    }
    at += 1
  }
}

/** One pair in readQuery's way. */
function takePair(
  pair: string,
  limits: QueryLimits,
  table: NameTable,
  take: (number: number, value: string) => void,
): void {
  readQuery(pair, limits, (name, value) => takeNamed(table, name, value, take))
}

/** @returns undefined: the value is for readQuery */
function readValue(
  text: string,
  from: number,
  to: number,
  isPlain: boolean,
  { valueCharactersMax }: QueryLimits,
): string | undefined {
  if (!isPlain) return decodeAscii(from, to, valueCharactersMax)
  if (to - from > valueCharactersMax) return undefined
  return to - from < VIEW_CHARACTERS_MIN ? text.slice(from, to) : bytes.toString('latin1', from, to)
}

function decodeAscii(from: number, to: number, charactersMax: number): string | undefined {
  let length = 0
  for (let at = from; at < to; at += 1) {
    let byte = bytes[at]!
    if (byte === PLUS) byte = SPACE
    else if (byte === PERCENT) {
      byte = at + 2 < to ? (HEX_DIGITS[bytes[at + 1]!]! << 4) | HEX_DIGITS[bytes[at + 2]!]! : NO_ASCII
      if (byte >= NO_ASCII || byte === 0) return undefined
      at += 2
    } else if (byte === 0) return undefined
    decoded[length] = byte
    length += 1
  }
  return length > charactersMax ? undefined : decoded.toString('latin1', 0, length)
}

const NO_ASCII = 0x80
/** Any other character makes the sum of two digits larger than ASCII. */
const HEX_DIGITS = new Uint8Array(128).fill(0xff)
for (let digit = 0; digit < 16; digit += 1) {
  HEX_DIGITS[digit.toString(16).charCodeAt(0)] = digit
  HEX_DIGITS[digit.toString(16).toUpperCase().charCodeAt(0)] = digit
}
