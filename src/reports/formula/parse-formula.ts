import { reportLimits } from '../limits.ts'
import {
  FormulaMistake,
  formulaFunctions,
  type Comparison,
  type Formula,
  type Fraction,
  type FunctionName,
} from './formula.ts'
import { readTokens, type Token } from './tokens.ts'

/** Characters of a formula. */
export const FORMULA_LENGTH_MAX = reportLimits.formulaCharactersMax
/** Numbers, names, signs and brackets of a formula. */
const FORMULA_PARTS_MAX = reportLimits.formulaPartsMax
/** Brackets, functions and signs inside each other. */
const DEPTH_MAX = 30

export type ParsedFormula =
  | { readonly kind: 'formula'; readonly formula: Formula }
  /** @param column 1 for the first character */
  | { readonly kind: 'invalid'; readonly column: number; readonly message: string }

/** Reads `(revenue - cost) / clicks`, `clicks > 100 and cr < 2%` and the like. Never throws.
 *
 * From loose to tight: `or`, `and`, `not`, a comparison, `+ -`, `* /`, a sign. Names of metrics are not looked up.
 */
export function parseFormula(text: string): ParsedFormula {
  try {
    if (text.length > FORMULA_LENGTH_MAX)
      throw new FormulaMistake(FORMULA_LENGTH_MAX + 1, `a formula has at most ${FORMULA_LENGTH_MAX} characters`)
    const tokens = readTokens(text)
    const tooMany = tokens[FORMULA_PARTS_MAX]
    if (tooMany !== undefined)
      throw new FormulaMistake(tooMany.column, `a formula has at most ${FORMULA_PARTS_MAX} parts`)
    return { kind: 'formula', formula: new Reader(tokens).whole() }
  } catch (mistake) {
    if (mistake instanceof FormulaMistake) return { kind: 'invalid', column: mistake.column, message: mistake.message }
    throw mistake
  }
}

const COMPARISONS: ReadonlySet<string> = new Set(['<', '<=', '>', '>=', '=', '!='])

class Reader {
  readonly #tokens: readonly Token[]
  #at = 0
  #depth = 0

  constructor(tokens: readonly Token[]) {
    this.#tokens = tokens
  }

  whole(): Formula {
    const formula = this.#or()
    if (this.#next.kind !== 'end') throw this.#unexpected('an operator such as + or the end')
    return formula
  }

  get #next(): Token {
    return this.#tokens[this.#at]!
  }

  #take(): Token {
    return this.#tokens[this.#at++]!
  }

  #isSign(...signs: readonly string[]): boolean {
    return this.#next.kind === 'sign' && signs.includes(this.#next.text)
  }

  #isWord(word: string): boolean {
    const { kind, text, isQuoted } = this.#next
    return kind === 'name' && isQuoted !== true && text.toLowerCase() === word
  }

  #expect(sign: string): void {
    if (!this.#isSign(sign)) throw this.#unexpected(`"${sign}"`)
    this.#at++
  }

  #unexpected(expected: string): FormulaMistake {
    const { kind, text, column } = this.#next
    return new FormulaMistake(column, `expected ${expected} and found ${kind === 'end' ? 'the end' : `"${text}"`}`)
  }

  #deeper(read: () => Formula): Formula {
    if (++this.#depth > DEPTH_MAX)
      throw new FormulaMistake(this.#next.column, `more than ${DEPTH_MAX} brackets inside each other`)
    const formula = read()
    this.#depth--
    return formula
  }

  #or(): Formula {
    return this.#joined('or', () => this.#joined('and', () => this.#not()))
  }

  #joined(op: 'and' | 'or', read: () => Formula): Formula {
    let left = read()
    while (this.#isWord(op)) {
      const { column } = this.#take()
      left = { kind: 'logic', op, left, right: read(), column }
    }
    return left
  }

  #not(): Formula {
    if (!this.#isWord('not')) return this.#comparison()
    const { column } = this.#take()
    return { kind: 'not', of: this.#deeper(() => this.#not()), column }
  }

  #comparison(): Formula {
    const left = this.#arithmetic(['+', '-'], () => this.#product())
    if (this.#next.kind !== 'sign' || !COMPARISONS.has(this.#next.text)) return left
    const { text, column } = this.#take()
    const right = this.#arithmetic(['+', '-'], () => this.#product())
    return { kind: 'compare', op: text as Comparison, left, right, column }
  }

  #product(): Formula {
    return this.#arithmetic(['*', '/'], () => this.#signed())
  }

  #arithmetic(ops: readonly ('+' | '-' | '*' | '/')[], read: () => Formula): Formula {
    let left = read()
    while (this.#isSign(...ops)) {
      const { text, column } = this.#take()
      left = { kind: 'arithmetic', op: text as '+' | '-' | '*' | '/', left, right: read(), column }
    }
    return left
  }

  #signed(): Formula {
    if (!this.#isSign('-', '+')) return this.#primary()
    const { text, column } = this.#take()
    const of = this.#deeper(() => this.#signed())
    return text === '+' ? of : { kind: 'negate', of, column }
  }

  #primary(): Formula {
    const { kind, text, column, isPercent, isQuoted } = this.#next
    if (kind === 'number') {
      this.#at++
      return { kind: 'number', value: readFraction(text, isPercent === true), column }
    }
    if (kind === 'name') {
      this.#at++
      return isQuoted !== true && this.#isSign('(') ? this.#call(text, column) : { kind: 'metric', name: text, column }
    }
    if (!this.#isSign('(')) throw this.#unexpected('a metric, a number or "("')
    this.#at++
    const inner = this.#deeper(() => this.#or())
    this.#expect(')')
    return inner
  }

  #call(text: string, column: number): Formula {
    const name = text.toLowerCase()
    if (!Object.hasOwn(formulaFunctions, name))
      throw new FormulaMistake(column, `there is no function "${text}"; there are ${Object.keys(formulaFunctions).join(', ')}`) // prettier-ignore
    const { min, max, meaning } = formulaFunctions[name as FunctionName]
    const args = this.#args()
    if (args.length < min || args.length > max)
      throw new FormulaMistake(column, `${name} takes ${min === max ? min : `${min} to ${max}`} values: ${meaning}`)
    return { kind: 'call', name: name as FunctionName, args, column }
  }

  #args(): readonly Formula[] {
    this.#expect('(')
    const args = [this.#deeper(() => this.#or())]
    while (this.#isSign(',')) {
      this.#at++
      args.push(this.#deeper(() => this.#or()))
    }
    this.#expect(')')
    return args
  }
}

function readFraction(text: string, isPercent: boolean): Fraction {
  const [whole = '', decimals = ''] = text.split('.')
  return { over: BigInt(whole + decimals), under: 10n ** BigInt(decimals.length) * (isPercent ? 100n : 1n) }
}
