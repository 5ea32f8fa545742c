import { parseAmount } from '#platform/money'
import { IpSet } from './addresses.ts'
import { isFilterable, testAlternatives, type Alternative, type Likeness, type ReadText } from './alternatives.ts'
import { InvalidRuleError, type RuleErrorCode } from './errors.ts'
import { fold, type RuleFacts, type UniqueScope } from './facts.ts'
import { findField, SLOTS, type RuleField } from './fields.ts'
import { HostSet } from './hosts.ts'
import { joinAlternatives } from './join-alternatives.ts'
import { readBlocks, readReference, type RuleLists } from './lists.ts'
import { readPattern } from './patterns.ts'
import { valuesOf, type Condition, type Rule, type RuleOp, type RuleScalar } from './rule.ts'
import { compileTimeTable, readDate, readTimeTable } from './time-table.ts'
import { numberOf } from './values.ts'
import { compareVersion, parseVersion } from './versions.ts'

/** A rule as a function: MET, else the number of the part that was not met (see listParts). */
export type CompiledRule = (facts: RuleFacts) => number

export const MET = -1

type Test = (facts: RuleFacts) => boolean
type Numbered = {
  readonly evaluate: CompiledRule
  /** Of a condition: the same, without its number. */
  readonly test: Test | undefined
  readonly nextNumber: number
}

/** Compiles a rule to closures once, so that a click compares and does not interpret.
 * @param lists the lists that `@name` refers to; left out: `@name` is a text like any other
 * @throws {InvalidRuleError} for a rule that validateRule refuses: an unknown field or list, a pattern that cannot be read
 */
export const compileRule = (rule: Rule, lists?: RuleLists): CompiledRule =>
  compilePart(rule, 0, { path: 'rule', lists }).evaluate

/** Compiles rules that are equal once: a configuration says the same in thousands of flows, and what is asked often stays in the
 * processor's cache.
 * @throws {InvalidRuleError} see compileRule
 */
export function ruleCompiler(lists: RuleLists | undefined): (rule: Rule) => CompiledRule {
  const compiled = new Map<string, CompiledRule>()
  return (rule) => {
    const key = JSON.stringify(rule)
    const known = compiled.get(key)
    if (known !== undefined) return known
    const made = compileRule(rule, lists)
    compiled.set(key, made)
    return made
  }
}

type Compiling = { readonly path: string; readonly lists: RuleLists | undefined }

function compilePart(rule: Rule, number: number, at: Compiling): Numbered {
  if ('all' in rule) return compileAll(rule.all, number, { ...at, path: `${at.path}.all` })
  if ('any' in rule) return compileAny(rule.any, number, { ...at, path: `${at.path}.any` })
  if ('not' in rule) {
    const { evaluate, nextNumber } = compilePart(rule.not, number + 1, { ...at, path: `${at.path}.not` })
    return { evaluate: (facts) => (evaluate(facts) === MET ? number : MET), test: undefined, nextNumber }
  }
  const test = compileCondition(rule, at)
  return { evaluate: (facts) => (test(facts) ? MET : number), test, nextNumber: number + 1 }
}

type Parts = { readonly parts: readonly Numbered[]; readonly nextNumber: number }

function compileParts(rules: readonly Rule[], firstNumber: number, at: Compiling): Parts {
  const parts: Numbered[] = []
  let nextNumber = firstNumber
  for (const [index, rule] of rules.entries()) {
    const part = compilePart(rule, nextNumber, { ...at, path: `${at.path}[${index}]` })
    parts.push(part)
    nextNumber = part.nextNumber
  }
  return { parts, nextNumber }
}

function compileAll(rules: readonly Rule[], number: number, at: Compiling): Numbered {
  const { parts, nextNumber } = compileParts(rules, number + 1, at)
  const rest = parts.map(({ evaluate }) => evaluate)
  const evaluate: CompiledRule = (facts) => {
    for (const part of rest) {
      const answer = part(facts)
      if (answer !== MET) return answer
    }
    return MET
  }
  return { evaluate, test: undefined, nextNumber }
}

