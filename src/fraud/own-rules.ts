import { compileRule, MET, validateRule, type Rule, type RuleFacts, type RuleLists } from '#rules'
import { fraudLimits } from './limits.ts'
import type { FraudIssue } from './settings.ts'
import type { FraudReason } from './verdict.ts'

/** A sign of fraud that the operator wrote, in the language of flows. */
export type OwnRule = {
  /** Stands for it in the record: 1 to 16 of a–z, 0–9 and _. */
  readonly name: string
  /** For a person; left out: the name is shown. */
  readonly sentence?: string
  /** Points, 1 to 100. */
  readonly score: number
  /** What it is asked of; left out: clicks. */
  readonly at?: 'click' | 'conversion'
  readonly rule: Rule
}

export type CompiledOwnRule = {
  readonly reason: FraudReason
  readonly isMet: (facts: RuleFacts) => boolean
}

const OWN_RULE_NAME = /^[a-z0-9_]{1,16}$/

/** @throws {InvalidRuleError} a rule that checkFraudSettings refuses */
export function compileOwnRules(
  rules: readonly OwnRule[],
  at: 'click' | 'conversion',
  lists: RuleLists,
): readonly CompiledOwnRule[] {
  return rules
    .filter((own) => (own.at ?? 'click') === at)
    .map(({ name, score, rule }) => {
      const evaluate = compileRule(rule, lists)
      return { reason: { rule: `=${name}`, score }, isMet: (facts) => evaluate(facts) === MET }
    })
}

/** Reasons by the rules that hold. Without facts none is asked. */
export const ownReasons = (rules: readonly CompiledOwnRule[], facts: RuleFacts | undefined): readonly FraudReason[] =>
  facts === undefined ? [] : rules.filter(({ isMet }) => isMet(facts)).map(({ reason }) => reason)

export function checkOwnRules(rules: readonly OwnRule[], lists: RuleLists): FraudIssue[] {
  const issues = rules.flatMap((own, at) => checkOwnRule(own, at, rules, lists))
  return rules.length <= fraudLimits.ownRulesMax
    ? issues
    : [...issues, { path: ['own_rules'], message: `Expected at most ${fraudLimits.ownRulesMax} rules.` }]
}

function checkOwnRule(own: OwnRule, at: number, rules: readonly OwnRule[], lists: RuleLists): FraudIssue[] {
  const issues: FraudIssue[] = []
  const path = ['own_rules', at] as const
  if (!OWN_RULE_NAME.test(own.name))
    issues.push({ path: [...path, 'name'], message: 'Expected 1 to 16 of a-z, 0-9 and _.' })
  if (rules.findIndex(({ name }) => name === own.name) < at) {
    issues.push({ path: [...path, 'name'], message: 'Expected a name that no other rule has.' })
  }
  if (!Number.isInteger(own.score) || own.score < 1 || own.score > 100) {
    issues.push({ path: [...path, 'score'], message: 'Expected a whole number from 1 to 100.' })
  }
  const verdict = validateRule(own.rule, 'rule', { context: own.at ?? 'click', lists })
  if (verdict.kind === 'valid') return issues
  return [
    ...issues,
    ...verdict.errors.map((error) => ({ path: [...path, ...error.path.split('.')], message: error.message })),
  ]
}
