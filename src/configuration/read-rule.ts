import type { Condition, Rule, RuleField } from '#routing'
import { problem } from './issues.ts'
import { report, type Reading } from './check-shape.ts'
import { didYouMean } from './suggest.ts'
import type { Tree, TreeMap, TreeScalar } from './yaml-tree.ts'

/** Rules of flows, in two forms that mix freely: the tree of the snapshot (`all`, `any`, `not`, `field`/`op`/`value`) and
 * the short `{country: [DE, AT], device_type: mobile}`, where all must hold and a list means one of them.
 */
const ops = ['is', 'is_not', 'in', 'not_in', 'contains', 'starts_with'] as const
const deviceTypes = ['desktop', 'mobile', 'tablet', 'tv', 'console', 'wearable', 'bot', 'other']
const plainFields = [
  'country', 'region', 'city', 'asn', 'isp', 'is_proxy', 'is_hosting', 'os', 'browser', 'device_type', 'device_brand',
  'language', 'bot', 'referrer', 'source_id', 'affiliate_id',
] // prettier-ignore
const subFields = Array.from({ length: 30 }, (_, index) => `sub${index + 1}`)
const utmFields = ['utm_source', 'utm_medium', 'utm_campaign', 'utm_term', 'utm_content']
export const ruleFields: readonly string[] = [...plainFields, ...utmFields, ...subFields]
const isRuleField = (word: string): word is RuleField => ruleFields.includes(word)

/** Conditions in one rule and their depth: each is tried on every click. */
const CONDITIONS_MAX = 500
const DEPTH_MAX = 10
const VALUES_MAX = 5_000
const VALUE_LENGTH_MAX = 255

type RuleReading = { readonly reading: Reading; conditions: number }

/** @returns undefined when an issue was reported */
export function readRule(tree: Tree, reading: Reading): Rule | undefined {
  return rule(tree, { reading, conditions: 0 }, 0)
}

function refuse(at: RuleReading, tree: Tree, message: string, hint?: string, key?: string): undefined {
  report(at.reading, tree, problem('rule_invalid', message, hint), key)
  return undefined
}

function rule(tree: Tree, at: RuleReading, depth: number): Rule | undefined {
  if (depth > DEPTH_MAX) return refuse(at, tree, `Rules nest at most ${DEPTH_MAX} deep.`)
  if (tree.kind !== 'map' || tree.entries.size === 0)
    return refuse(at, tree, 'A rule is an object.', 'Write it like {country: [DE, AT], device_type: mobile}.')
  const keys = [...tree.entries.keys()]
  if (keys.includes('field')) return condition(tree, at)
  const rules = keys.map((key) => part(tree, key, at, depth)).filter((one) => one !== undefined)
  if (rules.length < keys.length) return undefined
  return rules.length === 1 ? rules[0] : { all: rules }
}

function part(map: TreeMap, key: string, at: RuleReading, depth: number): Rule | undefined {
  const { value } = map.entries.get(key)!
  if (key === 'all' || key === 'any') return several(key, value, at, depth)
  if (key === 'not') {
    const inner = rule(value, at, depth + 1)
    return inner && { not: inner }
  }
  if (isRuleField(key)) return checkedCondition(map, key, value.kind === 'list' ? 'in' : 'is', value, at)
  const hint = didYouMean(key, [...plainFields, ...utmFields, 'sub1', 'all', 'any', 'not', 'field'])
  return refuse(at, map, `No rule can ask for "${key}".`, hint, key)
}

function several(key: 'all' | 'any', tree: Tree, at: RuleReading, depth: number): Rule | undefined {
  if (tree.kind !== 'list' || tree.items.length === 0) return refuse(at, tree, `"${key}" takes a list of rules.`)
  const rules = tree.items.map((item) => rule(item, at, depth + 1)).filter((one) => one !== undefined)
  if (rules.length < tree.items.length) return undefined
  return key === 'all' ? { all: rules } : { any: rules }
}

