import { closeSync, fstatSync, openSync, readFileSync, readSync } from 'node:fs'
import { Reader } from 'maxmind'
import { WaypostError } from '#platform/errors'
import type { Place } from '#records'
import { BoundedCache } from '../bounded-cache.ts'
import type { Address } from './address.ts'
import { MmdbTree } from './mmdb-tree.ts'
import { placeOfRecord } from './place-of-record.ts'

/** The metadata lie within this many bytes of the end. @see MaxMind DB file format, "Database Metadata" */
const METADATA_BYTES_MAX = 128 * 1024
const METADATA_MARKER = Buffer.from('\xab\xcd\xefMaxMind.com', 'latin1')

/** Records kept decoded per file, at most twice this many: the addresses of a city share one. */
const CACHED_PLACES = 8_192

/** An mmdb file, read into one buffer when the first address asks for it: a file of IPv6 networks costs its memory only where
 * IPv6 visitors come, for one pause of some 40 ms per 70 MB.
 */
export class MmdbFile {
  readonly path: string
  readonly #addresses: 'ipv4' | 'ipv6' | 'all'
  readonly #read: (path: string) => Buffer
  readonly #places = new BoundedCache<number, Place>(CACHED_PLACES)
  #tree: MmdbTree | undefined
  #reader: Reader<never> | undefined

  /** @param read gets the bytes of the file
   * @throws {WaypostError} environment_invalid: not readable or no mmdb file
   */
  constructor(path: string, addresses: 'ipv4' | 'ipv6' | 'all', read: (path: string) => Buffer = readFileSync) {
    this.path = path
    this.#read = read
    this.#addresses = addresses
    checkMarker(path)
  }

  /** Reads the file unless it was read. */
  open(): void {
    if (this.#reader !== undefined) return
    const bytes = this.#read(this.path)
    this.#reader = new Reader(bytes)
    this.#tree = new MmdbTree(bytes, this.#reader.metadata)
  }

  get isOpen(): boolean {
    return this.#reader !== undefined
  }

  /** What the file says of an address, undefined where it has no record. */
  find(address: Address): Place | undefined {
    if (this.#addresses !== 'all' && this.#addresses !== (address.family === 4 ? 'ipv4' : 'ipv6')) return undefined
    this.open()
    const record = this.#tree!.findRecord(address)
    if (record === undefined) return undefined
    const known = this.#places.get(record)
    if (known !== undefined) return known
    const place = placeOfRecord(this.#reader!.get(address.text) ?? {})
    this.#places.set(record, place)
    return place
  }
}

/** Whether a file holds locations, by the type that it states, e.g. `GeoIP2-City`; networks and anonymous addresses do not.
 * @throws {WaypostError} environment_invalid: not readable or no mmdb file
 */
export function knowsCities(path: string): boolean {
  checkMarker(path)
  const tail = readTail(path)
  const stated = tail.subarray(tail.lastIndexOf(METADATA_MARKER)).toString('latin1')
  return /database_type.{1,4}[\w .-]*(?:city|country|enterprise|location)/i.test(stated)
}

/** Reads the end of the file only, so that a wrong path is told at the start and not with the first visitor. */
function checkMarker(path: string): void {
  const tail = readTail(path)
  if (tail.includes(METADATA_MARKER)) return
  throw new WaypostError('environment_invalid', `${path} is no mmdb file.`)
}

function readTail(path: string): Buffer {
  let file: number | undefined
  try {
    file = openSync(path, 'r')
    const length = fstatSync(file).size
    const tail = Buffer.alloc(Math.min(length, METADATA_BYTES_MAX))
    readSync(file, tail, 0, tail.length, length - tail.length)
    return tail
  } catch (cause) {
    throw new WaypostError('environment_invalid', `The geo file ${path} cannot be read.`, { cause })
  } finally {
    if (file !== undefined) closeSync(file)
  }
}