/** Which of the alternatives was met is not told, so that they may be joined; errors name them as they were written. */
function compileAny(rules: readonly Rule[], number: number, at: Compiling): Numbered {
  const { parts, nextNumber } = compileParts(rules, number + 1, at)
  const joined = joinAlternatives(rules)
  const isMet = joined.length < rules.length ? testJoined(joined, number + 1, at) : anyOf(parts.map(testOf))
  return { evaluate: (facts) => (isMet(facts) ? MET : number), test: undefined, nextNumber }
}

const testOf = ({ evaluate, test }: Numbered): Test => test ?? ((facts) => evaluate(facts) === MET)

function testJoined(rules: readonly Rule[], number: number, at: Compiling): Test {
  const filtered: Alternative[] = []
  const tests: Test[] = []
  for (const rule of rules) {
    const test = testOf(compilePart(rule, number, at))
    const alternative = 'field' in rule ? alternativeOf(rule, test, at) : undefined
    if (alternative === undefined) tests.push(test)
    else filtered.push(alternative)
  }
  if (filtered.length > 0) tests.unshift(testAlternatives(filtered))
  return anyOf(tests)
}

const LIKENESS_OF: Readonly<Partial<Record<RuleOp, Likeness>>> = {
  is: 'is',
  in: 'is',
  contains: 'contains',
  starts_with: 'starts_with',
  ends_with: 'ends_with',
}

/** Undefined: no comparison of a text that is kept with texts that stand in the rule itself. */
function alternativeOf(condition: Condition, test: Test, at: Compiling): Alternative | undefined {
  const field = findField(condition.field)
  const likeness = LIKENESS_OF[condition.op]
  if (field === undefined || !('slot' in field) || likeness === undefined) return undefined
  if (likeness === 'is' && field.kind !== 'text' && field.kind !== 'word') return undefined
  const { own, listNames } = splitValues(condition, at)
  if (listNames.length > 0) return undefined
  const texts = own.map((value) => fold(String(value)))
  return isFilterable({ likeness, texts }) ? { read: textReader(field), likeness, texts, test } : undefined
}

function fail(at: Compiling, code: RuleErrorCode, message: string): never {
  throw new InvalidRuleError({ path: at.path, code, message })
}

function compileCondition(condition: Condition, at: Compiling): Test {
  const field = findField(condition.field)
  if (field === undefined)
    return fail({ ...at, path: `${at.path}.field` }, 'field_unknown', `No rule can ask for "${condition.field}".`)
  const inValue = { ...at, path: `${at.path}.value` }
  switch (condition.op) {
    case 'is':
    case 'in':
      return compileEqual(field, condition, inValue)
    case 'is_not':
    case 'not_in':
      return negate(compileEqual(field, condition, inValue))
    case 'contains':
    case 'starts_with':
    case 'ends_with':
      return compileSearch(field, condition.op, condition, inValue)
    case 'matches':
      return compileMatches(field, condition, inValue)
    case 'between':
      return compileBetween(field, condition, inValue)
    case 'exists':
      return condition.value === false ? negate(compileExists(field)) : compileExists(field)
    default:
      return condition.op satisfies never
  }
}

const negate =
  (test: Test): Test =>
  (facts) =>
    !test(facts)

const anyOf = (tests: readonly Test[]): Test => {
  const [only] = tests
  if (tests.length === 1 && only !== undefined) return only
  return (facts) => {
    for (const test of tests) if (test(facts)) return true
    return false
  }
}

/** The values of a condition: its own, and the lists that it names. */
type Values = { readonly own: readonly RuleScalar[]; readonly listNames: readonly string[] }

