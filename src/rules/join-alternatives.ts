import { valuesOf, type Condition, type Rule, type RuleOp } from './rule.ts'

/** The comparison with several values that means the same as alternatives of this one; undefined: there is none. */
const JOINED_OP: Readonly<Partial<Record<RuleOp, RuleOp>>> = {
  is: 'in',
  in: 'in',
  contains: 'contains',
  starts_with: 'starts_with',
  ends_with: 'ends_with',
}

/** Alternatives that mean the same with one comparison for each field: a look-up in a set instead of one comparison after the
 * other, each of them somewhere else in memory.
 */
export function joinAlternatives(rules: readonly Rule[]): readonly Rule[] {
  const joined = new Map<string, Rule | Condition[]>()
  for (const [index, rule] of rules.entries()) {
    const op = 'field' in rule ? JOINED_OP[rule.op] : undefined
    const key = 'field' in rule && op !== undefined ? `${op} ${rule.field}` : String(index)
    const others = joined.get(key)
    if (!('field' in rule) || op === undefined) joined.set(key, rule)
    else if (Array.isArray(others)) others.push(rule)
    else joined.set(key, [rule])
  }
  return [...joined.values()].map((one) => (Array.isArray(one) ? joinConditions(one) : one))
}

function joinConditions(conditions: readonly Condition[]): Condition {
  const [first] = conditions
  if (conditions.length === 1) return first!
  return { field: first!.field, op: JOINED_OP[first!.op]!, value: conditions.flatMap(({ value }) => valuesOf(value)) }
}
