/** Finds which of many fixed texts occur in a text, in one pass over it: an Aho–Corasick automaton with a table of all
 * transitions. ASCII letters are folded to lower case; a character outside printable ASCII matches nothing.
 */
export class LiteralScanner {
  readonly #transitions: Int32Array
  /** Per state: the literals that end there (directly or through suffixes). */
  readonly #endings: (readonly number[] | undefined)[]

  /** @param literals lower case, printable ASCII; the index of each is its number */
  constructor(literals: readonly string[]) {
    const trie = buildTrie(literals)
    this.#transitions = trie.transitions
    this.#endings = trie.endings
  }

  /** Calls `found` with the number of each literal in the text; a literal that occurs twice is told twice. */
  scan(text: string, found: (literal: number) => void): void {
    let state = 0
    for (let index = 0; index < text.length; index += 1) {
      state = this.#transitions[state * CLASSES + classOf(text.charCodeAt(index))]!
      const endings = this.#endings[state]
      if (endings !== undefined) for (const literal of endings) found(literal)
    }
  }
}

/** Classes of characters: 0 for what no literal holds, then printable ASCII. */
const CLASSES = 96

function classOf(code: number): number {
  if (code < 0x20 || code > 0x7e) return 0
  return code >= 0x41 && code <= 0x5a ? code + 0x20 - 0x1f : code - 0x1f
}

type Trie = { readonly transitions: Int32Array; readonly endings: (readonly number[] | undefined)[] }

function buildTrie(literals: readonly string[]): Trie {
  const statesMax = 1 + literals.reduce((sum, literal) => sum + literal.length, 0)
  const transitions = new Int32Array(statesMax * CLASSES)
  const endings: (number[] | undefined)[] = [undefined]
  for (const [number, literal] of literals.entries()) {
    let state = 0
    for (let index = 0; index < literal.length; index += 1) {
      const slot = state * CLASSES + classOf(literal.charCodeAt(index))
      if (transitions[slot] === 0) transitions[slot] = endings.push(undefined) - 1
      state = transitions[slot]!
    }
    endings[state] = [...(endings[state] ?? []), number]
  }
  linkSuffixes(transitions, endings)
  return { transitions: transitions.slice(0, endings.length * CLASSES), endings }
}

/** Completes the table breadth first: a missing transition goes where the longest proper suffix would go. */
function linkSuffixes(transitions: Int32Array, endings: (readonly number[] | undefined)[]): void {
  const suffixOf = new Int32Array(endings.length)
  const queue: number[] = []
  for (let c = 0; c < CLASSES; c += 1) if (transitions[c] !== 0) queue.push(transitions[c]!)
  for (let head = 0; head < queue.length; head += 1) {
    const state = queue[head]!
    const suffix = suffixOf[state]!
    if (endings[suffix] !== undefined) endings[state] = [...(endings[state] ?? []), ...endings[suffix]]
    for (let c = 0; c < CLASSES; c += 1) {
      const next = transitions[state * CLASSES + c]!
      const fallback = transitions[suffix * CLASSES + c]!
      if (next === 0) transitions[state * CLASSES + c] = fallback
      else {
        suffixOf[next] = fallback
        queue.push(next)
      }
    }
  }
}
