import { LiteralScanner } from './literal-scanner.ts'
import { requiredLiterals } from './required-literals.ts'

/** One rule of a list: the first whose expression matches decides. */
export type PatternRule = { readonly pattern: RegExp }

/** Ordered rules, of which only those are tried whose fixed text occurs. Gives the same answer as trying all in order. */
export class RuleList<Rule extends PatternRule> {
  readonly #rules: readonly Rule[]
  readonly #scanner: LiteralScanner
  /** Per literal: the rules that need it. */
  readonly #rulesOfLiteral: readonly (readonly number[])[]
  /** Rules without a required literal, in order. */
  readonly #alwaysTried: readonly number[]

  constructor(rules: readonly Rule[]) {
    this.#rules = rules
    const index = new Map<string, number[]>()
    const alwaysTried: number[] = []
    for (const [number, { pattern }] of rules.entries()) {
      const literals = requiredLiterals(pattern.source)
      if (literals === undefined) alwaysTried.push(number)
      for (const literal of literals ?? []) index.set(literal, [...(index.get(literal) ?? []), number])
    }
    this.#scanner = new LiteralScanner([...index.keys()])
    this.#rulesOfLiteral = [...index.values()]
    this.#alwaysTried = alwaysTried
  }

  /** The first rule that matches, and how. */
  first(text: string): { rule: Rule; matched: RegExpExecArray } | undefined {
    for (const number of this.#candidates(text)) {
      const rule = this.#rules[number]!
      const matched = rule.pattern.exec(text)
      if (matched !== null) return { rule, matched }
    }
    return undefined
  }

  #candidates(text: string): Iterable<number> {
    const candidates = new Set(this.#alwaysTried)
    this.#scanner.scan(text, (literal) => {
      for (const number of this.#rulesOfLiteral[literal]!) candidates.add(number)
    })
    return Uint16Array.from(candidates).sort()
  }

  /** How many rules have to be tried on every text: the cost that the filter cannot save. */
  get alwaysTriedCount(): number {
    return this.#alwaysTried.length
  }
}
