import type { RuleErrorCode, RuleProblem } from './errors.ts'
import { findField } from './fields.ts'
import { ruleLimits } from './limits.ts'
import { quoteReference } from './lists.ts'
import type { Rule, RuleOp } from './rule.ts'
import { validateRule, type RuleUse } from './validate-rule.ts'

/** A mistake in the text form; columns count characters from 1. */
export type RuleTextProblem = RuleProblem & { readonly column: number }

export type ParsedRule =
  | { readonly kind: 'parsed'; readonly rule: Rule }
  | { readonly kind: 'invalid'; readonly errors: readonly RuleTextProblem[] }

/** Reads a rule in its text form and checks it as validateRule does.
 * @see docs/rules.md for the grammar
 * @example parseRule('country in (US, GB) and not is_proxy', { context: 'click' })
 */
export function parseRule(text: string, use: RuleUse): ParsedRule {
  const parser = new RuleParser(text)
  const parsed = parser.parse()
  if ('failure' in parsed) return { kind: 'invalid', errors: [parsed.failure] }
  const verdict = validateRule(parsed.tree, 'rule', use)
  if (verdict.kind === 'valid') return { kind: 'parsed', rule: verdict.rule }
  const { tree } = parsed
  return {
    kind: 'invalid',
    errors: verdict.errors.map((error) => ({ ...error, column: parser.columnOf(tree, error.path) })),
  }
}

/** A rule before its names and values were checked. */
type Draft =
  | { readonly all: readonly Draft[] }
  | { readonly any: readonly Draft[] }
  | { readonly not: Draft }
  | { readonly field: string; readonly op: RuleOp; readonly value: unknown }

type Token = {
  readonly kind: 'word' | 'quoted' | 'mark' | 'end'
  /** Quoted: what the quotes hold. */
  readonly text: string
  /** Index of its first character and of the one after it. */
  readonly start: number
  readonly end: number
}

/** Where the parts of a condition stand in the text. */
type Places = { readonly field: number; readonly op: number; readonly values: readonly number[] }

/** Ends the parsing; never leaves parse(). */
class SyntaxFailure extends Error {
  readonly problem: RuleTextProblem

  constructor(problem: RuleTextProblem) {
    super(problem.message)
    this.problem = problem
  }
}

/** Parentheses and `not` inside each other, with or without effect. */
const NESTING_MAX = 2 * ruleLimits.depth_max

