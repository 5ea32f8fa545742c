import { parseAmount } from '#platform/money'
import { compileRule, MET } from './compile-rule.ts'
import { continents, countriesOfContinent } from './continents.ts'
import { parseIpBlock, type Ip } from './addresses.ts'
import { fold, RuleFacts } from './facts.ts'
import { factsTables, findField, type FactsTable, type RuleField } from './fields.ts'
import { readReference, type RuleLists } from './lists.ts'
import { valuesOf, type Condition, type Rule, type RuleScalar } from './rule.ts'
import { readDate, readTimeTable, type TimeTable } from './time-table.ts'
import { numberOf } from './values.ts'
import { parseVersion } from './versions.ts'

/** A condition over one table of the facts, with ClickHouse parameters bound under names that begin with `prefix`. */
export type RuleSql =
  | { readonly kind: 'sql'; readonly sql: string; readonly params: Readonly<Record<string, unknown>> }
  /** The rule asks for what the table does not hold, or for too much of it. */
  | { readonly kind: 'not_in_table'; readonly path: string; readonly message: string }

export type RuleSqlOptions = {
  readonly table: FactsTable
  readonly lists?: RuleLists | undefined
  /** Begins the names of the parameters, so that several rules fit into one query. */
  readonly prefix?: string
}

/** Blocks of addresses that a query compares each row with. */
const ADDRESSES_MAX = 1_000

/** A rule as SQL of ClickHouse, for a report's filter. What a fact does not hold reads as the empty text or 0 of its column: an
 * unknown amount is 0 here.
 * @param rule one that validateRule took in the context `report`
 */
export function ruleToSql(rule: Rule, options: RuleSqlOptions): RuleSql {
  const writer = new SqlWriter(options)
  const sql = writer.rule(rule, 'rule')
  const { refusal } = writer
  return refusal === undefined ? { kind: 'sql', sql, params: writer.params } : { kind: 'not_in_table', ...refusal }
}

class SqlWriter {
  readonly params: Record<string, unknown> = {}
  refusal: { readonly path: string; readonly message: string } | undefined
  readonly #table: FactsTable
  readonly #lists: RuleLists | undefined
  readonly #prefix: string
  #count = 0

  constructor({ table, lists, prefix = 'rule' }: RuleSqlOptions) {
    this.#table = table
    this.#lists = lists
    this.#prefix = prefix
  }

  rule(rule: Rule, path: string): string {
    if ('all' in rule) return this.#several(rule.all, `${path}.all`, ' AND ', '1')
    if ('any' in rule) return this.#several(rule.any, `${path}.any`, ' OR ', '0')
    if ('not' in rule) return `NOT ${this.rule(rule.not, `${path}.not`)}`
    return `(${this.#condition(rule, path)})`
  }

