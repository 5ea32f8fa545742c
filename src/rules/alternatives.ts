import type { RuleFacts } from './facts.ts'

export type ReadText = (facts: RuleFacts) => string

export type Likeness = 'is' | 'contains' | 'starts_with' | 'ends_with'

/** Whether the text of a field is like one of these. */
export type Alternative = {
  readonly read: ReadText
  readonly likeness: Likeness
  /** In lower case. */
  readonly texts: readonly string[]
  readonly test: (facts: RuleFacts) => boolean
}

/** Whether any of the alternatives holds. A filter of some hundred bytes is asked first, and the alternatives only where it cannot
 * say no: a rule whose turn comes once in a thousand clicks is in no cache of the processor, and each of its sets and patterns
 * takes half a dozen loads that wait for each other.
 */
export function testAlternatives(alternatives: readonly Alternative[]): (facts: RuleFacts) => boolean {
  const filter = makeFilter(alternatives)
  const tests = alternatives.map(({ test }) => test)
  return (facts) => {
    const count = filter[0]!
    for (let index = 0; index < count; index += 1) {
      const text = readers[filter[1 + 3 * index]!]!(facts)
      if (mayHold(filter, filter[2 + 3 * index]!, filter[3 + 3 * index]!, text) && tests[index]!(facts)) return true
    }
    return false
  }
}

/** Whether it can be of use: a part that is empty is in every text. */
export const isFilterable = ({ likeness, texts }: Omit<Alternative, 'test' | 'read'>): boolean =>
  likeness === 'is' || texts.every((text) => text !== '')

/** Readers by their number in filters: the filters of all rules share them, so that a rule brings no list of its own. */
const readers: ReadText[] = []
const numberOfReader = new Map<ReadText, number>()

function numberOf(read: ReadText): number {
  const known = numberOfReader.get(read)
  if (known !== undefined) return known
  numberOfReader.set(read, readers.length)
  return readers.push(read) - 1
}

/** Bits for each text; two of them are set, so that one text in some hundred is not told from the texts meant. */
const BITS_PER_TEXT = 32
const GRAM_MAX = 4
const LIKENESS_NUMBER = { is: 0, contains: 1, starts_with: 2, ends_with: 3 } as const satisfies Record<Likeness, number>

/** Count; for each alternative its reader, its kind (likeness + 4 × characters of a gram) and its place (first word × 32 +
 * base-2 logarithm of its words); then the bits. One piece of memory.
 */
function makeFilter(alternatives: readonly Alternative[]): Int32Array {
  const sizes = alternatives.map(({ texts }) => Math.ceil(Math.log2(Math.max(1, (texts.length * BITS_PER_TEXT) / 32))))
  const headWords = 1 + 3 * alternatives.length
  const filter = new Int32Array(sizes.reduce((sum, size) => sum + 2 ** size, headWords))
  filter[0] = alternatives.length
  let first = headWords
  for (const [index, { read, likeness, texts }] of alternatives.entries()) {
    const gram = likeness === 'is' ? 0 : Math.min(GRAM_MAX, ...texts.map((text) => text.length))
    const size = sizes[index]!
    filter.set([numberOf(read), LIKENESS_NUMBER[likeness] + 4 * gram, first * 32 + size], 1 + 3 * index)
    for (const text of texts) {
      const hash = gram === 0 ? hashOf(text) : hashOfGram(text, likeness === 'ends_with' ? text.length - gram : 0, gram)
      filter[first + wordOf(hash, size)]! |= bitsOf(hash)
    }
    first += 2 ** size
  }
  return filter
}

function mayHold(filter: Int32Array, kind: number, place: number, text: string): boolean {
  const gram = kind >> 2
  const last = text.length - gram
  switch (kind & 3) {
    case LIKENESS_NUMBER.is:
      return has(filter, place, hashOf(text))
    case LIKENESS_NUMBER.starts_with:
      return last >= 0 && has(filter, place, hashOfGram(text, 0, gram))
    case LIKENESS_NUMBER.ends_with:
      return last >= 0 && has(filter, place, hashOfGram(text, last, gram))
    default:
      for (let at = 0; at <= last; at += 1) if (has(filter, place, hashOfGram(text, at, gram))) return true
      return false
  }
}

function has(filter: Int32Array, place: number, hash: number): boolean {
  const bits = bitsOf(hash)
  return (filter[(place >> 5) + wordOf(hash, place & 31)]! & bits) === bits
}

const wordOf = (hash: number, size: number): number => (hash >>> 10) & ((1 << size) - 1)

const bitsOf = (hash: number): number => (1 << (hash & 31)) | (1 << ((hash >>> 5) & 31))

/** Characters of a whole text that are looked at: the last ones, in which long texts with the same beginning differ. */
const HASHED_CHARACTERS_MAX = 32

const hashOf = (text: string): number =>
  hashOfGram(text, Math.max(0, text.length - HASHED_CHARACTERS_MAX), Math.min(text.length, HASHED_CHARACTERS_MAX))

function hashOfGram(text: string, from: number, characters: number): number {
  let hash = 0x811c9dc5
  for (let at = from; at < from + characters; at += 1) hash = Math.imul(hash ^ text.charCodeAt(at), 0x01000193)
  return Math.imul(hash ^ (hash >>> 15), 0x85ebca6b) >>> 7
}
