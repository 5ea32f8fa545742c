/** A formula over metrics, as it was written. `column` is the place of a part in the text, 1 for its first character. */
export type Formula =
  | { readonly kind: 'number'; readonly value: Fraction; readonly column: number }
  | { readonly kind: 'metric'; readonly name: string; readonly column: number }
  | { readonly kind: 'negate'; readonly of: Formula; readonly column: number }
  | {
      readonly kind: 'arithmetic'
      readonly op: '+' | '-' | '*' | '/'
      readonly left: Formula
      readonly right: Formula
      readonly column: number
    }
  | {
      readonly kind: 'compare'
      readonly op: Comparison
      readonly left: Formula
      readonly right: Formula
      readonly column: number
    }
  | {
      readonly kind: 'logic'
      readonly op: 'and' | 'or'
      readonly left: Formula
      readonly right: Formula
      readonly column: number
    }
  | { readonly kind: 'not'; readonly of: Formula; readonly column: number }
  | { readonly kind: 'call'; readonly name: FunctionName; readonly args: readonly Formula[]; readonly column: number }

export type Comparison = '<' | '<=' | '>' | '>=' | '=' | '!='

/** Functions of formulas with the numbers of arguments that they take. */
export const formulaFunctions = {
  if: { min: 3, max: 3, meaning: 'if(condition, then, else)' },
  min: { min: 2, max: 10, meaning: 'the smallest; unknown where one is unknown' },
  max: { min: 2, max: 10, meaning: 'the largest; unknown where one is unknown' },
  abs: { min: 1, max: 1, meaning: 'without its sign' },
  round: { min: 1, max: 2, meaning: 'round(x) to a whole number, round(x, 2) to decimals, half away from zero' },
  coalesce: { min: 2, max: 10, meaning: 'the first that is known: coalesce(cr, 0)' },
} as const
export type FunctionName = keyof typeof formulaFunctions

/** An exact number: numerator and denominator, which is above 0. */
export type Fraction = { readonly over: bigint; readonly under: bigint }

/** What is wrong with a formula, and where. */
export class FormulaMistake extends Error {
  readonly column: number
  constructor(column: number, message: string) {
    super(message)
    this.column = column
  }
}

/** The names of the metrics that a formula asks for, each once. */
export function metricsOf(formula: Formula): readonly string[] {
  switch (formula.kind) {
    case 'number':
      return []
    case 'metric':
      return [formula.name]
    case 'negate':
    case 'not':
      return metricsOf(formula.of)
    case 'call':
      return [...new Set(formula.args.flatMap(metricsOf))]
    case 'arithmetic':
    case 'compare':
    case 'logic':
      return [...new Set([...metricsOf(formula.left), ...metricsOf(formula.right)])]
    default:
      return formula satisfies never
  }
}

/** The same formula over other metrics. */
export function renameMetrics(formula: Formula, rename: (name: string) => string): Formula {
  const again = (part: Formula): Formula => renameMetrics(part, rename)
  switch (formula.kind) {
    case 'number':
      return formula
    case 'metric':
      return { ...formula, name: rename(formula.name) }
    case 'negate':
    case 'not':
      return { ...formula, of: again(formula.of) }
    case 'call':
      return { ...formula, args: formula.args.map(again) }
    case 'arithmetic':
    case 'compare':
    case 'logic':
      return { ...formula, left: again(formula.left), right: again(formula.right) }
    default:
      return formula satisfies never
  }
}
