import { formatAmount } from '#platform/money'
import { evaluateRule, seenValue } from './evaluate-rule.ts'
import { uniqueScopes, findField } from './fields.ts'
import type { RuleFacts } from './facts.ts'
import type { RuleLists } from './lists.ts'
import type { Condition, Rule, RuleOp, RuleScalar, RuleValue } from './rule.ts'

/** What became of each part of a rule: a tree of the shape of the rule. */
export type TestedRule = {
  /** As a trace stores it: see listParts. */
  readonly part: number
  readonly isMet: boolean
} & (
  | { readonly kind: 'all' | 'any' | 'not'; readonly parts: readonly TestedRule[] }
  | {
      readonly kind: 'condition'
      readonly field: string
      readonly op: RuleOp
      readonly value: RuleValue
      /** What the facts say of the field: amounts as decimal text, the time as ISO 8601, where a visitor is new as a list of
       * words; null where it is not known.
       */
      readonly seen: RuleScalar | readonly string[] | null
    }
)

/** Evaluates every part of a rule, also those that no longer count, and says which held and what was seen. */
export function testRule(rule: Rule, facts: RuleFacts, lists?: RuleLists): TestedRule {
  return new RuleTest(facts, lists).part(rule)
}

class RuleTest {
  readonly #facts: RuleFacts
  readonly #lists: RuleLists | undefined
  #nextNumber = 0

  constructor(facts: RuleFacts, lists: RuleLists | undefined) {
    this.#facts = facts
    this.#lists = lists
  }

  part(rule: Rule): TestedRule {
    const part = this.#nextNumber++
    if ('all' in rule) {
      const parts = rule.all.map((one) => this.part(one))
      return { part, kind: 'all', isMet: parts.every(({ isMet }) => isMet), parts }
    }
    if ('any' in rule) {
      const parts = rule.any.map((one) => this.part(one))
      return { part, kind: 'any', isMet: parts.some(({ isMet }) => isMet), parts }
    }
    if ('not' in rule) {
      const inner = this.part(rule.not)
      return { part, kind: 'not', isMet: !inner.isMet, parts: [inner] }
    }
    return { part, kind: 'condition', isMet: evaluateRule(rule, this.#facts, this.#lists), ...this.#describe(rule) }
  }

  #describe(condition: Condition): Condition & { readonly seen: RuleScalar | readonly string[] | null } {
    return { field: condition.field, op: condition.op, value: condition.value, seen: seenIn(condition, this.#facts) }
  }
}

function seenIn({ field: name }: Condition, facts: RuleFacts): RuleScalar | readonly string[] | null {
  const field = findField(name)
  if (field === undefined) return null
  if (field.kind === 'scope') return uniqueScopes.filter((scope) => facts.isUnique?.(scope) === true)
  const seen = seenValue(field, facts)
  if (field.kind === 'time') return new Date(facts.at).toISOString()
  return field.kind === 'money' && typeof seen === 'number' ? formatAmount(BigInt(seen)) : (seen ?? null)
}
