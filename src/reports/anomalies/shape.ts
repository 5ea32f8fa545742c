import type { Role } from '#accounts'

import type { Formula } from '../formula/index.ts'
import type { Measure } from '../measures.ts'
import { findDefinition, type Metric } from '../metrics.ts'

/** How a metric is made of sums, which is what can be put together for some hours and for some values: one sum, or one divided by
 * another.
 */
export type Shape = {
  readonly part: Formula
  /** Undefined: a sum. */
  readonly whole: Formula | undefined
  /** Whether it counts things: then chance alone spreads it as dice do. */
  readonly isOfCounts: boolean
}

/** Undefined: a percentile, a number of different clicks or a formula that is not made of sums. */
export function shapeOf(metric: Metric, role: Role): Shape | undefined {
  const definition = metric.definition(role)
  if (definition.kind === 'percentile') return undefined
  const formula: Formula =
    definition.kind === 'measure' ? { kind: 'metric', name: metric.name, column: 1 } : definition.formula
  const whole = formula.kind === 'arithmetic' && formula.op === '/' ? formula.right : undefined
  const part = formula.kind === 'arithmetic' && formula.op === '/' ? formula.left : formula
  const sums = [part, ...(whole === undefined ? [] : [whole])].map((one) => sumsOf(one, role))
  if (sums.some((one) => one === undefined)) return undefined
  return { part, whole, isOfCounts: sums.flat().every((measure) => measure?.unit === 'count') }
}

/** What is added up and subtracted; undefined: it is not only that. */
function sumsOf(formula: Formula, role: Role): readonly Measure[] | undefined {
  switch (formula.kind) {
    case 'metric':
      return sumsOfName(formula.name, role)
    case 'negate':
      return sumsOf(formula.of, role)
    case 'arithmetic': {
      if (formula.op === '/') return undefined
      if (formula.op === '*' && formula.left.kind !== 'number' && formula.right.kind !== 'number') return undefined
      const sides = [formula.left, formula.right].filter(({ kind }) => kind !== 'number')
      // A number that is added would count once for each group.
      if (formula.op !== '*' && sides.length < 2) return undefined
      const found = sides.map((side) => sumsOf(side, role))
      return found.some((one) => one === undefined) ? undefined : found.flatMap((one) => one ?? [])
    }
    case 'number':
    case 'compare':
    case 'logic':
    case 'not':
    case 'call':
      return undefined
    default:
      return formula satisfies never
  }
}

function sumsOfName(name: string, role: Role): readonly Measure[] | undefined {
  const definition = findDefinition(name, role)
  if (definition === undefined || definition.kind === 'percentile') return undefined
  if (definition.kind === 'formula') return sumsOf(definition.formula, role)
  return definition.measure.kind === 'sum' ? [definition.measure] : undefined
}
