/** A rule in its JSON form: a tree of conditions over what is known of a click, event, conversion or report row. */
export type Rule =
  { readonly all: readonly Rule[] } | { readonly any: readonly Rule[] } | { readonly not: Rule } | Condition

/** One comparison. `field` is a name of the registry (ruleFields, `sub2.<key>`, `query.<name>`). */
export type Condition = {
  readonly field: string
  readonly op: RuleOp
  /** One value; for `in`, `not_in` and the text operators a list of them, any of which may fit; for `between` the two closed
   * ends, an open end being null; for `exists` true or false. `@name` is a list of the configuration, `@@…` a text that begins with `@`.
   */
  readonly value: RuleValue
}

export type RuleScalar = string | number | boolean
export type RuleValue = RuleScalar | readonly (RuleScalar | null)[]

export const ruleOps = [
  'is', 'is_not', 'in', 'not_in', 'contains', 'starts_with', 'ends_with', 'matches', 'between', 'exists',
] as const // prettier-ignore
export type RuleOp = (typeof ruleOps)[number]

/** What a rule is evaluated for: which fields it may ask for. */
export const ruleContexts = ['click', 'event', 'conversion', 'report'] as const
export type RuleContext = (typeof ruleContexts)[number]

/** The parts of a rule in the order of their numbers: as written, each `all`, `any` and `not` before what it holds. */
export function listParts(rule: Rule): readonly Rule[] {
  if ('all' in rule) return [rule, ...rule.all.flatMap(listParts)]
  if ('any' in rule) return [rule, ...rule.any.flatMap(listParts)]
  if ('not' in rule) return [rule, ...listParts(rule.not)]
  return [rule]
}

/** The values of a condition, whether it holds one or several. */
export const valuesOf = (value: RuleValue): readonly (RuleScalar | null)[] =>
  typeof value === 'object' ? value : [value]
