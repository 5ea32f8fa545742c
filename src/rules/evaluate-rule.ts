import { parseAmount } from '#platform/money'
import { parseIp, parseIpBlock, type Ip } from './addresses.ts'
import type { RuleFacts, UniqueScope } from './facts.ts'
import { findField, type RuleField } from './fields.ts'
import { isHostOf } from './hosts.ts'
import { readReference, type RuleLists } from './lists.ts'
import { readPattern } from './patterns.ts'
import { valuesOf, type Condition, type Rule, type RuleScalar } from './rule.ts'
import { isInTimeTable, readDate, readTimeTable } from './time-table.ts'
import { numberOf } from './values.ts'
import { compareVersion, parseVersion } from './versions.ts'

/** Whether a rule holds, read straight from its tree: the plain statement of what compileRule does fast, for a single look.
 * The rule must be one that validateRule took.
 */
export function evaluateRule(rule: Rule, facts: RuleFacts, lists?: RuleLists): boolean {
  if ('all' in rule) return rule.all.every((part) => evaluateRule(part, facts, lists))
  if ('any' in rule) return rule.any.some((part) => evaluateRule(part, facts, lists))
  if ('not' in rule) return !evaluateRule(rule.not, facts, lists)
  return evaluateCondition(rule, facts, lists)
}

function evaluateCondition(condition: Condition, facts: RuleFacts, lists: RuleLists | undefined): boolean {
  const field = findField(condition.field)
  if (field === undefined) return false
  const seen = seenValue(field, facts)
  const text = seen === undefined ? '' : String(seen).toLowerCase()
  const values = withLists(condition, lists)
  switch (condition.op) {
    case 'is':
    case 'in':
      return values.some((value) => isEqual(field, seen, value, facts))
    case 'is_not':
    case 'not_in':
      return !values.some((value) => isEqual(field, seen, value, facts))
    case 'contains':
      return values.some((value) => text.includes(String(value).toLowerCase()))
    case 'starts_with':
      return values.some((value) => text.startsWith(String(value).toLowerCase()))
    case 'ends_with':
      return values.some((value) => text.endsWith(String(value).toLowerCase()))
    case 'matches': {
      const found = readPattern(String(condition.value))
      return found.kind === 'read' && found.pattern.isFoundIn(seen === undefined ? '' : String(seen))
    }
    case 'between':
      return isBetween(field, seen, valuesOf(condition.value), facts)
    case 'exists':
      return (seen !== undefined && seen !== '') === condition.value
    default:
      return condition.op satisfies never
  }
}

function withLists({ value }: Condition, lists: RuleLists | undefined): readonly RuleScalar[] {
  return valuesOf(value).flatMap((one): readonly RuleScalar[] => {
    if (one === null) return []
    if (typeof one !== 'string') return [one]
    const reference = readReference(one, lists)
    return 'text' in reference ? [reference.text] : (lists?.entries(reference.list) ?? [])
  })
}

/** What the facts say of a field: amounts in micros, the time in milliseconds; undefined where it is not known. */
export function seenValue(field: RuleField, facts: RuleFacts): RuleScalar | undefined {
  if (field.kind === 'address') return facts.ip === undefined ? undefined : facts.visitor.ip
  if (field.kind === 'time') return facts.at
  return field.kind === 'scope' ? undefined : field.read(facts)
}

function isEqual(field: RuleField, seen: RuleScalar | undefined, value: RuleScalar, facts: RuleFacts): boolean {
  const text = String(seen ?? '').toLowerCase()
  const wanted = String(value).toLowerCase()
  switch (field.kind) {
    case 'text':
    case 'word':
    case 'flag':
      return text === wanted
    case 'host':
      return isHostOf(text, wanted)
    case 'language':
      return text === wanted || text.startsWith(`${wanted}-`)
    case 'reason':
      if (wanted === 'true' || wanted === 'any') return text !== ''
      return wanted === 'false' || wanted === 'none' ? text === '' : text === wanted
    case 'number':
      return seen === numberOf(field, value)
    case 'money':
      return seen === Number(parseAmount(String(value)) ?? NaN)
    case 'version':
      return isSameVersion(text, wanted)
    case 'address':
      return seen !== undefined && isInBlock(String(seen), String(value))
    case 'time': {
      const table = readTimeTable(String(value))
      return table !== undefined && isInTimeTable(table, facts.at)
    }
    case 'scope':
      return facts.isUnique?.(value as UniqueScope) ?? false
    default:
      return field satisfies never
  }
}

function isSameVersion(text: string, wanted: string): boolean {
  const version = parseVersion(text)
  const bound = parseVersion(wanted)
  if (version === undefined) return text !== '' && text === wanted
  return bound !== undefined && compareVersion(version, bound) === 0
}

function isInBlock(address: string, block: string): boolean {
  const ip = parseIp(address)
  const range = parseIpBlock(block)
  if (ip === undefined || range === undefined || ip.isV4 !== range.first.isV4) return false
  return bitsOf(range.first) <= bitsOf(ip) && bitsOf(ip) <= bitsOf(range.last)
}

const bitsOf = ({ w0, w1, w2, w3 }: Ip): bigint =>
  (BigInt(w0) << 96n) | (BigInt(w1) << 64n) | (BigInt(w2) << 32n) | BigInt(w3)

function isBetween(
  field: RuleField,
  seen: RuleScalar | undefined,
  [low = null, high = null]: readonly (RuleScalar | null)[],
  facts: RuleFacts,
): boolean {
  switch (field.kind) {
    case 'number':
      return isWithin(seen, low === null ? undefined : Number(low), high === null ? undefined : Number(high))
    case 'money':
      return isWithin(seen, amountOf(low), amountOf(high))
    case 'time':
      return isWithin(facts.at, readDate(String(low))?.first, readDate(String(high))?.last)
    case 'version': {
      const version = parseVersion(String(seen ?? ''))
      const [lowest, highest] = [parseVersion(String(low)), parseVersion(String(high))]
      if (version === undefined) return false
      if (lowest !== undefined && compareVersion(version, lowest) < 0) return false
      return highest === undefined || compareVersion(version, highest) <= 0
    }
    default:
      return false
  }
}

const amountOf = (end: RuleScalar | null): number | undefined =>
  end === null ? undefined : Number(parseAmount(String(end)))

const isWithin = (seen: RuleScalar | undefined, low: number | undefined, high: number | undefined): boolean =>
  typeof seen === 'number' && (low === undefined || seen >= low) && (high === undefined || seen <= high)
