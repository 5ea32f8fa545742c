import assert from 'node:assert/strict'
import { test } from 'node:test'
import { ruleErrorCodes } from './errors.ts'
import { findField, ruleFields } from './fields.ts'
import { ruleLimits } from './limits.ts'
import { RuleLists } from './lists.ts'
import type { Rule, RuleContext } from './rule.ts'
import { testLists } from './test-rules.ts'
import { validateRule } from './validate-rule.ts'

const german = { field: 'country', op: 'is', value: 'DE' } as const

function errorsOf(value: unknown, context: RuleContext = 'click', lists: RuleLists | undefined = testLists): string[] {
  const verdict = validateRule(value, 'flow.rule', { context, lists })
  return verdict.kind === 'valid' ? [] : verdict.errors.map(({ path, code, message }) => `${path} ${code} ${message}`)
}

function storedForm(value: unknown, context: RuleContext = 'click', lists?: RuleLists): Rule | undefined {
  const verdict = validateRule(value, 'rule', { context, lists })
  return verdict.kind === 'valid' ? verdict.rule : undefined
}

/** A rule, and how the first error begins that it gives. */
const mistakes: readonly (readonly [unknown, string])[] = [
  ['country is DE', 'flow.rule not_a_rule A rule is {"all"'],
  [{ all: [german], any: [german] }, 'flow.rule not_a_rule'],
  [{ every: [] }, 'flow.rule not_a_rule'],
  [[german], 'flow.rule not_a_rule'],
  [{ all: german }, 'flow.rule.all not_a_rule "all" takes a list of rules.'],
  [{ not: null }, 'flow.rule.not not_a_rule'],
  [{ ...german, value2: 1 }, 'flow.rule.value2 not_a_rule A condition has field, op and value, and nothing else.'],
  [{ any: [] }, 'flow.rule.any rule_empty "any" needs at least one rule.'],
  [{ all: [german, { not: { ...german, field: 'contry' } }] }, 'flow.rule.all[1].not.field field_unknown No rule can ask for "contry". Did you mean "country"?'],
  [{ ...german, field: 'sub31' }, 'flow.rule.field field_unknown No rule can ask for "sub31". Did you mean "sub'],
  [{ ...german, field: 'sub2.' }, 'flow.rule.field field_unknown "sub2." is no field: write sub2.<key>.'],
  [{ ...german, field: 'query.a b' }, 'flow.rule.field field_unknown "query.a b" is no field: write query.<name>.'],
  [{ ...german, field: 7 }, 'flow.rule.field field_unknown A field is named by a text.'],
  [{ field: 'payout', op: 'is', value: 1 }, 'flow.rule.field field_not_here payout is not known for a click: only for conversion, report.'],
  [{ ...german, op: 'like' }, 'flow.rule.op op_unknown There is no comparison "like".'],
  [{ ...german, op: 'contain' }, 'flow.rule.op op_unknown There is no comparison "contain". Did you mean "contains"?'],
  [{ field: 'country', op: 'between', value: [1, 2] }, 'flow.rule.op op_not_for_field "between" makes no sense for country, a word.'],
  [{ field: 'is_proxy', op: 'contains', value: 't' }, 'flow.rule.op op_not_for_field'],
  [german.field, 'flow.rule not_a_rule'],
  [{ field: 'country', op: 'is' }, 'flow.rule.value value_invalid country is needs a value to compare with.'],
  [{ field: 'country', op: 'is', value: {} }, 'flow.rule.value value_invalid "{}" does not fit country: expected a text, a number, true or false.'],
  [{ field: 'country', op: 'is', value: 'de' }, 'flow.rule.value value_invalid "de" does not fit country: expected a country code: ISO 3166-1 alpha-2 in upper case, like DE or GB.'],
  [{ field: 'country', op: 'in', value: ['DE', 'Germany'] }, 'flow.rule.value[1] value_invalid "Germany" does not fit country'],
  [{ field: 'continent', op: 'is', value: 'Europe' }, 'flow.rule.value value_invalid "Europe" does not fit continent: expected one of AF, AN'],
  [{ field: 'device_type', op: 'is', value: 'phone' }, 'flow.rule.value value_invalid "phone" does not fit device_type: expected one of desktop'],
  [{ field: 'city', op: 'is', value: '' }, 'flow.rule.value value_invalid "" does not fit city: expected at least one character.'],
  [{ field: 'city', op: 'is', value: true }, 'flow.rule.value value_invalid "true" does not fit city: expected a text.'],
  [{ field: 'city', op: 'is', value: ['a'] }, 'flow.rule.value value_invalid "is" takes a single value. Use "in".'],
  [{ field: 'city', op: 'in', value: 'a' }, 'flow.rule.value value_invalid "in" takes a list. Use "is" for a single value.'],
  [{ field: 'asn', op: 'is', value: 'ASN3320' }, 'flow.rule.value value_invalid "ASN3320" does not fit asn: expected a number.'],
  [{ field: 'cost', op: 'is', value: '1,50' }, 'flow.rule.value value_invalid "1,50" does not fit cost: expected an amount'],
  [{ field: 'cost', op: 'between', value: [2, 1] }, 'flow.rule.value value_invalid The lower end 2 is above the upper end 1.'],
  [{ field: 'os_version', op: 'between', value: ['10', '9'] }, 'flow.rule.value value_invalid The lower end 10 is above the upper end 9.'],
  [{ field: 'time', op: 'between', value: ['2026-02-01', '2026-01-01'] }, 'flow.rule.value value_invalid The lower end'],
  [{ field: 'asn', op: 'between', value: [null, null] }, 'flow.rule.value value_invalid "between" takes two ends'],
  [{ field: 'asn', op: 'between', value: 5 }, 'flow.rule.value value_invalid "between" takes two ends'],
  [{ field: 'os_version', op: 'is', value: 16.4 }, 'flow.rule.value value_invalid "16.4" does not fit os_version: expected a version with a point as text'],
  [{ field: 'os_version', op: 'between', value: ['XP', null] }, 'flow.rule.value[0] value_invalid "XP" does not fit os_version'],
  [{ field: 'is_proxy', op: 'is', value: 'yes' }, 'flow.rule.value value_invalid "yes" does not fit is_proxy: expected true or false.'],
  [{ field: 'ip', op: 'in', value: ['10.0.0.0/8', '10.0.0/8'] }, 'flow.rule.value[1] value_invalid "10.0.0/8" does not fit ip: expected an address'],
  [{ field: 'ip', op: 'in', value: ['@words'] }, 'flow.rule.value[0] value_invalid The list "words" holds "US": expected addresses'],
  [{ field: 'asn', op: 'in', value: ['@words'] }, 'flow.rule.value[0] value_invalid The list "words" holds "US": expected a number.'],
  [{ field: 'time', op: 'is', value: '9 to 5' }, 'flow.rule.value value_invalid "9 to 5" does not fit time: expected weekdays, hours and an IANA zone'],
  [{ field: 'time', op: 'between', value: ['today', null] }, 'flow.rule.value[0] value_invalid "today" does not fit time: expected a date'],
  [{ field: 'unique', op: 'is', value: 'flow' }, 'flow.rule.value value_invalid "flow" does not fit unique: expected one of campaign, offer, global.'],
  [{ field: 'referrer_host', op: 'is', value: 'https://a.b' }, 'flow.rule.value value_invalid "https://a.b" does not fit referrer_host: expected a host name'],
  [{ field: 'domain', op: 'is', value: '*.example.com:8080' }, 'flow.rule.value value_invalid "*.example.com:8080" does not fit domain: expected a host name without a port'],
  [{ field: 'referrer_host', op: 'in', value: ['[2001:db8::1]', '[2001:db8::1]:80'] }, 'flow.rule.value[1] value_invalid "[2001:db8::1]:80" does not fit referrer_host: expected a host name without a port'],
  [{ field: 'country', op: 'is', value: 'UK' }, 'flow.rule.value value_invalid "UK" does not fit country: expected a country code: ISO 3166-1 alpha-2 in upper case, like DE or GB.'],
  [{ field: 'bot', op: 'is_not', value: 'datacenter' }, 'flow.rule.value value_invalid "datacenter" does not fit bot: expected one of any, none, user_agent, empty_user_agent, datacentre.'],
  [{ field: 'language', op: 'in', value: ['en', 'en_GB'] }, 'flow.rule.value[1] value_invalid "en_GB" does not fit language: expected a language, like en or en-gb.'],
  [{ field: 'language', op: 'is', value: 'english' }, 'flow.rule.value value_invalid "english" does not fit language'],
  [{ field: 'sub1', op: 'exists', value: 'maybe' }, 'flow.rule.value value_invalid "maybe" does not fit sub1: expected true or false.'],
  [{ field: 'sub1', op: 'is', value: 'x'.repeat(256) }, 'flow.rule.value value_invalid "'],
  [{ field: 'sub1', op: 'in', value: ['@offce'] }, 'flow.rule.value[0] list_unknown There is no list "offce". Did you mean "@office"?'],
  [{ field: 'sub1', op: 'is', value: '@zzzzzzzzz' }, 'flow.rule.value list_unknown There is no list "zzzzzzzzz". Write "@@zzzzzzzzz" for the text "@zzzzzzzzz".'],
  [{ field: 'sub1', op: 'in', value: [] }, 'flow.rule.value list_too_long A list has 1 to 100000 values, not 0.'],
  [{ field: 'sub1', op: 'matches', value: 'a(b' }, 'flow.rule.value pattern_invalid The pattern cannot be read: missing closing ). (character 4 of the pattern)'],
  [{ field: 'sub1', op: 'matches', value: '(a{1000}){100}' }, 'flow.rule.value pattern_invalid'],
] // prettier-ignore