const QUOTED = /"(?:[^"\\]|\\[^])*"/y
const WORD = /[^\s(),"]+/y
const PATTERN = /\/(?:[^/\\]|\\[^])+\//y

class RuleParser {
  readonly #text: string
  readonly #places = new WeakMap<Draft, Places>()
  #next: Token
  #nesting = 0

  constructor(text: string) {
    this.#text = text
    this.#next = { kind: 'end', text: '', start: 0, end: 0 }
  }

  parse(): { readonly tree: Draft } | { readonly failure: RuleTextProblem } {
    try {
      if (this.#text.length > ruleLimits.text_length_max)
        this.#fail(0, 'rule_too_large', `A rule has at most ${ruleLimits.text_length_max} characters.`)
      this.#next = this.#read(0)
      const tree = this.#alternatives()
      if (this.#next.kind !== 'end') this.#expect('"and", "or" or the end of the rule')
      return { tree }
    } catch (error) {
      if (error instanceof SyntaxFailure) return { failure: error.problem }
      throw error
    }
  }

  /** The column of the part that an error's path names. */
  columnOf(tree: Draft, path: string): number {
    let at: unknown = tree
    let places: Places | undefined
    for (const [, name, index] of path.matchAll(/\.(\w+)|\[(\d+)\]/g)) {
      if (places !== undefined && index !== undefined) return (places.values[Number(index)] ?? places.op) + 1
      const inner: unknown = (at as Readonly<Record<string, unknown>>)[name ?? index!]
      places = this.#places.get(at as Draft)
      if (places !== undefined && name === 'field') return places.field + 1
      if (places !== undefined && name === 'op') return places.op + 1
      at = inner
    }
    if (places !== undefined) return (places.values[0] ?? places.op) + 1
    return this.#firstColumn(at as Draft)
  }

  #firstColumn(tree: Draft): number {
    if ('all' in tree) return tree.all[0] === undefined ? 1 : this.#firstColumn(tree.all[0])
    if ('any' in tree) return tree.any[0] === undefined ? 1 : this.#firstColumn(tree.any[0])
    if ('not' in tree) return this.#firstColumn(tree.not)
    return (this.#places.get(tree)?.field ?? 0) + 1
  }

  #fail(index: number, code: RuleErrorCode, message: string): never {
    throw new SyntaxFailure({ path: 'rule', code, message, column: index + 1 })
  }

  #expect(what: string): never {
    const { kind, text, start, end } = this.#next
    const found = kind === 'end' ? 'the rule ends here' : `found ${this.#text.slice(start, Math.min(end, start + 40))}`
    return this.#fail(start, 'syntax', `Expected ${what}, but ${kind === 'end' || text !== '' ? found : 'found ""'}.`)
  }

  #read(from: number): Token {
    const start = from + /^\s*/.exec(this.#text.slice(from, from + 4_096))![0].length
    if (start - from === 4_096) return this.#read(start)
    if (start >= this.#text.length) return { kind: 'end', text: '', start: this.#text.length, end: this.#text.length }
    const first = this.#text[start]!
    if (first === '(' || first === ')' || first === ',') return { kind: 'mark', text: first, start, end: start + 1 }
    if (first === '"') return this.#readQuoted(start)
    WORD.lastIndex = start
    const [text] = WORD.exec(this.#text)!
    return { kind: 'word', text, start, end: start + text.length }
  }

  #readQuoted(start: number): Token {
    QUOTED.lastIndex = start
    const found = QUOTED.exec(this.#text)
    if (found === null) return this.#fail(start, 'syntax', 'Expected a " at the end of this text.')
    try {
      const text: unknown = JSON.parse(found[0])
      return { kind: 'quoted', text: String(text), start, end: start + found[0].length }
    } catch {
      return this.#fail(start, 'syntax', 'Expected a text as JSON writes it: \\" for a quote, \\\\ for a backslash.')
    }
  }

  #take(): Token {
    const token = this.#next
    this.#next = this.#read(token.end)
    return token
  }

  #isWord(word: string): boolean {
    return this.#next.kind === 'word' && this.#next.text.toLowerCase() === word
  }

  #isMark(mark: string): boolean {
    return this.#next.kind === 'mark' && this.#next.text === mark
  }

  #takeWord(word: string): boolean {
    if (!this.#isWord(word)) return false
    this.#take()
    return true
  }

  #takeMark(mark: string): boolean {
    if (!this.#isMark(mark)) return false
    this.#take()
    return true
  }

  #alternatives(): Draft {
    const parts = [this.#conjunction()]
    while (this.#takeWord('or')) parts.push(this.#conjunction())
    return parts.length === 1 ? parts[0]! : { any: parts }
  }

  #conjunction(): Draft {
    const parts = [this.#unary()]
    while (this.#takeWord('and')) parts.push(this.#unary())
    return parts.length === 1 ? parts[0]! : { all: parts }
  }

  #unary(): Draft {
    this.#nesting += 1
    if (this.#nesting > NESTING_MAX)
      this.#fail(this.#next.start, 'rule_too_deep', `Rules nest at most ${NESTING_MAX} parentheses and "not" deep.`)
    const part = this.#part()
    this.#nesting -= 1
    return part
  }

  #part(): Draft {
    if (this.#takeWord('not')) return { not: this.#unary() }
    if (this.#takeMark('(')) return this.#closed()
    if (this.#next.kind !== 'word') return this.#expect('a field, "not" or "("')
    const name = this.#take()
    if (this.#isMark('(') && (name.text === 'all' || name.text === 'any')) {
      const parts = this.#arguments()
      return name.text === 'all' ? { all: parts } : { any: parts }
    }
    return this.#condition(name)
  }

  #closed(): Draft {
    const inner = this.#alternatives()
    if (!this.#takeMark(')')) this.#expect('"and", "or" or ")"')
    return inner
  }

  /** `all(…)` and `any(…)`: for lists of one rule or none, which `and` and `or` cannot write. */
  #arguments(): readonly Draft[] {
    this.#take()
    const parts: Draft[] = []
    if (this.#takeMark(')')) return parts
    do parts.push(this.#alternatives())
    while (this.#takeMark(','))
    if (!this.#takeMark(')')) this.#expect('"," or ")"')
    return parts
  }

  #condition(name: Token): Draft {
    const at = this.#next.start
    const op = this.#op(name)
    if (op === undefined) return this.#place({ field: name.text, op: 'is', value: true }, name, name.start, [])
    if (op === 'exists') return this.#place({ field: name.text, op, value: true }, name, at, [])
    if (op === 'not_exists') return this.#place({ field: name.text, op: 'exists', value: false }, name, at, [])
    const places: number[] = []
    const value = this.#value(op, places)
    return this.#place({ field: name.text, op, value }, name, at, places)
  }

  #place(draft: Draft, name: Token, op: number, values: readonly number[]): Draft {
    this.#places.set(draft, { field: name.start, op, values })
    return draft
  }

  /** @returns undefined where a flag stands alone */
  #op(name: Token): RuleOp | 'not_exists' | undefined {
    if (this.#takeWord('is')) return this.#takeWord('not') ? 'is_not' : 'is'
    if (this.#takeWord('not')) {
      if (this.#takeWord('in')) return 'not_in'
      return this.#takeWord('exists') ? 'not_exists' : this.#failNegation(name)
    }
    for (const [first, op] of [
      ['starts', 'starts_with'],
      ['ends', 'ends_with'],
    ] as const)
      // prettier-ignore
      if (this.#takeWord(first)) return this.#takeWord('with') ? op : this.#expect('"with"')
    // `matches` is not taken yet: what follows it is read in another way.
    if (this.#isWord('matches')) return 'matches'
    for (const op of wordOps) if (this.#takeWord(op)) return op
    const kind = findField(name.text)?.kind
    if (kind === 'flag' || kind === 'reason') return undefined
    if (this.#next.kind !== 'end' || kind !== undefined) return this.#expect(`a comparison after ${name.text}: ${OPS}`)
    return this.#fail(name.start, 'syntax', `Expected a condition like "country is DE", but found ${name.text}.`)
  }

  /** `sub1 not contains x`, as many write it: most comparisons are negated as a whole. */
  #failNegation(name: Token): never {
    const { kind, text, start } = this.#next
    const words = kind === 'word' ? negatable.get(text.toLowerCase()) : undefined
    if (words === undefined) return this.#expect('"in" or "exists"')
    const message = `"not" stands before "in" and "exists" alone: write not (${name.text} ${words} …).`
    return this.#fail(start, 'syntax', message)
  }

  #value(op: RuleOp, places: number[]): unknown {
    if (op === 'matches') return this.#pattern(places)
    if (op === 'between') return this.#ends(places)
    const isList = op === 'in' || op === 'not_in'
    if (this.#takeMark('(')) return this.#values(places)
    const value = this.#scalar(places)
    return isList ? [value] : value
  }

  #values(places: number[]): readonly string[] {
    const values = [this.#scalar(places)]
    while (this.#takeMark(',')) values.push(this.#scalar(places))
    if (!this.#takeMark(')')) this.#expect('"," or ")"')
    return values
  }

  #scalar(places: number[]): string {
    if (this.#next.kind !== 'word' && this.#next.kind !== 'quoted') return this.#expect('a value')
    const { kind, text, start } = this.#take()
    places.push(start)
    return kind === 'quoted' ? quoteReference(text) : text
  }

  #ends(places: number[]): readonly (string | null)[] {
    const low = this.#end(places)
    if (!this.#takeWord('and')) this.#expect('"and" and the upper end')
    return [low, this.#end(places)]
  }

  /** `*` is an open end. */
  #end(places: number[]): string | null {
    const isOpen = this.#next.kind === 'word' && this.#next.text === '*'
    const text = this.#scalar(places)
    return isOpen ? null : text
  }

  #pattern(places: number[]): string {
    const { end } = this.#next
    const start = end + /^\s*/.exec(this.#text.slice(end, end + 4_096))![0].length
    PATTERN.lastIndex = start
    const found = PATTERN.exec(this.#text)
    if (found === null) {
      this.#next = this.#read(end)
      if (this.#next.kind === 'quoted') {
        places.push(this.#next.start)
        return this.#take().text
      }
      return this.#expect('a regular expression between slashes, like /^promo-\\d+/')
    }
    places.push(start)
    this.#next = this.#read(start + found[0].length)
    return found[0].slice(1, -1)
  }
}

const wordOps = ['in', 'contains', 'between', 'exists', 'is_not', 'not_in', 'starts_with', 'ends_with'] as const
/** Comparisons that cannot have "not" in their middle, by their first word. */
const negatable: ReadonlyMap<string, string> = new Map([
  ['contains', 'contains'],
  ['matches', 'matches'],
  ['between', 'between'],
  ['starts', 'starts with'],
  ['starts_with', 'starts with'],
  ['ends', 'ends with'],
  ['ends_with', 'ends with'],
])

const OPS = '"is", "in", "contains", "starts with", "ends with", "matches", "between", "exists" or "not"'