function splitValues(condition: Condition, at: Compiling): Values {
  const own: RuleScalar[] = []
  const listNames: string[] = []
  for (const value of valuesOf(condition.value)) {
    const reference = typeof value === 'string' ? readReference(value, at.lists) : undefined
    if (reference === undefined) own.push(value ?? '')
    else if ('text' in reference) own.push(reference.text)
    else if (at.lists!.has(reference.list)) listNames.push(reference.list)
    else return fail(at, 'list_unknown', `There is no list "${reference.list}".`)
  }
  return { own, listNames }
}

/** Own values and entries of lists as texts. */
const textsOf = ({ own, listNames }: Values, lists: RuleLists | undefined): readonly string[] => [
  ...own.map(String),
  ...listNames.flatMap((name) => lists!.entries(name)),
]

/** One for each field, so that it stays in the processor's cache whatever rule asks. */
const readers = new WeakMap<RuleField, ReadText>()

/** The text of a field in lower case; empty where it is not known, `true` or `false` for a flag. */
export function textReader(field: RuleField): ReadText {
  const known = readers.get(field)
  if (known !== undefined) return known
  const reader = newTextReader(field)
  readers.set(field, reader)
  return reader
}

function newTextReader(field: RuleField): ReadText {
  switch (field.kind) {
    case 'number':
    case 'money':
      return (facts) => field.read(facts)?.toString() ?? ''
    case 'flag':
      return (facts) => String(field.read(facts))
    case 'address':
      return (facts) => facts.visitor.ip ?? ''
    case 'time':
    case 'scope':
      return () => ''
    default:
      return field.slot === undefined ? plainReader(field.read) : keptReader(field.read, field.slot)
  }
}

const plainReader =
  (read: (facts: RuleFacts) => string | undefined) =>
  (facts: RuleFacts): string => {
    const text = read(facts)
    return text === undefined ? '' : fold(text)
  }

/** Copied for each click: half the time of an array that is made and filled. */
const NOTHING_FOLDED: readonly (string | undefined)[] = new Array<string | undefined>(SLOTS).fill(undefined)

const keptReader =
  (read: (facts: RuleFacts) => string | undefined, slot: number) =>
  (facts: RuleFacts): string => {
    const texts = (facts.folded ??= NOTHING_FOLDED.slice())
    const kept = texts[slot]
    if (kept !== undefined) return kept
    const text = read(facts)
    return (texts[slot] = text === undefined ? '' : fold(text))
  }

function compileEqual(field: RuleField, condition: Condition, at: Compiling): Test {
  const values = splitValues(condition, at)
  switch (field.kind) {
    case 'text':
    case 'word':
      return compileWords(textReader(field), values, at.lists)
    case 'flag':
      return compileWords(textReader(field), values, at.lists)
    case 'host':
      return compileHosts(textReader(field), values, at.lists)
    case 'language':
      return compileLanguages(textReader(field), values, at.lists)
    case 'reason':
      return compileReasons(textReader(field), values, at.lists)
    case 'number':
      return compileNumbers(
        field.read,
        textsOf(values, at.lists).map((text) => numberOf(field, text)),
      )
    case 'money':
      return compileNumbers(field.read, textsOf(values, at.lists).map(microsOf))
    case 'version':
      return compileVersions(field.read, textReader(field), textsOf(values, at.lists).map(fold))
    case 'address':
      return compileAddresses(values, at.lists)
    case 'time':
      return compileTimes(textsOf(values, at.lists), at)
    case 'scope':
      return compileScopes(textsOf(values, at.lists) as readonly UniqueScope[])
    default:
      return field satisfies never
  }
}

function compileWords(read: ReadText, { own, listNames }: Values, lists: RuleLists | undefined): Test {
  const words = own.map((value) => fold(String(value)))
  const tests = listNames.map((name) => testWords(read, lists!.words(name)))
  if (words.length > 0) tests.push(words.length === 1 ? testWord(read, words[0]!) : testWords(read, new Set(words)))
  return anyOf(tests)
}

const testWord =
  (read: ReadText, word: string): Test =>
  (facts) =>
    read(facts) === word

const testWords =
  (read: ReadText, words: ReadonlySet<string>): Test =>
  (facts) =>
    words.has(read(facts))

