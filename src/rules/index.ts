export { compileRule, MET, ruleCompiler } from './compile-rule.ts'
export type { CompiledRule } from './compile-rule.ts'
export { countries } from './continents.ts'
export { InvalidRuleError, ruleErrorCodes } from './errors.ts'
export type { RuleErrorCode, RuleProblem } from './errors.ts'
export { evaluateRule } from './evaluate-rule.ts'
export { RuleFacts } from './facts.ts'
export type {
  RuleAssignment,
  RuleConversion,
  RuleFactsGiven,
  RuleParameters,
  RuleVisitor,
  UniqueScope,
} from './facts.ts'
export { fieldFamilies, findField, kindWords, opsOfKind, ruleFields } from './fields.ts'
export type { FactsTable, FieldKind, RuleField } from './fields.ts'
export { hostOfUrl } from './hosts.ts'
export { ruleLimitMeanings, ruleLimits } from './limits.ts'
export { LIST_NAME, RuleLists } from './lists.ts'
export type { NamedLists } from './lists.ts'
export { parseRule } from './parse-rule.ts'
export type { ParsedRule, RuleTextProblem } from './parse-rule.ts'
export { readPattern } from './patterns.ts'
export type { Pattern } from './patterns.ts'
export { printCondition, printRule } from './print-rule.ts'
export { listParts, ruleContexts, ruleOps } from './rule.ts'
export type { Condition, Rule, RuleContext, RuleOp, RuleScalar, RuleValue } from './rule.ts'
export { ruleSchema } from './schema.ts'
export { ruleToSql } from './rule-to-sql.ts'
export type { RuleSql, RuleSqlOptions } from './rule-to-sql.ts'
export { testRule } from './test-rule.ts'
export type { TestedRule } from './test-rule.ts'
export { validateRule } from './validate-rule.ts'
export type { RuleUse, RuleVerdict } from './validate-rule.ts'
