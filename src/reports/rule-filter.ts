import type { Tenant } from '#accounts'
import { listParts, parseRule, ruleToSql, type Rule, type RuleLists } from '#rules'

import type { CompiledQuery } from './compile-report.ts'
import { findDimension } from './dimensions.ts'
import { factsTables, type FactsTable } from './metrics.ts'

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
    const compiled = ruleToSql(parsed.rule, { table, lists, prefix: `rule_${table}` })
    if (compiled.kind === 'sql') filter[table] = { sql: compiled.sql, params: compiled.params }
    else if (needed.includes(table))
      return { kind: 'invalid', detail: `${compiled.message} Ask for other metrics, or for less.` }
  }
  return { kind: 'filter', filter }
}

function hiddenField(rule: Rule, { role }: Tenant): string | undefined {
  if (role !== 'affiliate') return undefined
  const fields = listParts(rule).flatMap((part) => ('field' in part ? [part.field] : []))
  return fields.find(
    (field) => !ASKED_BY_AFFILIATES.has(field) && findDimension(field)?.visibleTo.includes(role) !== true,
  )
}
