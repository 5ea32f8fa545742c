import { suggestWord } from '#platform/words'
import type { RuleErrorCode, RuleProblem } from './errors.ts'
import { fieldFamilies, findField, kindWords, opsOfKind, ruleFields, type RuleField } from './fields.ts'
import { ruleLimits } from './limits.ts'
import { readReference, type RuleLists } from './lists.ts'
import {
  ruleOps,
  type Condition,
  type Rule,
  type RuleContext,
  type RuleOp,
  type RuleScalar,
  type RuleValue,
} from './rule.ts'
import { parseVersion } from './versions.ts'
import { isTextOp, readValue } from './values.ts'
import { readDate } from './time-table.ts'

/** Where a rule is used, and what it can name. */
export type RuleUse = {
  readonly context: RuleContext
  /** Left out: `@name` is a text like any other. */
  readonly lists?: RuleLists | undefined
}

export type RuleVerdict =
  /** The rule in the one form in which it is stored: fields by their own name, values as their kind is written. */
  | { readonly kind: 'valid'; readonly rule: Rule }
  | { readonly kind: 'invalid'; readonly errors: readonly RuleProblem[] }

/** Checks a rule in its JSON form.
 * @param path where the rule stands, to begin the paths of its errors
 */
export function validateRule(value: unknown, path: string, use: RuleUse): RuleVerdict {
  const check = new RuleCheck(use)
  const rule = check.rule(value, path, 1)
  return rule === undefined || check.errors.length > 0
    ? { kind: 'invalid', errors: check.errors }
    : { kind: 'valid', rule }
}

class RuleCheck {
  readonly errors: RuleProblem[] = []
  readonly #use: RuleUse
  #conditions = 0
  #values = 0
  #patterns = 0

  constructor(use: RuleUse) {
    this.#use = use
  }

