import { formatAmount } from '#platform/money'
import { compileRule, MET } from './compile-rule.ts'
import { seenValue } from './evaluate-rule.ts'
import { uniqueScopes, findField } from './fields.ts'
import type { RuleFacts } from './facts.ts'
import type { RuleLists } from './lists.ts'
import type { Condition, Rule, RuleOp, RuleScalar, RuleValue } from './rule.ts'

/** What became of each part of a rule: a tree of the shape of the rule. */
export type TestedRule = {
  /** As a trace stores it: see listParts. */
  readonly part: number
  /** As mistakes name it: `rule.all[1].not`. */
  readonly path: string
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

/** Evaluates every part of a rule, also those that no longer count, and says which held and what was seen. The rule must be one that
 * validateRule took.
 */
export function testRule(rule: Rule, facts: RuleFacts, lists?: RuleLists): TestedRule {
  return new RuleTest(facts, lists).part(rule, 'rule')
}

class RuleTest {
  readonly #facts: RuleFacts
  readonly #lists: RuleLists | undefined
  #nextNumber = 0

  constructor(facts: RuleFacts, lists: RuleLists | undefined) {
    this.#facts = facts
    this.#lists = lists
  }

  part(rule: Rule, path: string): TestedRule {
    const part = this.#nextNumber++
    if ('all' in rule) {
      const parts = rule.all.map((one, index) => this.part(one, `${path}.all[${index}]`))
      return { part, path, kind: 'all', isMet: parts.every(({ isMet }) => isMet), parts }
    }
    if ('any' in rule) {
      const parts = rule.any.map((one, index) => this.part(one, `${path}.any[${index}]`))
      return { part, path, kind: 'any', isMet: parts.some(({ isMet }) => isMet), parts }
    }
    if ('not' in rule) {
      const inner = this.part(rule.not, `${path}.not`)
      return { part, path, kind: 'not', isMet: !inner.isMet, parts: [inner] }
    }
    return { part, path, kind: 'condition', isMet: this.#isMet(rule), ...this.#describe(rule) }
  }

  /** Compiled, so that a list of a hundred thousand addresses is prepared once for all conditions that name it. */
  #isMet(condition: Condition): boolean {
    return compileRule(condition, this.#lists)(this.#facts) === MET
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
