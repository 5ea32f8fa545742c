import type { RuleFacts } from './facts.ts'

export type ReadText = (facts: RuleFacts) => string

/** The text of a field is one of these words. */
export type WordAlternative = { readonly read: ReadText; readonly words: ReadonlySet<string> }

/** Bits of the filter for each word: about one text in 32 that is none of the words is looked up all the same. */
const BITS_PER_WORD = 32

/** Whether any of the alternatives holds. A filter of some hundred bytes is asked before the words: a rule whose turn comes once in a
 * thousand clicks is in no cache of the processor, and each set takes it half a dozen loads that wait for each other.
 */
export function testAlternatives(alternatives: readonly WordAlternative[]): (facts: RuleFacts) => boolean {
  const reads = alternatives.map(({ read }) => read)
  const sets = alternatives.map(({ words }) => words)
  const words = sets.reduce((sum, set) => sum + set.size, 0)
  const filter = new Int32Array(2 ** Math.ceil(Math.log2((words * BITS_PER_WORD) / 32 + 1)))
  for (const [index, set] of sets.entries()) {
    for (const word of set) {
      const bit = hashOf(word, index)
      filter[(bit >>> 5) & (filter.length - 1)]! |= 1 << (bit & 31)
    }
  }
  return (facts) => {
    for (let index = 0; index < reads.length; index += 1) {
      const text = reads[index]!(facts)
      const bit = hashOf(text, index)
      if ((filter[(bit >>> 5) & (filter.length - 1)]! & (1 << (bit & 31))) !== 0 && sets[index]!.has(text)) return true
    }
    return false
  }
}

/** Characters that are looked at: the last ones, in which long texts with the same beginning differ. */
const HASHED_CHARACTERS_MAX = 32

function hashOf(text: string, seed: number): number {
  let hash = Math.imul(text.length + 1, 0x9e3779b1) ^ Math.imul(seed + 1, 0x85ebca6b)
  for (let index = Math.max(0, text.length - HASHED_CHARACTERS_MAX); index < text.length; index += 1)
    hash = Math.imul(hash ^ text.charCodeAt(index), 0x01000193)
  return hash ^ (hash >>> 15)
}
