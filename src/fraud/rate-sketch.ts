import { hashKey } from './key-hash.ts'

/** How often a key came within a window, for any number of keys in memory of a fixed size: a count-min sketch, into which all
 * threads of an edge count at once.
 *
 * A cell is four words, one for each third of a window and one for the third under way. A word holds the number of its third
 * (16 bits) and the hits in it (16 bits), so that nothing has to be swept: a word of an older third counts as zero. Four thirds
 * are added up, of which the last is not over, so that the window is between 1 and 4/3 of what was asked for.
 *
 * It never counts too few, whatever other threads do: the n-th hit to be counted is answered n or more. It counts too many where
 * a key shares its cell with others in every one of the four rows: with N hits in the window and w cells a row by more than e·N/w
 * in at most e⁻⁴ = 1.8 of 100 keys.
 * @see Cormode and Muthukrishnan, "An improved data stream summary: the count-min sketch", 2005
 */
export type RateSketch = {
  /** Counts one hit and answers how many there are in the window, this one included.
   * @param at milliseconds since the epoch; those of several threads may be a third of a window apart
   */
  readonly count: (key: string, windowMs: number, at: number) => number
  /** What `count` would answer; counts nothing. */
  readonly peek: (key: string, windowMs: number, at: number) => number
}

export const ROWS = 4
const THIRDS = 3
const WORDS_OF_CELL = THIRDS + 1
/** Hits in a third of a window beyond this are not counted. */
export const HITS_MAX = 0xffff
const NUMBER_MASK = 0xffff

/** Bytes of a sketch. @param cellsLog2 logarithm of the cells in each of the four rows */
export const sketchBytes = (cellsLog2: number): number =>
  ROWS * 2 ** cellsLog2 * WORDS_OF_CELL * Int32Array.BYTES_PER_ELEMENT

/** @param words of `sketchBytes(cellsLog2)`, all zero at first; all who count into them use the same seed */
export function openRateSketch(words: Int32Array, cellsLog2: number, seed: number): RateSketch {
  const mask = 2 ** cellsLog2 - 1
  const rowWords = 2 ** cellsLog2 * WORDS_OF_CELL

  const visit = (key: string, windowMs: number, at: number, isCounted: boolean): number => {
    const third = Math.floor((at * THIRDS) / windowMs)
    const number = third % (NUMBER_MASK + 1)
    const { first, second } = hashKey(key, seed)
    const cellOf = (row: number): number =>
      row * rowWords + ((first + Math.imul(row, second | 1)) & mask) * WORDS_OF_CELL
    // Every row counts the hit before any is read: of two threads that overtake one another between the rows, each would find its
    // hit the first in one of them, and neither would see both.
    if (isCounted)
      for (let row = 0; row < ROWS; row += 1) countHit(words, cellOf(row) + (number % WORDS_OF_CELL), number)
    let fewest = Infinity
    for (let row = 0; row < ROWS; row += 1) {
      const hits = hitsOf(words, cellOf(row), number)
      if (hits < fewest) fewest = hits
    }
    return isCounted ? fewest : fewest + 1
  }
  return {
    count: (key, windowMs, at) => visit(key, windowMs, at, true),
    peek: (key, windowMs, at) => visit(key, windowMs, at, false),
  }
}

/** Swaps the word until no other thread came in between, so that no hit is lost. */
function countHit(words: Int32Array, at: number, number: number): void {
  for (;;) {
    const word = Atomics.load(words, at)
    const next = isCurrent(number - (word >>> 16)) ? plusOne(word) : (number << 16) | 1
    if (next === word || Atomics.compareExchange(words, at, word, next) === word) return
  }
}

const plusOne = (word: number): number => ((word & 0xffff) === HITS_MAX ? word : (word + 1) | 0)

/** Whether a word is of the window, by how many thirds it is older. A word of the near future is: another thread's clock is
 * ahead, and its hits must not be lost.
 */
function isCurrent(older: number): boolean {
  const thirds = older & NUMBER_MASK
  return thirds < WORDS_OF_CELL || thirds > NUMBER_MASK - WORDS_OF_CELL
}

function hitsOf(words: Int32Array, cell: number, number: number): number {
  let hits = 0
  for (let slot = 0; slot < WORDS_OF_CELL; slot += 1) {
    const word = Atomics.load(words, cell + slot)
    if (isCurrent(number - (word >>> 16))) hits += word & 0xffff
  }
  return hits
}
