import type { Role } from '#accounts'

import { dimensions } from './dimensions.ts'
import { compileFormula, FormulaMistake, metricsOf, parseFormula, resultSql, type Formula } from './formula/index.ts'
import { findMetric, formatOf, metrics, type Format, type Metric } from './metrics.ts'
import { noMetric } from './unknown-name.ts'
import { everyone } from './visibility.ts'

/** A metric that somebody has made of others. */
export type CustomMetric = {
  readonly name: string
  readonly formula: string
  readonly title?: string | undefined
  readonly description?: string | undefined
  readonly format?: Format | undefined
}

export type DefinedMetric =
  | { readonly kind: 'metric'; readonly metric: Metric }
  | { readonly kind: 'invalid'; readonly of: 'name' | 'formula'; readonly message: string }
  /** The formula names a metric that the role may not see. */
  | { readonly kind: 'hidden'; readonly metric: string }

export const CUSTOM_METRIC_NAME = /^[a-z][a-z0-9_]{0,49}$/

/** Makes a metric of a formula over those of the registry, visible to whoever may see all of them.
 * @param role whose metrics the formula may name
 */
export function defineMetric(custom: CustomMetric, role: Role): DefinedMetric {
  if (!CUSTOM_METRIC_NAME.test(custom.name))
    return { kind: 'invalid', of: 'name', message: 'a name has 1 to 50 letters of a-z, digits and "_", a letter first' }
  if (metrics.has(custom.name)) return { kind: 'invalid', of: 'name', message: `there is a metric "${custom.name}" already` }
  if (dimensions.has(custom.name)) return { kind: 'invalid', of: 'name', message: `"${custom.name}" is a dimension` }
  const parsed = parseFormula(custom.formula)
  if (parsed.kind === 'invalid') return invalid(`character ${parsed.column}: ${parsed.message}`)
  if (metricsOf(parsed.formula).length === 0) return invalid('a formula names at least one metric')
  const used = metricsOf(parsed.formula).map((name) => ({ name, metric: findMetric(name) }))
  const unknown = used.find(({ metric }) => metric === undefined)
  if (unknown !== undefined) return invalid(noMetric(unknown.name, role))
  const hidden = used.find(({ metric }) => metric?.visibleTo.includes(role) !== true)
  if (hidden !== undefined) return { kind: 'hidden', metric: hidden.name }
  const visibleTo = everyone.filter((one) => used.every(({ metric }) => metric?.visibleTo.includes(one)))
  const result = unitOfFormula(parsed.formula)
  return 'message' in result ? invalid(result.message) : { kind: 'metric', metric: metricOf(custom, parsed.formula, result.unit, visibleTo) }
} // prettier-ignore

const invalid = (message: string): DefinedMetric => ({ kind: 'invalid', of: 'formula', message })

const metricOf = (custom: CustomMetric, formula: Formula, unit: Metric['unit'], visibleTo: readonly Role[]): Metric => ({
  ...{ name: custom.name, title: custom.title ?? custom.name, description: custom.description ?? '', unit, visibleTo },
  ...{ formula: custom.formula, format: custom.format ?? formatOf(unit), isDefault: false },
  definition: () => ({ kind: 'formula', formula }),
}) // prettier-ignore

/** The unit of a formula's result, found by compiling it over columns of the units of its metrics. */
function unitOfFormula(formula: Formula): { readonly unit: Metric['unit'] } | { readonly message: string } {
  try {
    return resultSql(
      compileFormula(formula, (name) => {
        const unit = findMetric(name)!.unit
        // A ratio is itself a quotient; only its lack of a unit matters here.
        return unit === 'ratio' ? { kind: 'formula', formula: QUOTIENT } : { kind: 'column', sql: '0', unit }
      }),
    )
  } catch (mistake) {
    if (mistake instanceof FormulaMistake) return { message: `character ${mistake.column}: ${mistake.message}` }
    throw mistake
  }
}

const QUOTIENT: Formula = {
  kind: 'arithmetic',
  op: '/',
  left: { kind: 'metric', name: 'clicks', column: 1 },
  right: { kind: 'metric', name: 'clicks', column: 1 },
  column: 1,
}
