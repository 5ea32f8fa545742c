import type { Tenant } from '#accounts'
import {
  findDimension,
  isOfTime,
  noDimension,
  parseRuleFilter,
  type Dimension,
  type FactsTable,
  type RuleFilter,
} from '#reports'
import type { RuleLists } from '#rules'

import { liveLimits } from './limits.ts'

export const liveWindows = ['second', 'minute'] as const
export type LiveWindow = (typeof liveWindows)[number]
export const liveTables = ['clicks', 'events', 'conversions'] as const satisfies readonly FactsTable[]
export type LiveTable = (typeof liveTables)[number]

/** What somebody wants to see as it happens, all text. */
export type AskedLive = {
  readonly counts?: readonly string[] | undefined
  readonly rows?: readonly string[] | undefined
  readonly of?: readonly string[] | undefined
  readonly filter?: string | undefined
  readonly group_by?: string | undefined
  readonly top?: number | undefined
  readonly rate?: number | undefined
}

/** The same, checked. */
export type LiveQuestion = {
  readonly tenant: Tenant
  /** Lengths of the windows that are counted; none: no counts. */
  readonly counts: readonly LiveWindow[]
  /** Tables that are counted. */
  readonly of: readonly LiveTable[]
  /** Tables whose rows are shown one by one. */
  readonly rows: readonly LiveTable[]
  readonly rule: RuleFilter | undefined
  readonly dimension: Dimension | undefined
  /** Values of the dimension in each window. */
  readonly top: number
  /** Rows of each table a second. */
  readonly rate: number
}

export type ParsedLive =
  | { readonly kind: 'asked'; readonly question: LiveQuestion }
  | { readonly kind: 'invalid' | 'forbidden'; readonly path: string; readonly detail: string }

type Refusal = Exclude<ParsedLive, { kind: 'asked' }>
const invalid = (path: string, detail: string): Refusal => ({ kind: 'invalid', path, detail })

/** Checks a question against the registries and the tenant's role. Pure.
 * @param lists those that a rule may name; undefined: none
 */
export function parseLive(asked: AskedLive, tenant: Tenant, lists: RuleLists | undefined): ParsedLive {
  const rows = readNames(asked.rows ?? [], liveTables)
  if (!Array.isArray(rows)) return invalid('rows', rows as string)
  const counts = readNames(asked.counts ?? (rows.length === 0 ? ['second'] : []), liveWindows)
  if (!Array.isArray(counts)) return invalid('counts', counts as string)
  const of = readNames(asked.of ?? liveTables, liveTables)
  if (!Array.isArray(of)) return invalid('of', of as string)
  if (counts.length + rows.length === 0) return invalid('counts', 'ask for counts, for rows or for both')
  const dimension = readDimension(asked.group_by, tenant)
  if (dimension !== undefined && 'detail' in dimension) return dimension
  const needed = liveTables.filter((table) => (counts.length > 0 && of.includes(table)) || rows.includes(table))
  const rule = readRule(asked.filter, tenant, lists, needed)
  if (rule !== undefined && 'detail' in rule) return rule as Refusal
  const { top = liveLimits.topDefault, rate = liveLimits.rowsPerSecondDefault } = asked
  return { kind: 'asked', question: { tenant, counts, of, rows, rule: rule as RuleFilter | undefined, dimension, top, rate } } // prettier-ignore
}

/** @returns what is wrong, where something is */
function readNames<Name extends string>(given: readonly string[], known: readonly Name[]): readonly Name[] | string {
  const unknown = given.find((name) => !known.some((one) => one === name))
  return unknown === undefined
    ? known.filter((name) => given.includes(name))
    : `there is no "${unknown}": ${known.join(', ')}`
}

function readDimension(name: string | undefined, { role }: Tenant): Dimension | Refusal | undefined {
  if (name === undefined) return undefined
  const dimension = findDimension(name)
  if (dimension === undefined) return invalid('group_by', noDimension(name, role))
  if (isOfTime(dimension)) return invalid('group_by', `"${name}" is a time: the windows are those of \`counts\``)
  if (dimension.visibleTo.includes(role)) return dimension
  return { kind: 'forbidden', path: 'group_by', detail: `"${name}" is not shown to an ${role}` }
}

function readRule(
  text: string | undefined,
  tenant: Tenant,
  lists: RuleLists | undefined,
  needed: readonly LiveTable[],
): RuleFilter | Refusal | undefined {
  if (text === undefined) return undefined
  const parsed = parseRuleFilter(text, tenant, lists, needed)
  if (parsed.kind === 'filter') return parsed.filter
  if (parsed.kind === 'invalid') return invalid('filter', parsed.detail)
  return { kind: 'forbidden', path: 'filter', detail: `"${parsed.field}" is not shown to an ${tenant.role}` }
}
