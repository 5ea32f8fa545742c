/** Which fixed text a regular expression cannot match without, so that a text is tried against the few expressions whose
 * text it holds instead of all of them (the idea of RE2's prefilter). Pure.
 */

type Node =
  | { readonly kind: 'char'; readonly char: string }
  | { readonly kind: 'any' }
  | { readonly kind: 'nothing' }
  | { readonly kind: 'group'; readonly branches: readonly (readonly Node[])[] }

/** Shorter texts occur in nearly every user agent and filter nothing. */
const LITERAL_LENGTH_MIN = 2
/** An expression with more alternatives than this is simply always tried. */
const LITERALS_MAX = 400

/** Fixed texts, lower case, of which every match of the expression holds at least one.
 * @param source a regular expression as JavaScript takes it, without flags
 * @returns undefined where there is no such list, so that the expression must always be tried
 */
export function requiredLiterals(source: string): readonly string[] | undefined {
  const reader = new PatternReader(source)
  const branches = reader.readBranches()
  if (!reader.isAtEnd) return undefined
  const literals = ofBranches(branches)
  return literals !== undefined && literals.length <= LITERALS_MAX ? [...new Set(literals)] : undefined
}

function ofBranches(branches: readonly (readonly Node[])[]): readonly string[] | undefined {
  const all: string[] = []
  for (const branch of branches) {
    const literals = ofSequence(branch)
    if (literals === undefined) return undefined
    all.push(...literals)
  }
  return all
}

/** The best candidate of a sequence: every part of it must occur, so any one part will do. */
function ofSequence(nodes: readonly Node[]): readonly string[] | undefined {
  let best: readonly string[] | undefined
  let run = ''
  const offer = (candidate: readonly string[] | undefined): void => {
    if (candidate !== undefined && strength(candidate) > strength(best)) best = candidate
  }
  for (const node of nodes) {
    if (node.kind === 'nothing') continue
    if (node.kind === 'char') {
      run += node.char
      continue
    }
    if (run.length >= LITERAL_LENGTH_MIN) offer([run])
    run = ''
    if (node.kind === 'group') offer(ofBranches(node.branches))
  }
  if (run.length >= LITERAL_LENGTH_MIN) offer([run])
  return best
}

/** Long texts are rare, and few are cheaper than many. */
function strength(literals: readonly string[] | undefined): number {
  if (literals === undefined || literals.length === 0) return 0
  const shortest = Math.min(...literals.map((literal) => literal.length))
  return shortest - Math.log2(literals.length) / 4
}

/** Reads the part of the syntax that matters here; what it does not know becomes `any`, which promises nothing. */
class PatternReader {
  readonly #source: string
  #position = 0

  constructor(source: string) {
    this.#source = source
  }

  get isAtEnd(): boolean {
    return this.#position >= this.#source.length
  }

  readBranches(): Node[][] {
    const branches: Node[][] = [[]]
    while (!this.isAtEnd && this.#peek() !== ')') {
      if (this.#peek() === '|') {
        this.#position += 1
        branches.push([])
        continue
      }
      branches.at(-1)!.push(...this.#readQuantified())
    }
    return branches
  }

  #peek(): string {
    return this.#source.charAt(this.#position)
  }

  #take(): string {
    return this.#source.charAt(this.#position++)
  }

  #readQuantified(): readonly Node[] {
    const node = this.#readAtom()
    const repeats = this.#readQuantifier()
    if (repeats === undefined) return [node]
    if (repeats.min === 0) return [{ kind: 'any' }]
    // What repeats may stand between its first occurrence and the next text: `ab+c` holds "ab", not "abc".
    return repeats.isExactlyOnce ? [node] : [node, { kind: 'any' }]
  }

  #readQuantifier(): { min: number; isExactlyOnce: boolean } | undefined {
    const matched = /^(?:[*+?]|\{(\d+)(,\d*)?\})\??/.exec(this.#source.slice(this.#position))
    if (matched === null) return undefined
    this.#position += matched[0].length
    if (matched[1] === undefined) return { min: matched[0].startsWith('+') ? 1 : 0, isExactlyOnce: false }
    return { min: Number(matched[1]), isExactlyOnce: matched[1] === '1' && matched[2] === undefined }
  }

  #readAtom(): Node {
    const char = this.#take()
    if (char === '(') return this.#readGroup()
    if (char === '[') return this.#readClass()
    if (char === '\\') return this.#readEscape()
    if (char === '^' || char === '$') return { kind: 'nothing' }
    if (char === '.') return { kind: 'any' }
    return literal(char)
  }

  #readGroup(): Node {
    const isAssertion = /^\?(?:=|!|<=|<!)/.test(this.#source.slice(this.#position))
    const prefix = /^\?(?::|=|!|<=|<!|<[A-Za-z_]\w*>)/.exec(this.#source.slice(this.#position))
    if (prefix !== null) this.#position += prefix[0].length
    const branches = this.readBranches()
    this.#position += 1
    return isAssertion ? { kind: 'nothing' } : { kind: 'group', branches }
  }

  /** A class of one character, in either case, is that character; `[Bb]` is how uap-core writes "b or B". */
  #readClass(): Node {
    const start = this.#position
    while (!this.isAtEnd && this.#peek() !== ']') this.#position += this.#peek() === '\\' ? 2 : 1
    const members = this.#source.slice(start, this.#position)
    this.#position += 1
    const folded = new Set(members.toLowerCase())
    const isPlain = /^[A-Za-z ]+$/.test(members)
    return isPlain && folded.size === 1 ? literal(members[0]!) : { kind: 'any' }
  }

  #readEscape(): Node {
    const char = this.#take()
    if (char === 'b' || char === 'B') return { kind: 'nothing' }
    return /[A-Za-z0-9]/.test(char) ? { kind: 'any' } : literal(char)
  }
}

/** Only ASCII is folded by the scanner, so nothing else may be required. */
function literal(char: string): Node {
  return char >= ' ' && char <= '~' ? { kind: 'char', char: char.toLowerCase() } : { kind: 'any' }
}
