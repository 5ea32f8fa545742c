import { fraudLimits } from './limits.ts'
import { networkOf } from './network-of.ts'
import { openRateSketch, sketchBytes } from './rate-sketch.ts'
import { openRecentKeys, recentKeysBytes } from './recent-keys.ts'

/** What clicks are counted by. */
export const rateKinds = ['ip', 'subnet', 'visitor', 'affiliate'] as const
export type RateKind = (typeof rateKinds)[number]

/** What the score of a click asks about the clicks before it. Synchronous; times come in as arguments. */
export type RateCounters = {
  /** How many clicks there were within the window, this one included: never too few, rarely too many (see RateSketch). The
   * window is up to a third longer than asked for. After a change of a window counting begins anew.
   * @param key address in canonical text for `ip` (of IPv6 its /64 counts) and `subnet` (/24, /48), else a code or id
   * @param windowSeconds 1 to 86,400
   * @param at milliseconds since the epoch
   */
  readonly count: (kind: RateKind, key: string, windowSeconds: number, at: number) => number
  /** Whether this visitor clicked the same campaign within so many seconds. A click may be forgotten early where more come
   * within that time than fit in.
   */
  readonly isRepeat: (visitorCode: string, campaignId: string, windowSeconds: number, at: number) => boolean
}

/** Memory of the counters that all threads of an edge share. */
export type RateBoard = SharedArrayBuffer

export type RateBoardSize = {
  /** Cells in each of the four rows of a kind, a power of two. */
  readonly cells?: number
  /** Visits that are remembered to find duplicates, a power of two. */
  readonly visits?: number
}

const VISITS_OF_BUCKET = 8

const HEADER_BYTES = 64
const SEED_AT = 0
const CELLS_AT = 1
const BUCKETS_AT = 2

/** @param seed a random 32-bit integer, the same for all threads and told to nobody: it keeps others from choosing keys that
 * fall on one cell
 * @throws {RangeError} a size is no power of two between 8 and 2²⁴
 */
export function createRateBoard(
  seed: number,
  { cells = fraudLimits.counterCellsOfRow, visits = fraudLimits.visitsRemembered }: RateBoardSize = {},
): RateBoard {
  const cellsLog2 = log2Of(cells)
  const bucketsLog2 = log2Of(visits / VISITS_OF_BUCKET)
  const board = new SharedArrayBuffer(
    HEADER_BYTES + rateKinds.length * sketchBytes(cellsLog2) + recentKeysBytes(bucketsLog2),
  )
  const header = new Int32Array(board, 0, HEADER_BYTES / 4)
  header[SEED_AT] = seed
  header[CELLS_AT] = cellsLog2
  header[BUCKETS_AT] = bucketsLog2
  return board
}

function log2Of(size: number): number {
  const log2 = Math.log2(size)
  if (!Number.isInteger(log2) || log2 < 0 || log2 > 24) throw new RangeError(`${size} is no power of two up to 2^24.`)
  return log2
}

/** The counters of a board, as each thread opens them for itself. */
export function openRateCounters(board: RateBoard): RateCounters {
  const { sketches, recent } = tablesOf(board)
  return {
    count: (kind, key, windowSeconds, at) => sketches[kind].count(keyOf(kind, key), windowSeconds * 1000, at),
    isRepeat: (visitor, campaign, windowSeconds, at) => recent.see(`${visitor} ${campaign}`, windowSeconds * 1000, at),
  }
}

/** Counters that answer as those of the board would and change nothing: for clicks that are only asked about. */
export function openDryRateCounters(board: RateBoard): RateCounters {
  const { sketches, recent } = tablesOf(board)
  return {
    count: (kind, key, windowSeconds, at) => sketches[kind].peek(keyOf(kind, key), windowSeconds * 1000, at),
    isRepeat: (visitor, campaign, windowSeconds, at) => recent.peek(`${visitor} ${campaign}`, windowSeconds * 1000, at),
  }
}

/** Counters that have seen nothing. */
export const emptyRateCounters: RateCounters = { count: () => 1, isRepeat: () => false }

const keyOf = (kind: RateKind, key: string): string => (kind === 'ip' || kind === 'subnet' ? networkOf(key, kind) : key)

function tablesOf(board: RateBoard) {
  const header = new Int32Array(board, 0, HEADER_BYTES / 4)
  const seed = header[SEED_AT]!
  const cellsLog2 = header[CELLS_AT]!
  const bucketsLog2 = header[BUCKETS_AT]!
  const bytes = sketchBytes(cellsLog2)
  const sketchOf = (kind: RateKind) => {
    const words = new Int32Array(board, HEADER_BYTES + rateKinds.indexOf(kind) * bytes, bytes / 4)
    return openRateSketch(words, cellsLog2, seed)
  }
  const entries = new BigInt64Array(board, HEADER_BYTES + rateKinds.length * bytes, recentKeysBytes(bucketsLog2) / 8)
  return {
    sketches: {
      ip: sketchOf('ip'),
      subnet: sketchOf('subnet'),
      visitor: sketchOf('visitor'),
      affiliate: sketchOf('affiliate'),
    },
    recent: openRecentKeys(entries, bucketsLog2, seed),
  }
}