function compileHosts(read: ReadText, { own, listNames }: Values, lists: RuleLists | undefined): Test {
  const sets = listNames.map((name) => lists!.hosts(name))
  if (own.length > 0) sets.push(new HostSet(own.map((value) => fold(String(value)))))
  return anyOf(
    sets.map(
      (set): Test =>
        (facts) =>
          set.has(read(facts)),
    ),
  )
}

/** A language is met by itself and every variant of it: `en` by `en-gb`. */
function compileLanguages(read: ReadText, { own, listNames }: Values, lists: RuleLists | undefined): Test {
  const sets: ReadonlySet<string>[] = listNames.map((name) => lists!.words(name))
  if (own.length > 0) sets.push(new Set(own.map((value) => fold(String(value)))))
  return anyOf(
    sets.map(
      (set): Test =>
        (facts) =>
          hasLanguage(set, read(facts)),
    ),
  )
}

function hasLanguage(languages: ReadonlySet<string>, language: string): boolean {
  if (languages.has(language)) return true
  for (let dash = language.lastIndexOf('-'); dash !== -1; dash = language.lastIndexOf('-', dash - 1)) {
    if (languages.has(language.slice(0, dash))) return true
    if (dash === 0) return false
  }
  return false
}

/** `true` and `any` stand for every reason, `false` and `none` for the absence of one. */
function compileReasons(read: ReadText, values: Values, lists: RuleLists | undefined): Test {
  const words = new Set(textsOf(values, lists).map(fold))
  const takesAny = words.has('true') || words.has('any')
  const takesNone = words.has('false') || words.has('none')
  return (facts) => {
    const reason = read(facts)
    return reason === '' ? takesNone : takesAny || words.has(reason)
  }
}

const microsOf = (text: string): number => Number(parseAmount(text) ?? NaN)

function compileNumbers(read: (facts: RuleFacts) => number | undefined, numbers: readonly number[]): Test {
  const [only] = numbers
  if (numbers.length === 1) return (facts) => read(facts) === only
  const set: ReadonlySet<number | undefined> = new Set(numbers)
  return (facts) => set.has(read(facts))
}

function compileVersions(
  read: (facts: RuleFacts) => string | undefined,
  readFolded: ReadText,
  texts: readonly string[],
): Test {
  const names = new Set(texts)
  const bounds = texts.map(parseVersion).filter((bound) => bound !== undefined)
  return (facts) => {
    const text = read(facts)
    if (text === undefined) return false
    const version = parseVersion(text)
    if (version === undefined) return names.has(readFolded(facts))
    return bounds.some((bound) => compareVersion(version, bound) === 0)
  }
}

function compileAddresses({ own, listNames }: Values, lists: RuleLists | undefined): Test {
  const sets = listNames.map((name) => lists!.addresses(name))
  if (own.length > 0) sets.push(new IpSet(readBlocks(own.map(String))))
  return anyOf(
    sets.map((set): Test => (facts) => {
      const { ip } = facts
      return ip !== undefined && set.has(ip)
    }),
  )
}

function compileTimes(texts: readonly string[], at: Compiling): Test {
  const tables = texts.map((text) => {
    const table = readTimeTable(text)
    return table === undefined ? fail(at, 'value_invalid', `"${text}" is no time table.`) : compileTimeTable(table)
  })
  return anyOf(
    tables.map(
      (holds): Test =>
        (facts) =>
          holds(facts.at),
    ),
  )
}

const compileScopes = (scopes: readonly UniqueScope[]): Test =>
  anyOf(
    scopes.map(
      (scope): Test =>
        (facts) =>
          facts.isUnique !== undefined && facts.isUnique(scope),
    ),
  )

type SearchOp = 'contains' | 'starts_with' | 'ends_with'

const IS_FOUND: Readonly<Record<SearchOp, (text: string, part: string) => boolean>> = {
  contains: (text, part) => text.includes(part),
  starts_with: (text, part) => text.startsWith(part),
  ends_with: (text, part) => text.endsWith(part),
}