  #several(rules: readonly Rule[], path: string, word: string, empty: string): string {
    if (rules.length === 0) return empty
    return `(${rules.map((rule, index) => this.rule(rule, `${path}[${index}]`)).join(word)})`
  }

  #bind(value: unknown, type: string): string {
    const name = `${this.#prefix}_${this.#count++}`
    this.params[name] = value
    return `{${name}:${type}}`
  }

  #refuse(path: string, message: string): string {
    this.refusal ??= { path, message }
    return '0'
  }

  #condition(condition: Condition, path: string): string {
    const field = findField(condition.field)
    const tables = field?.tables ?? factsTables
    if (field?.column === undefined || !tables.includes(this.#table))
      return this.#refuse(`${path}.field`, `${condition.field} is not known of ${this.#table}.`)
    if (condition.op === 'is_not' || condition.op === 'not_in') return `NOT (${this.#equal(field, condition, path)})`
    switch (condition.op) {
      case 'is':
      case 'in':
        return this.#equal(field, condition, path)
      case 'contains':
        return this.#search(field, condition, path, 'position(value, part) > 0')
      case 'starts_with':
        return this.#search(field, condition, path, 'startsWith(value, part)')
      case 'ends_with':
        return this.#search(field, condition, path, 'endsWith(value, part)')
      case 'matches':
        if (field.name === 'continent') return this.#continent(condition)
        // A point takes no line break here, as in a click's rule.
        return `match(${this.#column(field)}, ${this.#bind(`(?i-s)${String(condition.value)}`, 'String')})`
      case 'between':
        return this.#between(field, condition, path)
      case 'exists':
        return condition.value === false ? `NOT (${this.#exists(field, condition)})` : this.#exists(field, condition)
      default:
        return condition.op satisfies never
    }
  }

  #column(field: RuleField): string {
    if (!field.name.startsWith('sub2.')) return field.column!
    return `sub2_keys[${this.#bind(field.name.slice('sub2.'.length), 'String')}]`
  }

  #text(field: RuleField): string {
    return `lowerUTF8(${this.#column(field)})`
  }

  /** Own values and entries of lists. */
  #values(condition: Condition): readonly RuleScalar[] {
    return valuesOf(condition.value).flatMap((value): readonly RuleScalar[] => {
      if (typeof value !== 'string') return value === null ? [] : [value]
      const reference = readReference(value, this.#lists)
      return 'text' in reference ? [reference.text] : this.#lists!.entries(reference.list)
    })
  }

  #words(condition: Condition): readonly string[] {
    return this.#values(condition).map((value) => fold(String(value)))
  }

  #equal(field: RuleField, condition: Condition, path: string): string {
    switch (field.kind) {
      case 'text':
      case 'word':
        if (field.name === 'continent') return this.#continent({ ...condition, op: 'in' })
        return `${this.#text(field)} IN ${this.#bind(this.#words(condition), 'Array(String)')}`
      case 'host':
        return this.#hosts(field, this.#words(condition))
      case 'language': {
        const languages = this.#bind(this.#words(condition), 'Array(String)')
        const text = this.#text(field)
        return `${text} IN ${languages} OR arrayExists(part -> startsWith(${text}, concat(part, '-')), ${languages})`
      }
      case 'reason':
        return this.#reasons(field, this.#words(condition))
      case 'number':
        return `${this.#number(field)} IN ${this.#bind(
          this.#values(condition).map((value) => numberOf(field, value)),
          'Array(Float64)',
        )} AND ${this.#isKnown(field)}`
      case 'money':
        return `${field.column!} IN ${this.#bind(this.#values(condition).map(microsOf), 'Array(Int64)')}`
      case 'version':
        return this.#versions(field, this.#words(condition))
      case 'flag':
        return `toUInt8(${field.column!}) IN ${this.#bind(
          this.#values(condition).map((value) => (String(value) === 'true' ? 1 : 0)),
          'Array(UInt8)',
        )}`
      case 'address':
        return this.#addresses(this.#values(condition).map(String), path)
      case 'time':
        return this.#values(condition).map((text) => this.#timeTable(readTimeTable(String(text))!)).join(' OR ') // prettier-ignore
      case 'scope':
        return this.#scopes(this.#values(condition).map(String))
      default:
        return field satisfies never
    }
  }

  #hosts(field: RuleField, words: readonly string[]): string {
    const hosts = this.#bind(words.map((word) => word.replace(/^\*\./, '')), 'Array(String)') // prettier-ignore
    const parents = words.filter((word) => word.startsWith('*.')).map((word) => word.slice(1))
    const text = this.#text(field)
    return `${text} IN ${hosts} OR arrayExists(part -> endsWith(${text}, part), ${this.#bind(parents, 'Array(String)')})`
  }

  #reasons(field: RuleField, words: readonly string[]): string {
    const text = this.#text(field)
    const parts = [`${text} != '' AND ${text} IN ${this.#bind(words, 'Array(String)')}`]
    if (words.includes('true') || words.includes('any')) parts.push(`${text} != ''`)
    if (words.includes('false') || words.includes('none')) parts.push(`${text} = ''`)
    return parts.map((part) => `(${part})`).join(' OR ')
  }

  /** Facts hold the country only: the rule is asked for each continent, and for no country. */
  #continent(condition: Condition): string {
    const holds = compileRule(condition, this.#lists)
    const isMet = (country: string | undefined): boolean =>
      holds(
        new RuleFacts({ at: 0, visitor: country === undefined ? {} : { country }, parameters: {}, assigned: {} }),
      ) === MET
    const all = continents.flatMap(countriesOfContinent)
    const countries = this.#bind(all.filter(isMet), 'Array(String)')
    if (!isMet(undefined)) return `country IN ${countries}`
    return `country IN ${countries} OR country NOT IN ${this.#bind(all, 'Array(String)')}`
  }

  #number(field: RuleField): string {
    if (field.name !== 'ctit_seconds') return `toFloat64(${field.column!})`
    return '((toUnixTimestamp64Milli(at) - toUnixTimestamp64Milli(click_at)) / 1000)'
  }

  /** Columns hold 0 for what is not known. */
  #isKnown(field: RuleField): string {
    return field.name === 'ctit_seconds' ? 'toUnixTimestamp64Milli(click_at) > 0' : `${field.column!} != 0`
  }

  /** The numbers of a version, as many as the bound has. */
  #version(field: RuleField, size: number): string {
    const numbers = `extract(${field.column!}, '^[0-9]{1,9}(?:\\\\.[0-9]{1,9}){0,7}')`
    return `arrayResize(arrayMap(part -> toUInt64OrZero(part), splitByChar('.', ${numbers})), ${size}, toUInt64(0))`
  }

  #versions(field: RuleField, words: readonly string[]): string {
    const bounds = words.map(parseVersion).filter((bound) => bound !== undefined)
    const isNumbered = `match(${field.column!}, '^[0-9]')`
    const names = `(NOT ${isNumbered} AND ${field.column!} != '' AND ${this.#text(field)} IN ${this.#bind(words, 'Array(String)')})`
    const equal = bounds.map(
      (bound) => `(${isNumbered} AND ${this.#version(field, bound.length)} = ${this.#bind(bound, 'Array(UInt64)')})`,
    )
    return [names, ...equal].join(' OR ')
  }

  #addresses(blocks: readonly string[], path: string): string {
    if (blocks.length > ADDRESSES_MAX)
      return this.#refuse(`${path}.value`, `A report compares with at most ${ADDRESSES_MAX} addresses and blocks.`)
    const ranges = blocks.map((block) => parseIpBlock(block)!)
    const firsts = this.#bind(ranges.map(({ first }) => ipText(first)), 'Array(String)') // prettier-ignore
    const lasts = this.#bind(ranges.map(({ last }) => ipText(last)), 'Array(String)') // prettier-ignore
    const isWithin = 'ip >= toIPv6(first) AND ip <= toIPv6(last)'
    // An address that is not known is `::`. IPv4 addresses are kept as ::ffff:1.2.3.4, which no block of IPv6 is asked for.
    const ofSameKind = "startsWith(toString(ip), '::ffff:') = startsWith(first, '::ffff:')"
    return `ip != toIPv6('::') AND arrayExists((first, last) -> ${isWithin} AND ${ofSameKind}, ${firsts}, ${lasts})`
  }

  #timeTable({ days, spans, zone }: TimeTable): string {
    const name = this.#bind(zone, 'String')
    const minute = `(toHour(at, ${name}) * 60 + toMinute(at, ${name}))`
    const isOn = (shift: number): string => {
      const numbers = days.flatMap((isSet, day) => (isSet ? [((day + shift) % 7) + 1] : []))
      return `toDayOfWeek(at, 0, ${name}) IN ${this.#bind(numbers, 'Array(UInt8)')}`
    }
    const parts = spans.map(({ start, end }) => {
      const from = `${minute} >= ${this.#bind(start, 'UInt16')}`
      const to = `${minute} < ${this.#bind(end, 'UInt16')}`
      return start < end ? `(${isOn(0)} AND ${from} AND ${to})` : `((${isOn(0)} AND ${from}) OR (${isOn(1)} AND ${to}))`
    })
    return `(${parts.join(' OR ')})`
  }

  #scopes(scopes: readonly string[]): string {
    return scopes.map((scope) => `is_unique_${scope}`).join(' OR ')
  }

  #search(field: RuleField, condition: Condition, path: string, test: string): string {
    if (field.name === 'continent') return this.#continent(condition)
    if (field.kind === 'number' && field.column !== 'asn')
      return this.#refuse(`${path}.op`, `Reports look for no text in ${field.name}.`)
    const text = field.kind === 'number' ? `if(asn = 0, '', toString(asn))` : this.#text(field)
    const parts = this.#bind(this.#words(condition), 'Array(String)')
    return `arrayExists(part -> ${test.replaceAll('value', text)}, ${parts})`
  }

  #between(field: RuleField, { value }: Condition, path: string): string {
    const [low = null, high = null] = valuesOf(value)
    const parts: string[] = []
    const add = (sql: string): void => void parts.push(sql)
    switch (field.kind) {
      case 'number':
        add(this.#isKnown(field))
        if (low !== null) add(`${this.#number(field)} >= ${this.#bind(Number(low), 'Float64')}`)
        if (high !== null) add(`${this.#number(field)} <= ${this.#bind(Number(high), 'Float64')}`)
        break
      case 'money':
        if (low !== null) add(`${field.column!} >= ${this.#bind(microsOf(low), 'Int64')}`)
        if (high !== null) add(`${field.column!} <= ${this.#bind(microsOf(high), 'Int64')}`)
        break
      case 'time':
        if (low !== null) add(`at >= fromUnixTimestamp64Milli(${this.#bind(readDate(String(low))!.first, 'Int64')})`)
        if (high !== null) add(`at <= fromUnixTimestamp64Milli(${this.#bind(readDate(String(high))!.last, 'Int64')})`)
        break
      case 'version':
        add(`match(${field.column!}, '^[0-9]')`)
        if (low !== null) add(this.#versionBound(field, low, '>='))
        if (high !== null) add(this.#versionBound(field, high, '<='))
        break
      default:
        return this.#refuse(`${path}.op`, `"between" makes no sense for ${field.name}.`)
    }
    return parts.join(' AND ')
  }

  #versionBound(field: RuleField, end: RuleScalar, comparison: '>=' | '<='): string {
    const bound = parseVersion(String(end))!
    return `${this.#version(field, bound.length)} ${comparison} ${this.#bind(bound, 'Array(UInt64)')}`
  }

  #exists(field: RuleField, condition: Condition): string {
    switch (field.kind) {
      case 'number':
        return this.#isKnown(field)
      case 'money':
        return `${field.column!} != 0`
      case 'address':
        return `ip != toIPv6('::')`
      case 'flag':
      case 'time':
      case 'scope':
        return '1'
      default:
        return field.name === 'continent'
          ? this.#continent({ ...condition, value: true })
          : `${this.#column(field)} != ''`
    }
  }
}

const microsOf = (value: RuleScalar): number => Number(parseAmount(String(value)) ?? 0n)

/** An address as ClickHouse reads it into an IPv6. */
function ipText({ isV4, w0, w1, w2, w3 }: Ip): string {
  if (isV4) return `::ffff:${[24, 16, 8, 0].map((shift) => (w3 >>> shift) & 0xff).join('.')}`
  return [w0, w1, w2, w3].flatMap((word) => [word >>> 16, word & 0xffff].map((group) => group.toString(16))).join(':')
}