  #refuse(path: string, code: RuleErrorCode, message: string): undefined {
    if (this.errors.length < ruleLimits.errors_max) this.errors.push({ path, code, message })
    return undefined
  }

  rule(value: unknown, path: string, depth: number): Rule | undefined {
    if (depth > ruleLimits.depth_max)
      return this.#refuse(path, 'rule_too_deep', `Rules nest at most ${ruleLimits.depth_max} deep.`)
    if (typeof value !== 'object' || value === null || Array.isArray(value)) return this.#notARule(path)
    const keys = Object.keys(value)
    const given = value as Readonly<Record<string, unknown>>
    if (keys.includes('field')) return this.#condition(given, path)
    if (keys.length !== 1) return this.#notARule(path)
    if ('all' in given) return this.#several('all', given.all, path, depth)
    if ('any' in given) return this.#several('any', given.any, path, depth)
    if (!('not' in given)) return this.#notARule(path)
    const inner = this.rule(given.not, `${path}.not`, depth + 1)
    return inner && { not: inner }
  }

  #notARule(path: string): undefined {
    return this.#refuse(
      path,
      'not_a_rule',
      'A rule is {"all": […]}, {"any": […]}, {"not": …} or {"field", "op", "value"}.',
    )
  }

  #several(key: 'all' | 'any', value: unknown, path: string, depth: number): Rule | undefined {
    const at = `${path}.${key}`
    if (!Array.isArray(value)) return this.#refuse(at, 'not_a_rule', `"${key}" takes a list of rules.`)
    if (value.length === 0) return this.#refuse(at, 'rule_empty', `"${key}" needs at least one rule.`)
    const rules: Rule[] = []
    for (const [index, one] of value.entries()) {
      if (this.#isTooLarge()) break
      const rule = this.rule(one, `${at}[${index}]`, depth + 1)
      if (rule !== undefined) rules.push(rule)
    }
    if (rules.length < value.length) return undefined
    return key === 'all' ? { all: rules } : { any: rules }
  }

  /** Nothing more is read then: what is left could be as much again. */
  #isTooLarge(): boolean {
    return this.#conditions > ruleLimits.conditions_max || this.#values > ruleLimits.total_values_max
  }

  #condition(given: Readonly<Record<string, unknown>>, path: string): Condition | undefined {
    this.#conditions += 1
    if (this.#conditions > ruleLimits.conditions_max)
      return this.#refuse(path, 'rule_too_large', `A rule has at most ${ruleLimits.conditions_max} conditions.`)
    const stranger = Object.keys(given).find((key) => key !== 'field' && key !== 'op' && key !== 'value')
    if (stranger !== undefined)
      return this.#refuse(`${path}.${stranger}`, 'not_a_rule', 'A condition has field, op and value, and nothing else.')
    const field = this.#field(given.field, `${path}.field`)
    if (field === undefined) return undefined
    const op = this.#op(given.op, field, `${path}.op`)
    if (op === undefined) return undefined
    if (given.value === undefined)
      return this.#refuse(`${path}.value`, 'value_invalid', `${field.name} ${op} needs a value to compare with.`)
    const value = this.#value(field, op, given.value, `${path}.value`)
    return value === undefined ? undefined : { field: field.name, op, value }
  }

  #field(name: unknown, path: string): RuleField | undefined {
    const field = typeof name === 'string' ? findField(name) : undefined
    if (field === undefined) return this.#refuse(path, 'field_unknown', unknownField(name))
    if (field.contexts.includes(this.#use.context)) return field
    return this.#refuse(
      path,
      'field_not_here',
      `${field.name} is not known for a ${this.#use.context}: only for ${field.contexts.join(', ')}.`,
    )
  }

  #op(name: unknown, field: RuleField, path: string): RuleOp | undefined {
    const op = ruleOps.find((one) => one === name)
    const possible = opsOfKind[field.kind]
    if (op === undefined) {
      const meant = typeof name === 'string' ? suggestWord(name, possible) : undefined
      const hint = meant === undefined ? `Possible here: ${possible.join(', ')}.` : `Did you mean "${meant}"?`
      return this.#refuse(path, 'op_unknown', `There is no comparison ${quoted(name)}. ${hint}`)
    }
    if (possible.includes(op)) return op
    const message = `"${op}" makes no sense for ${field.name}, a ${kindWords[field.kind]}. Possible here: ${possible.join(', ')}.`
    return this.#refuse(path, 'op_not_for_field', message)
  }

  #value(field: RuleField, op: RuleOp, value: unknown, path: string): RuleValue | undefined {
    if (op === 'between') return this.#ends(field, value, path)
    if (op === 'in' || op === 'not_in') {
      const isReference = typeof value === 'string' && 'list' in readReference(value, this.#use.lists)
      if (!Array.isArray(value) && !isReference)
        return this.#refuse(
          path,
          'value_invalid',
          `"${op}" takes a list. Use "${op === 'in' ? 'is' : 'is_not'}" for a single value.`,
        )
      return this.#list(field, op, isReference ? [value] : (value as readonly unknown[]), path)
    }
    if (!Array.isArray(value)) {
      this.#values += 1
      return this.#scalar(field, op, value, path)
    }
    if (isTextOp(op)) return this.#list(field, op, value, path)
    const hint = op === 'is' ? ' Use "in".' : op === 'is_not' ? ' Use "not_in".' : ''
    return this.#refuse(path, 'value_invalid', `"${op}" takes a single value.${hint}`)
  }

  #list(field: RuleField, op: RuleOp, values: readonly unknown[], path: string): RuleValue | undefined {
    if (values.length === 0 || values.length > ruleLimits.values_max)
      return this.#refuse(
        path,
        'list_too_long',
        `A list has 1 to ${ruleLimits.values_max} values, not ${values.length}.`,
      )
    this.#values += values.length
    if (this.#values > ruleLimits.total_values_max)
      return this.#refuse(path, 'rule_too_large', `A rule has at most ${ruleLimits.total_values_max} values in all.`)
    const read: RuleScalar[] = []
    for (const [index, value] of values.entries()) {
      const one = this.#scalar(field, op, value, `${path}[${index}]`)
      if (one !== undefined) read.push(one)
      else if (this.errors.length >= ruleLimits.errors_max) return undefined
    }
    return read.length === values.length ? read : undefined
  }

  #ends(field: RuleField, value: unknown, path: string): RuleValue | undefined {
    const ends: readonly unknown[] = Array.isArray(value) ? value : []
    if (ends.length !== 2 || ends.every((end) => end === null))
      return this.#refuse(
        path,
        'value_invalid',
        '"between" takes two ends, [low, high]; one of them may be null (open).',
      )
    this.#values += 2
    const read = ends.map((end, index) =>
      end === null ? null : this.#scalar(field, 'between', end, `${path}[${index}]`),
    )
    const [low, high] = read
    if (low === undefined || high === undefined) return undefined
    if (low !== null && high !== null && isAfter(field, low, high))
      return this.#refuse(path, 'value_invalid', `The lower end ${String(low)} is above the upper end ${String(high)}.`)
    return [low, high]
  }

  #scalar(field: RuleField, op: RuleOp, value: unknown, path: string): RuleScalar | undefined {
    if (typeof value === 'string' && op !== 'matches' && op !== 'between' && op !== 'exists') {
      const reference = readReference(value, this.#use.lists)
      if ('list' in reference) return this.#reference(field, op, reference.list, path)
      if (reference.text !== value)
        return this.#literal(field, op, reference.text, path) === undefined ? undefined : value
    }
    return this.#literal(field, op, value, path)
  }

  #literal(field: RuleField, op: RuleOp, value: unknown, path: string): RuleScalar | undefined {
    const found = readValue(field, op, value)
    switch (found.kind) {
      case 'read':
        if (op === 'matches') this.#patterns += 1
        if (this.#patterns > ruleLimits.patterns_max)
          return this.#refuse(path, 'rule_too_large', `A rule has at most ${ruleLimits.patterns_max} patterns.`)
        return found.value
      case 'refused':
        return this.#refuse(
          path,
          'value_invalid',
          `${quoted(value)} does not fit ${field.name}: expected ${found.expected}.`,
        )
      case 'pattern_refused':
        return this.#refuse(path, 'pattern_invalid', found.message)
      default:
        return found satisfies never
    }
  }

  /** A list is named whose entries all fit the field. */
  #reference(field: RuleField, op: RuleOp, name: string, path: string): string | undefined {
    const lists = this.#use.lists!
    if (!lists.has(name)) return this.#refuse(path, 'list_unknown', unknownList(name, lists))
    const stranger = strangerIn(name, field, op, lists)
    if (stranger === undefined) return `@${name}`
    const message = `The list "${name}" holds ${quoted(stranger.entry)}: expected ${stranger.expected}.`
    return this.#refuse(path, 'value_invalid', message)
  }
}

