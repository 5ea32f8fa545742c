import type { RequestFacts } from './request-facts.ts'
import type { Condition, Rule, RuleField } from './snapshot.ts'

/** A rule as a function: MET, else the number of the part that was not met (parts are counted in writing order, each
 * `all`, `any` and `not` before what it holds).
 */
export type CompiledRule = (facts: RequestFacts, affiliateId: string | undefined) => number

export const MET = -1

type Numbered = { readonly evaluate: CompiledRule; readonly nextNumber: number }

/** Compiles a rule tree to closures once, so that a request compares and does not interpret. */
export const compileRule = (rule: Rule): CompiledRule => compilePart(rule, 0).evaluate

/** The parts of a rule in the order of their numbers. */
export function listParts(rule: Rule): readonly Rule[] {
  if ('all' in rule) return [rule, ...rule.all.flatMap(listParts)]
  if ('any' in rule) return [rule, ...rule.any.flatMap(listParts)]
  if ('not' in rule) return [rule, ...listParts(rule.not)]
  return [rule]
}

function compilePart(rule: Rule, number: number): Numbered {
  if ('all' in rule) return compileAll(rule.all, number)
  if ('any' in rule) return compileAny(rule.any, number)
  if ('not' in rule) {
    const inner = compilePart(rule.not, number + 1)
    return {
      evaluate: (facts, affiliateId) => (inner.evaluate(facts, affiliateId) === MET ? number : MET),
      nextNumber: inner.nextNumber,
    }
  }
  const isMet = compileCondition(rule)
  return { evaluate: (facts, affiliateId) => (isMet(facts, affiliateId) ? MET : number), nextNumber: number + 1 }
}

function compileParts(rules: readonly Rule[], firstNumber: number): { parts: CompiledRule[]; nextNumber: number } {
  const parts: CompiledRule[] = []
  let nextNumber = firstNumber
  for (const rule of rules) {
    const part = compilePart(rule, nextNumber)
    parts.push(part.evaluate)
    nextNumber = part.nextNumber
  }
  return { parts, nextNumber }
}

function compileAll(rules: readonly Rule[], number: number): Numbered {
  const { parts, nextNumber } = compileParts(rules, number + 1)
  const evaluate: CompiledRule = (facts, affiliateId) => {
    for (const part of parts) {
      const answer = part(facts, affiliateId)
      if (answer !== MET) return answer
    }
    return MET
  }
  return { evaluate, nextNumber }
}

function compileAny(rules: readonly Rule[], number: number): Numbered {
  const { parts, nextNumber } = compileParts(rules, number + 1)
  const evaluate: CompiledRule = (facts, affiliateId) => {
    for (const part of parts) if (part(facts, affiliateId) === MET) return MET
    return number
  }
  return { evaluate, nextNumber }
}

/** Compared as lower-case text; what is not known is empty, a flag that is not set is `false`. */
type FieldReader = (facts: RequestFacts, affiliateId: string | undefined) => string

const visitorField =
  (
    name: 'country' | 'region' | 'city' | 'isp' | 'os' | 'browser' | 'device_type' | 'device_brand' | 'language',
  ): FieldReader =>
  (facts) =>
    facts.visitor[name]?.toLowerCase() ?? ''

const readers: Readonly<Record<string, FieldReader>> = {
  country: visitorField('country'),
  region: visitorField('region'),
  city: visitorField('city'),
  isp: visitorField('isp'),
  os: visitorField('os'),
  browser: visitorField('browser'),
  device_type: visitorField('device_type'),
  device_brand: visitorField('device_brand'),
  language: visitorField('language'),
  asn: (facts) => facts.visitor.asn?.toString() ?? '',
  is_proxy: (facts) => String(facts.visitor.is_proxy ?? false),
  is_hosting: (facts) => String(facts.visitor.is_hosting ?? false),
  referrer: (facts) => facts.parameters.referrer?.toLowerCase() ?? '',
  source_id: (facts) => facts.parameters.source_id?.toLowerCase() ?? '',
  affiliate_id: (_facts, affiliateId) => affiliateId?.toLowerCase() ?? '',
}

function fieldReader(field: RuleField): FieldReader {
  const reader = readers[field]
  if (reader !== undefined) return reader
  const name = field as 'sub1' | 'utm_source'
  return (facts) => facts.parameters[name]?.toLowerCase() ?? ''
}

type Test = (facts: RequestFacts, affiliateId: string | undefined) => boolean

function compileCondition(condition: Condition): Test {
  // `bot` holds why a visitor is taken for one; `is true` asks whether there is any such reason.
  if (condition.field === 'bot') return compileBotCondition(condition)
  return compileComparison(fieldReader(condition.field), condition)
}

function compileBotCondition(condition: Condition): Test {
  if (typeof condition.value !== 'boolean') {
    return compileComparison((facts) => facts.visitor.bot ?? '', condition)
  }
  const wanted = (condition.op === 'is_not') !== condition.value
  return (facts) => (facts.visitor.bot !== undefined) === wanted
}

function compileComparison(read: FieldReader, { op, value }: Condition): Test {
  const values = (Array.isArray(value) ? value : [value]).map((one) => String(one).toLowerCase())
  const set: ReadonlySet<string> = new Set(values)
  switch (op) {
    case 'is':
    case 'in':
      return (facts, affiliateId) => set.has(read(facts, affiliateId))
    case 'is_not':
    case 'not_in':
      return (facts, affiliateId) => !set.has(read(facts, affiliateId))
    case 'contains':
      return (facts, affiliateId) => values.some((part) => read(facts, affiliateId).includes(part))
    case 'starts_with':
      return (facts, affiliateId) => values.some((part) => read(facts, affiliateId).startsWith(part))
    default:
      return op satisfies never
  }
}