/** Longer alternatives are looked for one by one: V8 refuses expressions of some hundred thousand characters, and translates long ones
 * slowly.
 */
const JOINED_CHARACTERS_MAX = 4_000

function compileSearch(field: RuleField, op: SearchOp, condition: Condition, at: Compiling): Test {
  const read = textReader(field)
  const isFound = IS_FOUND[op]
  const parts = textsOf(splitValues(condition, at), at.lists).map(fold)
  const [only] = parts
  if (parts.length === 1 && only !== undefined) return (facts) => isFound(read(facts), only)
  const alternatives = parts.map(escapePattern).join('|')
  if (parts.length === 0 || alternatives.length > JOINED_CHARACTERS_MAX) {
    return (facts) => {
      const text = read(facts)
      return parts.some((part) => isFound(text, part))
    }
  }
  const pattern = new RegExp(`${op === 'starts_with' ? '^' : ''}(?:${alternatives})${op === 'ends_with' ? '$' : ''}`)
  return (facts) => pattern.test(read(facts))
}

const escapePattern = (text: string): string => text.replace(/[\\^$.*+?()[\]{}|/-]/g, String.raw`\$&`)

/** Patterns see the text as it came: what they say of upper and lower case counts. */
function compileMatches(field: RuleField, { value }: Condition, at: Compiling): Test {
  const found = readPattern(String(value))
  if (found.kind === 'refused') return fail(at, 'pattern_invalid', found.message)
  const { pattern } = found
  const read = 'read' in field ? field.read : undefined
  return (facts) => pattern.isFoundIn(String(read?.(facts) ?? ''))
}

function compileBetween(field: RuleField, { value }: Condition, at: Compiling): Test {
  const [low = null, high = null] = valuesOf(value)
  switch (field.kind) {
    case 'number':
      return testRange(field.read, low === null ? -Infinity : Number(low), high === null ? Infinity : Number(high))
    case 'money':
      return testRange(
        field.read,
        low === null ? -Infinity : microsOf(String(low)),
        high === null ? Infinity : microsOf(String(high)),
      )
    case 'version':
      return testVersionRange(field.read, boundOf(low), boundOf(high))
    case 'time':
      return testRange(
        (facts) => facts.at,
        low === null ? -Infinity : dateOf(low, at).first,
        high === null ? Infinity : dateOf(high, at).last,
      )
    default:
      return fail(at, 'op_not_for_field', `"between" makes no sense for ${field.name}.`)
  }
}

function testRange(read: (facts: RuleFacts) => number | undefined, low: number, high: number): Test {
  return (facts) => {
    const value = read(facts)
    return value !== undefined && value >= low && value <= high
  }
}

const boundOf = (end: RuleScalar | null): readonly number[] | undefined =>
  end === null ? undefined : parseVersion(String(end))

function testVersionRange(
  read: (facts: RuleFacts) => string | undefined,
  low: readonly number[] | undefined,
  high: readonly number[] | undefined,
): Test {
  return (facts) => {
    const text = read(facts)
    const version = text === undefined ? undefined : parseVersion(text)
    if (version === undefined) return false
    if (low !== undefined && compareVersion(version, low) < 0) return false
    return high === undefined || compareVersion(version, high) <= 0
  }
}

const dateOf = (end: RuleScalar, at: Compiling): { readonly first: number; readonly last: number } =>
  readDate(String(end)) ?? fail(at, 'value_invalid', `"${String(end)}" is no date.`)

function compileExists(field: RuleField): Test {
  switch (field.kind) {
    case 'number':
    case 'money':
      return (facts) => field.read(facts) !== undefined
    case 'address':
      return (facts) => facts.ip !== undefined
    case 'time':
    case 'scope':
    case 'flag':
      return () => true
    default:
      return (facts) => (field.read(facts) ?? '') !== ''
  }
}
