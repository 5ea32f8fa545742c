import { findField } from './fields.ts'
import { valuesOf, type Condition, type Rule, type RuleScalar } from './rule.ts'

/** The text form of a rule, on one line: parseRule makes the same rule of it again.
 * @example printRule({ all: [{ field: 'country', op: 'in', value: ['US', 'GB'] }, { not: { field: 'is_proxy', op: 'is', value: true } }] }) // 'country in (US, GB) and not is_proxy'
 */
export function printRule(rule: Rule): string {
  if ('all' in rule) return printSeveral('all', ' and ', rule.all)
  if ('any' in rule) return printSeveral('any', ' or ', rule.any)
  if ('not' in rule) return `not ${isInfix(rule.not) ? `(${printRule(rule.not)})` : printRule(rule.not)}`
  return printCondition(rule)
}

/** Whether a rule is written with `and` or `or`; those of one part or none cannot be. */
const isInfix = (rule: Rule): boolean =>
  ('all' in rule && rule.all.length > 1) || ('any' in rule && rule.any.length > 1)

function printSeveral(name: 'all' | 'any', word: string, rules: readonly Rule[]): string {
  if (rules.length < 2) return `${name}(${rules.map(printRule).join(', ')})`
  return rules.map((rule) => (needsParentheses(name, rule) ? `(${printRule(rule)})` : printRule(rule))).join(word)
}

/** `and` binds more tightly than `or`; a list inside one of its own kind is a part of its own, with a number of its own. */
const needsParentheses = (outer: 'all' | 'any', inner: Rule): boolean =>
  isInfix(inner) && (outer === 'all' || 'any' in inner)

const opWords = {
  is: 'is', is_not: 'is not', in: 'in', not_in: 'not in', contains: 'contains', starts_with: 'starts with',
  ends_with: 'ends with', matches: 'matches', between: 'between', exists: 'exists',
} as const // prettier-ignore

/** The text form of one condition. */
export function printCondition(condition: Condition): string {
  const { field, op, value } = condition
  const kind = findField(field)?.kind
  const print = (one: RuleScalar | null): string => printValue(one, kind === 'reason')
  const start = `${field} ${opWords[op]}`
  if (op === 'exists') return value === false ? `${field} not exists` : start
  if (op === 'matches') return `${start} ${printPattern(String(value))}`
  const values = valuesOf(value)
  if (op === 'between') return `${start} ${values.map(print).join(' and ')}`
  if (op === 'is' && value === true && kind === 'flag') return field
  if (typeof value !== 'object' && op !== 'in' && op !== 'not_in') return `${start} ${print(value)}`
  const [only = null] = values
  if (values.length === 1 && (op === 'in' || op === 'not_in') && (kind === 'time' || LIST.test(String(only))))
    return `${start} ${print(only)}`
  return `${start} (${values.map(print).join(', ')})`
}

function printValue(value: RuleScalar | null, isReason: boolean): string {
  if (value === null) return '*'
  if (isReason && typeof value === 'boolean') return value ? 'any' : 'none'
  if (typeof value !== 'string') return String(value)
  if (LIST.test(value)) return value
  if (value.startsWith('@@')) return JSON.stringify(value.slice(1))
  return isBare(value) ? value : JSON.stringify(value)
}

const LIST = /^@[A-Za-z0-9][\w.-]{0,62}$/
const BARE = /^[\p{L}\p{N}_.:*-][\p{L}\p{N}_.:*+%@/-]*$/u

/** What needs no quotes; `not` after `is` would be taken for the comparison, `*` for an open end. */
const isBare = (text: string): boolean => BARE.test(text) && text.toLowerCase() !== 'not' && text !== '*'

/** Slashes end a pattern. */
const printPattern = (pattern: string): string =>
  `/${pattern.replaceAll(/\\[^]|\//g, (found) => (found === '/' ? '\\/' : found))}/`