function condition(map: TreeMap, at: RuleReading): Condition | undefined {
  for (const key of map.entries.keys())
    if (key !== 'field' && key !== 'op' && key !== 'value')
      return refuse(at, map, `A condition has no "${key}".`, 'It has field, op and value.', key)
  const field = textOf(map.entries.get('field')?.value)
  const value = map.entries.get('value')?.value
  if (field === undefined || value === undefined) return refuse(at, map, 'A condition has field, op and value.')
  const op = textOf(map.entries.get('op')?.value) ?? (value.kind === 'list' ? 'in' : 'is')
  if (!isRuleField(field))
    return refuse(
      at,
      map,
      `No rule can ask for "${field}".`,
      didYouMean(field, [...plainFields, ...utmFields]),
      'field',
    )
  const knownOp = ops.find((one) => one === op)
  if (knownOp === undefined) return refuse(at, map, `There is no comparison "${op}".`, didYouMean(op, ops), 'op')
  return checkedCondition(map, field, knownOp, value, at)
}

const textOf = (tree: Tree | undefined): string | undefined => (tree?.kind === 'scalar' ? tree.text : undefined)

function checkedCondition(
  map: TreeMap,
  field: RuleField,
  op: Condition['op'],
  tree: Tree,
  at: RuleReading,
): Condition | undefined {
  at.conditions += 1
  if (at.conditions > CONDITIONS_MAX) return refuse(at, map, `A rule has at most ${CONDITIONS_MAX} conditions.`)
  if ((op === 'in' || op === 'not_in') !== (tree.kind === 'list'))
    return refuse(
      at,
      tree,
      `"${op}" takes ${tree.kind === 'list' ? 'a single value' : 'a list'}.`,
      tree.kind === 'list' ? 'Use "in" or "not_in".' : undefined,
    )
  if (tree.kind === 'map') return refuse(at, tree, 'A value to compare with is a word, a number or a list of them.')
  const scalars = tree.kind === 'list' ? tree.items : [tree]
  if (scalars.length === 0 || scalars.length > VALUES_MAX)
    return refuse(at, tree, `A list has 1 to ${VALUES_MAX} values.`)
  const values = scalars.map((scalar) => comparedValue(field, op, scalar, at))
  if (values.includes(undefined)) return undefined
  const known = values as (string | number | boolean)[]
  return { field, op, value: tree.kind === 'list' ? (known as (string | number)[]) : known[0]! }
}

function comparedValue(
  field: RuleField,
  op: Condition['op'],
  tree: Tree,
  at: RuleReading,
): string | number | boolean | undefined {
  if (tree.kind !== 'scalar') return refuse(at, tree, 'A value to compare with is a word or a number.')
  const { text } = tree
  if (text === '' || text.length > VALUE_LENGTH_MAX)
    return refuse(at, tree, `A value has 1 to ${VALUE_LENGTH_MAX} characters.`)
  if (op === 'contains' || op === 'starts_with') return text
  return valueOfField(field, tree, at)
}

function valueOfField(field: RuleField, tree: TreeScalar, at: RuleReading): string | number | boolean | undefined {
  const { text } = tree
  if (field === 'is_proxy' || field === 'is_hosting') {
    if (text === 'true' || text === 'false') return text === 'true'
    return refuse(at, tree, `${field} is true or false.`)
  }
  if (field === 'bot' && (text === 'true' || text === 'false')) return text === 'true'
  if (field === 'asn') return /^\d{1,10}$/.test(text) ? Number(text) : refuse(at, tree, 'asn is a number, without AS.')
  if (field === 'country' && !/^[A-Z]{2}$/.test(text))
    return refuse(at, tree, `"${text}" is no country code.`, 'Write ISO 3166-1 alpha-2 in upper case, like DE.')
  if (field === 'device_type' && !deviceTypes.includes(text))
    return refuse(at, tree, `There is no device type "${text}".`, didYouMean(text, deviceTypes))
  return text
}