test('each mistake is told with its place and what was expected', () => {
  for (const [value, expected] of mistakes) {
    const [first = 'valid'] = errorsOf(value)
    assert.ok(first.startsWith(expected), `${JSON.stringify(value)?.slice(0, 100)}\n  ${first}`)
  }
})

const nested = (depth: number): Rule => (depth === 1 ? german : { not: nested(depth - 1) })
const several = (count: number): Rule => ({ all: Array.from({ length: count }, () => german) })
const list = (count: number): Rule => ({ field: 'sub1', op: 'in', value: Array.from({ length: count }, String) })
const patterns = (count: number): Rule => ({
  all: Array.from({ length: count }, () => ({ field: 'sub1', op: 'matches', value: 'a' })),
})
const long = (length: number): Rule => ({ field: 'sub1', op: 'is', value: 'x'.repeat(length) })

test('a rule at each limit is taken, one past it refused', () => {
  const limits: readonly (readonly [(size: number) => Rule, number, string])[] = [
    [nested, ruleLimits.depth_max, 'rule_too_deep'],
    [several, ruleLimits.conditions_max, 'rule_too_large'],
    [list, ruleLimits.values_max, 'list_too_long'],
    [patterns, ruleLimits.patterns_max, 'rule_too_large'],
    [long, ruleLimits.value_length_max, 'value_invalid'],
  ]
  for (const [make, limit, code] of limits) {
    assert.deepEqual(errorsOf(make(limit)), [])
    assert.match(errorsOf(make(limit + 1))[0] ?? 'valid', new RegExp(` ${code} .*${limit}`))
  }
  const values = (lists: number): Rule => ({ any: Array.from({ length: lists }, () => list(ruleLimits.values_max)) })
  const most = ruleLimits.total_values_max / ruleLimits.values_max
  assert.deepEqual(errorsOf(values(most)), [])
  assert.match(errorsOf(values(most + 1))[0] ?? 'valid', / rule_too_large /)
})