function strangerIn(
  name: string,
  field: RuleField,
  op: RuleOp,
  lists: RuleLists,
): { readonly entry: string; readonly expected: string } | undefined {
  if (field.kind === 'address') {
    const entry = lists.firstNoAddress(name)
    return entry === undefined ? undefined : { entry, expected: 'addresses and blocks of addresses' }
  }
  for (const entry of lists.entries(name)) {
    const found = readValue(field, op, entry)
    if (found.kind === 'refused') return { entry, expected: found.expected }
  }
  return undefined
}

const quoted = (value: unknown): string => {
  const text = typeof value === 'string' ? value : (JSON.stringify(value) ?? 'nothing')
  return `"${text.length > 60 ? `${text.slice(0, 60)}…` : text}"`
}

const fieldNames = ruleFields.flatMap(({ name, aliases }) => [name, ...aliases])

function unknownField(name: unknown): string {
  if (typeof name !== 'string') return 'A field is named by a text.'
  const family = fieldFamilies.find(({ prefix }) => name.startsWith(prefix))
  if (family !== undefined) return `${quoted(name)} is no field: write ${family.placeholder}.`
  const meant = suggestWord(name, fieldNames)
  return `No rule can ask for ${quoted(name)}.${meant === undefined ? '' : ` Did you mean "${meant}"?`}`
}

function unknownList(name: string, lists: RuleLists): string {
  const meant = suggestWord(name, lists.names)
  const hint = meant === undefined ? `Write "@@${name}" for the text "@${name}".` : `Did you mean "@${meant}"?`
  return `There is no list "${name}". ${hint}`
}

function isAfter(field: RuleField, low: RuleScalar, high: RuleScalar): boolean {
  if (field.kind === 'version') return compareVersions(String(low), String(high)) > 0
  if (field.kind === 'time') return readDate(String(low))!.first > readDate(String(high))!.last
  return Number(low) > Number(high)
}

/** Compares as many numbers as both name: from 16.4 to 16 is every 16 from 16.4 on. */
function compareVersions(left: string, right: string): number {
  const [leftParts, rightParts] = [parseVersion(left)!, parseVersion(right)!]
  for (let index = 0; index < Math.min(leftParts.length, rightParts.length); index += 1)
    if (leftParts[index] !== rightParts[index]) return leftParts[index]! - rightParts[index]!
  return 0
}
