/** Everything that can be wrong with a rule, one stable code each. docs/rules.md lists the same. */
export const ruleErrorCodes = {
  syntax: 'The text is no rule: at that column something else was expected.',
  not_a_rule: 'The value is neither a condition nor all, any or not.',
  rule_empty: '`all` or `any` holds no rules.',
  rule_too_deep: 'The rule nests too deep.',
  rule_too_large: 'The rule has too many conditions, values or patterns, or its text is too long.',
  field_unknown: 'No rule can ask for that.',
  field_not_here: 'The field is not known where the rule is used.',
  op_unknown: 'There is no such comparison.',
  op_not_for_field: 'The comparison makes no sense for this field.',
  value_invalid: 'The value is not of the kind that the field and comparison take.',
  list_unknown: 'No list has this name.',
  list_too_long: 'The list is empty or too long.',
  pattern_invalid: 'The regular expression cannot be read, or is too large.',
} as const

export type RuleErrorCode = keyof typeof ruleErrorCodes

/** One mistake in a rule. */
export type RuleProblem = {
  /** Where, such as `rule.all[1].value`. */
  readonly path: string
  readonly code: RuleErrorCode
  /** What is wrong and what was expected, in one or two sentences. */
  readonly message: string
}

/** A rule was used that validateRule refuses (programmer error). */
export class InvalidRuleError extends Error {
  readonly code = 'rule_invalid'
  readonly problem: RuleProblem

  constructor(problem: RuleProblem) {
    super(`${problem.path}: ${problem.message}`)
    this.problem = problem
  }
}