test('no more than fifty mistakes are told at once', () => {
  const wrong = { all: Array.from({ length: 200 }, () => ({ ...german, value: 'x' })) }
  assert.equal(errorsOf(wrong).length, ruleLimits.errors_max)
})

test('every code comes up', () => {
  const seen = new Set(mistakes.map(([value]) => errorsOf(value)[0]?.split(' ')[1]))
  for (const code of ['rule_too_deep', 'rule_too_large', 'syntax']) seen.add(code)
  assert.deepEqual(seen, new Set(Object.keys(ruleErrorCodes)))
})

test('a rule is stored in one form', () => {
  const forms: readonly (readonly [unknown, unknown])[] = [
    [
      { field: 'device', op: 'is', value: 'mobile' },
      { field: 'device_type', op: 'is', value: 'mobile' },
    ],
    [
      { field: 'asn', op: 'in', value: ['3320', 3209] },
      { field: 'asn', op: 'in', value: [3320, 3209] },
    ],
    [
      { field: 'cost', op: 'between', value: [0.5, '2.50'] },
      { field: 'cost', op: 'between', value: ['0.5', '2.5'] },
    ],
    [
      { field: 'os_version', op: 'is', value: 16 },
      { field: 'os_version', op: 'is', value: '16' },
    ],
    [
      { field: 'bot', op: 'is', value: 'any' },
      { field: 'bot', op: 'is', value: true },
    ],
    [
      { field: 'is_proxy', op: 'is', value: 'false' },
      { field: 'is_proxy', op: 'is', value: false },
    ],
    [
      { field: 'sub1', op: 'is', value: 42 },
      { field: 'sub1', op: 'is', value: '42' },
    ],
    [
      { field: 'sub1', op: 'matches', value: 'a\\/b' },
      { field: 'sub1', op: 'matches', value: 'a/b' },
    ],
  ]
  for (const [written, stored] of forms) assert.deepEqual(storedForm(written), stored)
  assert.deepEqual(storedForm({ field: 'ip', op: 'in', value: '@office' }, 'click', testLists), {
    field: 'ip',
    op: 'in',
    value: ['@office'],
  })
})

test('names and aliases are each of one field', () => {
  const names = ruleFields.flatMap(({ name, aliases }) => [name, ...aliases])
  assert.equal(new Set(names).size, names.length)
  for (const { name, aliases } of ruleFields) for (const alias of aliases) assert.equal(findField(alias)?.name, name)
})
