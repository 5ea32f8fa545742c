import { execFileSync } from 'node:child_process'
import { closeSync, fsyncSync, mkdirSync, openSync, readSync, renameSync, statSync, writeSync } from 'node:fs'
import { basename, dirname } from 'node:path'
import { parseAddress } from './address.ts'
import { HEADER_BYTES, MAGIC, paddedTo4, readAsnStamp, wordAt, type AsnArrays } from './asn-table.ts'

export type AsnSources = {
  /** CSV of IPv4 ranges: first, last (as numbers or addresses), AS number, organisation. */
  readonly ipv4: string
  /** CSV of IPv6 ranges. */
  readonly ipv6: string
}

/** Makes the AS table of the CSV files of `@ip-location-db/asn` unless `target` was made from the same files. The file
 * appears at once and whole (written beside it, flushed, renamed). A line that cannot be read, or whose range does not lie
 * after the one before it, is left out. Blocks for about two seconds, in a process of its own: it needs 120 MB that the
 * caller would not get rid of.
 * @returns whether it had to be made
 * @throws {Error} a source cannot be read, the target cannot be written
 */
export function compileAsnDatabase(sources: AsnSources, target: string): 'compiled' | 'current' {
  if (readAsnStamp(target) === stampOf(sources)) return 'current'
  execFileSync(process.execPath, [import.meta.filename, sources.ipv4, sources.ipv6, target], { stdio: 'pipe' })
  return 'compiled'
}

function compileHere(sources: AsnSources, target: string): void {
  const organisations = new Organisations()
  const ipv4 = readRanges(sources.ipv4, 4, organisations)
  const ipv6 = readRanges(sources.ipv6, 6, organisations)
  writeAtomically(target, encode(stampOf(sources), ipv4, ipv6, organisations.arrays()))
}

const stampOf = (sources: AsnSources): string => [sources.ipv4, sources.ipv6].map(describeFile).join(' ')

/** What tells one release of a source from another without reading it. */
function describeFile(path: string): string {
  const { size, mtimeMs } = statSync(path)
  return `${basename(path)}:${size}:${Math.trunc(mtimeMs)}`
}

/** Line of the CSV; the organisation may be quoted, with doubled quotes inside. */
const LINE = /^([0-9a-f.:]+),([0-9a-f.:]+),(\d{1,10}),(?:"((?:[^"]|"")*)"|([^\r]*))\r?$/

function readRanges(path: string, family: 4 | 6, organisations: Organisations): RangeColumns {
  const ranges = new RangeColumns(family === 4 ? 1 : 4)
  for (const line of linesOf(path)) {
    const fields = LINE.exec(line)
    if (fields === null) continue
    const first = wordsOf(fields[1]!, family)
    const last = wordsOf(fields[2]!, family)
    if (first === undefined || last === undefined || !ranges.isNext(first, last)) continue
    const name = fields[4]?.replaceAll('""', '"') ?? fields[5]!
    ranges.add(first, last, organisations.add(Number(fields[3]), name))
  }
  return ranges
}

/** A file's lines, a block at a time: as one text, the larger source would take 60 MB of a process that lives on. */
function* linesOf(path: string): Iterable<string> {
  const file = openSync(path, 'r')
  try {
    const block = Buffer.alloc(BLOCK_BYTES)
    let kept = 0
    for (;;) {
      const read = readSync(file, block, kept, BLOCK_BYTES - kept, null)
      if (read === 0) break
      const filled = kept + read
      const end = block.lastIndexOf(LINE_FEED, filled - 1) + 1
      yield* block.toString('utf8', 0, end).split('\n')
      // A line longer than a block is no line of these files; dropping it keeps the loop going.
      kept = end === 0 && filled === BLOCK_BYTES ? 0 : block.copy(block, 0, end, filled)
    }
    yield block.toString('utf8', 0, kept)
  } finally {
    closeSync(file)
  }
}

const BLOCK_BYTES = 256 * 1024
const LINE_FEED = 10

/** An address as 32-bit words, most significant first. */
function wordsOf(text: string, family: 4 | 6): readonly number[] | undefined {
  if (family === 4 && /^\d+$/.test(text)) return [Number(text)]
  const address = parseAddress(text)
  if (address?.family !== family) return undefined
  const { bytes } = address
  return Array.from({ length: bytes.length / 4 }, (_, index) => wordAt(bytes, index * 4))
}

