import type { Tenant } from '#accounts'
import {
  findField,
  listParts,
  parseRule,
  ruleToSql,
  type Rule,
  type RuleLists,
  type RuleSqlOptions,
  type RuleValue,
} from '#rules'

import type { CompiledQuery } from './compile-report.ts'
import { findDimension } from './dimensions.ts'
import { factsTables, type FactsTable } from './measures.ts'

/** A rule as a condition on the rows of each table that holds what it asks for. */
export type RuleFilter = Readonly<Partial<Record<FactsTable, CompiledQuery>>>

export type ParsedFilter =
  | { readonly kind: 'filter'; readonly filter: RuleFilter }
  | { readonly kind: 'invalid'; readonly detail: string }
  | { readonly kind: 'forbidden'; readonly field: string }

/** What an affiliate may ask for besides the dimensions that it sees. */
const ASKED_BY_AFFILIATES: ReadonlySet<string> = new Set([
  'continent', 'time', 'unique', 'type', 'goal', 'status', 'payout', 'currency', 'ctit_seconds',
]) // prettier-ignore

/** Reads the rule of a report's `filter`.
 * @param lists those that `@name` means; undefined: the tenant may not see them, and `@name` is a text
 * @param needed tables that the report adds up
 */
export function parseRuleFilter(
  text: string,
  tenant: Tenant,
  lists: RuleLists | undefined,
  needed: readonly FactsTable[],
): ParsedFilter {
  const parsed = parseRule(text, { context: 'report', lists })
  if (parsed.kind === 'invalid') {
    const [{ column, message }] = parsed.errors as [(typeof parsed.errors)[number]]
    return { kind: 'invalid', detail: `character ${column}: ${message}` }
  }
  const hidden = hiddenField(parsed.rule, tenant)
  if (hidden !== undefined) return { kind: 'forbidden', field: hidden }
  const filter: { [table in FactsTable]?: CompiledQuery } = {}
  for (const table of factsTables) {
    // A share of a cost has the columns of its click.
    const columnsOf = table === 'costs' ? 'clicks' : table
    const compiled = ruleToSql(parsed.rule, { table: columnsOf, lists, prefix: `rule_${table}` })
    if (compiled.kind === 'sql')
      filter[table] = withNarrow(compiled, parsed.rule, { table: columnsOf, lists, prefix: `narrow_${table}` })
    else if (needed.includes(table))
      return { kind: 'invalid', detail: `${compiled.message} Ask for other metrics, or for less.` }
  }
  return { kind: 'filter', filter }
}

/** Names the first condition of a rule that leaves few rows as a matter of experience. */
function withNarrow({ sql, params }: CompiledQuery, rule: Rule, options: RuleSqlOptions): CompiledQuery {
  const condition = ('all' in rule ? rule.all : [rule]).find(isNarrow)
  const narrow = condition && ruleToSql(condition, options)
  return narrow?.kind === 'sql' ? { sql, params: { ...params, ...narrow.params }, narrow: narrow.sql } : { sql, params }
}

/** Most rows have a currency, and a continent is a long list of countries. */
const WIDE: ReadonlySet<string> = new Set(['currency', 'continent'])

function isNarrow(rule: Rule): boolean {
  if (!('field' in rule) || (rule.op !== 'is' && rule.op !== 'in')) return false
  const field = findField(rule.field)
  return (field?.kind === 'text' || field?.kind === 'word') && !WIDE.has(field.name)
}

/** What of a rule the tenant may not ask for, as people write it. */
function hiddenField(rule: Rule, { role }: Tenant): string | undefined {
  if (role === 'owner') return undefined
  const conditions = listParts(rule).flatMap((part) => ('field' in part ? [part] : []))
  if (conditions.some(({ field, value }) => field === 'unique' && !isOfOwnScope(value))) return 'unique is global'
  if (role !== 'affiliate') return undefined
  return conditions.find(
    ({ field }) => !ASKED_BY_AFFILIATES.has(field) && findDimension(field)?.visibleTo.includes(role) !== true,
  )?.field
}

const OWN_SCOPES: ReadonlySet<unknown> = new Set(['campaign', 'offer'])

/** New to a campaign or an offer, and not to everybody's together. */
const isOfOwnScope = (value: RuleValue): boolean => [value].flat().every((scope) => OWN_SCOPES.has(scope))
