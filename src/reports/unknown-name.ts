import type { Role } from '#accounts'
import { suggestWord } from '#platform/words'

import { visibleDimensions } from './dimensions.ts'
import { visibleMetrics } from './metrics.ts'

const whereListed = 'GET /v1/reports/schema lists them'

/** Says that there is no such metric, which one was probably meant of those that the role may see, and where they are listed.
 * @param own names of metrics by formula
 */
export const noMetric = (name: string, role: Role, own: readonly string[] = []): string =>
  said('metric', name, [...visibleMetrics(role).map((metric) => metric.name), ...own])

/** The same of a dimension, whatever it is asked for. */
export const noDimension = (name: string, role: Role, what = 'dimension'): string =>
  said(what, name, visibleDimensions(role).map((dimension) => dimension.name)) // prettier-ignore

function said(what: string, name: string, names: readonly string[]): string {
  const suggestion = suggestWord(name, names)
  return `there is no ${what} "${name}"; ${suggestion === undefined ? whereListed : `did you mean "${suggestion}"?`}`
}