function compare(a: readonly number[], b: readonly number[]): number {
  for (let part = 0; part < a.length; part += 1) if (a[part] !== b[part]) return a[part]! - b[part]!
  return 0
}

/** Ranges in growing typed arrays: as half a million objects they would take many times the 9 MB that they hold. */
class RangeColumns {
  readonly #words: number
  #count = 0
  #lastAddress: readonly number[] = []
  #first: Uint32Array
  #last: Uint32Array
  #organisation: Uint32Array

  constructor(wordsPerAddress: number) {
    this.#words = wordsPerAddress
    this.#first = new Uint32Array(1024 * wordsPerAddress)
    this.#last = new Uint32Array(1024 * wordsPerAddress)
    this.#organisation = new Uint32Array(1024)
  }

  /** Whether the range is a range and lies wholly after the one added last: the binary search relies on both. */
  isNext(first: readonly number[], last: readonly number[]): boolean {
    return compare(first, last) <= 0 && (this.#count === 0 || compare(this.#lastAddress, first) < 0)
  }

  add(first: readonly number[], last: readonly number[], organisation: number): void {
    if (this.#count === this.#organisation.length) this.#grow()
    this.#first.set(first, this.#count * this.#words)
    this.#last.set(last, this.#count * this.#words)
    this.#organisation[this.#count] = organisation
    this.#lastAddress = last
    this.#count += 1
  }

  #grow(): void {
    this.#first = doubled(this.#first)
    this.#last = doubled(this.#last)
    this.#organisation = doubled(this.#organisation)
  }

  get first(): Uint32Array {
    return this.#first.subarray(0, this.#count * this.#words)
  }

  get last(): Uint32Array {
    return this.#last.subarray(0, this.#count * this.#words)
  }

  get organisation(): Uint32Array {
    return this.#organisation.subarray(0, this.#count)
  }
}

function doubled(words: Uint32Array): Uint32Array {
  const larger = new Uint32Array(words.length * 2)
  larger.set(words)
  return larger
}

/** Each pair of number and name once: 80 000 of them stand for half a million ranges. */
class Organisations {
  readonly #indexes = new Map<string, number>()
  readonly #asns: number[] = []
  readonly #names: Buffer[] = []

  add(asn: number, name: string): number {
    const key = `${asn},${name}`
    const known = this.#indexes.get(key)
    if (known !== undefined) return known
    this.#asns.push(asn)
    this.#names.push(Buffer.from(name.trim()))
    this.#indexes.set(key, this.#asns.length - 1)
    return this.#asns.length - 1
  }

  arrays(): OrganisationArrays {
    const nameStarts = new Uint32Array(this.#names.length + 1)
    for (const [index, name] of this.#names.entries()) nameStarts[index + 1] = nameStarts[index]! + name.length
    return { asns: Uint32Array.from(this.#asns), nameStarts, names: Buffer.concat(this.#names) }
  }
}

type OrganisationArrays = Pick<AsnArrays, 'asns' | 'nameStarts' | 'names'>

function encode(stampText: string, ipv4: RangeColumns, ipv6: RangeColumns, of: OrganisationArrays): readonly Buffer[] {
  const stamp = Buffer.from(stampText)
  const counts = [ipv4.organisation.length, ipv6.organisation.length, of.asns.length, of.names.length, stamp.length]
  const header = Buffer.alloc(HEADER_BYTES)
  MAGIC.copy(header)
  for (const [index, count] of counts.entries()) header.writeUInt32LE(count, MAGIC.length + index * 4)
  const words = [
    ipv4.first, ipv4.last, ipv4.organisation,
    ipv6.first, ipv6.last, ipv6.organisation,
    of.asns, of.nameStarts,
  ].map((array) => Buffer.from(array.buffer, array.byteOffset, array.byteLength)) // prettier-ignore
  return [header, padded(stamp), ...words, padded(of.names)]
}

const padded = (bytes: Buffer): Buffer => Buffer.concat([bytes], paddedTo4(bytes.length))

function writeAtomically(target: string, parts: readonly Buffer[]): void {
  mkdirSync(dirname(target), { recursive: true })
  const temporary = `${target}.${process.pid}.tmp`
  const file = openSync(temporary, 'w')
  try {
    for (const part of parts) writeSync(file, part)
    fsyncSync(file)
  } finally {
    closeSync(file)
  }
  renameSync(temporary, target)
}

if (import.meta.main) {
  const [ipv4, ipv6, target] = process.argv.slice(2)
  compileHere({ ipv4: ipv4!, ipv6: ipv6! }, target!)
}
