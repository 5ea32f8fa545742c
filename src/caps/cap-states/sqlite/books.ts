import { existsSync } from 'node:fs'
import { DatabaseSync } from 'node:sqlite'

import type { CapGap } from '../../cap-state.ts'
import type { CountedConversion, Counter } from '../../tally.ts'
import {
  conversionIdOfKey,
  conversionKey,
  counterOf,
  decodeConversion,
  decodeGap,
  decodeNumber,
  GAP_KEY,
  kindRange,
} from './encoding.ts'
import { databaseOfRun, readBootId } from './environment.ts'

/** What caps have counted at one moment, to be compared with what was booked. Reads only, beside those who count. */
export type CapBooks = {
  /** Which clicks the counts lack; undefined where they are whole. */
  readonly gap: CapGap | undefined
  /** What single conversions have counted, in the order of their ids. */
  readonly conversions: () => Iterable<readonly [conversionId: string, counted: CountedConversion]>
  readonly conversion: (conversionId: string) => CountedConversion | undefined
  /** Counts of clicks, conversions and money; see `metricOfCount`. */
  readonly counts: () => Iterable<Counter & { readonly used: number }>
  readonly close: () => void
}

/** Opens the counts of this run of the operating system.
 * @param options.bootId left out: as the system says
 * @returns undefined where nothing has counted in this run yet
 * @throws {Error} they are there and cannot be read
 */
export function openCapBooks({
  directory,
  bootId = readBootId(),
}: {
  readonly directory: string
  readonly bootId?: string | undefined
}): CapBooks | undefined {
  const file = databaseOfRun(directory, bootId)
  if (!existsSync(file)) return undefined
  const database = new DatabaseSync(file, { readOnly: true })
  try {
    // All that is read is of one moment, however long it takes.
    database.exec('BEGIN')
    return booksOf(database)
  } catch (error) {
    database.close()
    throw error
  }
}

type Row = readonly [Uint8Array, Uint8Array]

function booksOf(database: DatabaseSync): CapBooks {
  const get = database.prepare('SELECT key, value FROM entries WHERE key = ?')
  get.setReturnArrays(true)
  const read = <T>(key: Buffer, decode: (bytes: Buffer) => T): T | undefined => {
    const row = get.get(key) as Row | undefined
    return row && decode(bufferOf(row[1]))
  }
  function* entriesOf<T>(kind: 'c' | 'v', decode: (key: Buffer, value: Buffer) => T): Generator<T> {
    const all = database.prepare('SELECT key, value FROM entries WHERE key >= ? AND key < ? ORDER BY key')
    all.setReturnArrays(true)
    for (const row of all.iterate(...kindRange(kind))) {
      const [key, value] = row as unknown as Row
      yield decode(bufferOf(key), bufferOf(value))
    }
  }
  return {
    gap: read(GAP_KEY, decodeGap),
    conversions: () => entriesOf('v', (key, value) => [conversionIdOfKey(key), decodeConversion(value)] as const),
    conversion: (conversionId) => read(conversionKey(conversionId), decodeConversion),
    counts: () => entriesOf('c', (key, value) => ({ ...counterOf(key), used: decodeNumber(value) })),
    close: () => database.close(),
  }
}

const bufferOf = (bytes: Uint8Array): Buffer => Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)
