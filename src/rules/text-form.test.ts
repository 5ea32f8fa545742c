import assert from 'node:assert/strict'
import { test } from 'node:test'
import { ruleLimits } from './limits.ts'
import { parseRule } from './parse-rule.ts'
import { printRule } from './print-rule.ts'
import { testLists } from './test-rules.ts'

const use = { context: 'click', lists: testLists } as const

function reprint(text: string): string {
  const parsed = parseRule(text, use)
  return parsed.kind === 'parsed' ? printRule(parsed.rule) : parsed.errors.map(({ message }) => message).join(' ')
}

test('what is written readably comes back as it was written', () => {
  for (const text of [
    'country in (US, GB) and not (bot is any or is_proxy) and time in "Mon-Fri 09:00-18:00 Europe/Berlin" and ip in @office and browser_version between 100 and 120 and sub1 matches /^abc/',
    'country is IN or region is OR and city is "New York"',
    'not (country is US and os is iOS) or not not is_hosting',
    '(country is US and os is iOS) and not is_proxy',
    'country is US and (os is iOS or os is Android)',
    'all(is_proxy)',
    'any(country is US or is_proxy)',
    'referrer_host in (*.facebook.com, example.com)',
    'browser_version between 16.4 and *',
    'sub1 not exists and sub2.geo exists',
    'sub1 is "@joe" and sub1 in @words and sub1 in ("@joe", x)',
    'referrer_path matches /^\\/a\\/[^\\/]+$/',
    'referrer contains (facebook, "a b")',
    'sub1 is "not" and sub1 is "*" and sub1 is "and, or"',
    'query.a[b] is not 7',
    'bot is none and bot is not any and is_proxy is false and is_proxy is not true',
  ])
    assert.equal(reprint(text), text)
})

test('other ways of writing come out in the usual one', () => {
  const forms = {
    '((country is US))': 'country is US',
    'COUNTRY is US': 'No rule can ask for "COUNTRY". Did you mean "country"?',
    'country IS US AND NOT is_proxy': 'country is US and not is_proxy',
    'country in US': 'country in (US)',
    'asn is AS3320 or asn in (as3209, 680) or asn between AS1 and *':
      'asn is 3320 or asn in (3209, 680) or asn between 1 and *',
    'asn starts with AS33': '"AS33" does not fit asn: expected digits, without AS.',
    'country not_in (US)': 'country not in (US)',
    'sub1 starts_with x or sub1 is_not y': 'sub1 starts with x or sub1 is not y',
    'device is "mobile"': 'device_type is mobile',
    'not bot': 'not bot is any',
    'sub1 matches "^a b"': 'sub1 matches /^a b/',
    'sub1\n  is\tx': 'sub1 is x',
    'all()': '"all" needs at least one rule.',
  }
  for (const [written, printed] of Object.entries(forms)) assert.equal(reprint(written), printed, written)
})

test('mistakes are told with their column and what was expected', () => {
  const mistakes: readonly (readonly [string, number, string])[] = [
    ['', 1, 'Expected a field, "not" or "(", but the rule ends here.'],
    ['country', 8, 'Expected a comparison after country: "is", "in", "contains", '],
    ['foo', 1, 'Expected a condition like "country is DE", but found foo.'],
    ['country is', 11, 'Expected a value, but the rule ends here.'],
    ['country is US and', 18, 'Expected a field, "not" or "(", but the rule ends here.'],
    ['country is US os is iOS', 15, 'Expected "and", "or" or the end of the rule, but found os.'],
    ['(country is US', 15, 'Expected "and", "or" or ")", but the rule ends here.'],
    ['country in (US, )', 17, 'Expected a value, but found ).'],
    ['country in (US GB)', 16, 'Expected "," or ")", but found GB.'],
    ['sub1 starts x', 13, 'Expected "with", but found x.'],
    ['sub1 not contains x', 10, '"not" stands before "in" and "exists" alone: write not (sub1 contains …).'],
    ['sub1 not matches /x/', 10, '"not" stands before "in" and "exists" alone: write not (sub1 matches …).'],
    ['asn NOT BETWEEN 1 and 2', 9, '"not" stands before "in" and "exists" alone: write not (asn between …).'],
    ['sub1 not starts with x', 10, '"not" stands before "in" and "exists" alone: write not (sub1 starts with …).'],
    ['sub1 not ends_with x', 10, '"not" stands before "in" and "exists" alone: write not (sub1 ends with …).'],
    ['sub1 not toString x', 10, 'Expected "in" or "exists", but found toString.'],
    ['sub1 not x', 10, 'Expected "in" or "exists", but found x.'],
    ['asn between 1 or 2', 15, 'Expected "and" and the upper end, but found or.'],
    ['sub1 matches abc', 14, 'Expected a regular expression between slashes, like /^promo-\\d+/, but found abc.'],
    ['sub1 is "abc', 9, 'Expected a " at the end of this text.'],
    ['sub1 is "a\\x"', 9, 'Expected a text as JSON writes it'],
    ['all(is_proxy', 13, 'Expected "," or ")", but the rule ends here.'],
    ['country is US and (os is iOS or contry is GB)', 33, 'No rule can ask for "contry". Did you mean "country"?'],
    ['country is US and asn in (1, x)', 30, '"x" does not fit asn: expected a number.'],
    ['country is US and os between 1 and 2', 22, '"between" makes no sense for os'],
    ['not payout is 3', 5, 'payout is not known for a click'],
    ['ip in @offce', 7, 'There is no list "offce". Did you mean "@office"?'],
    ['sub1 matches /a(b/', 14, 'The pattern cannot be read: missing closing ). (character 4 of the pattern)'],
  ]
  for (const [text, column, message] of mistakes) {
    const parsed = parseRule(text, use)
    const [error] = parsed.kind === 'invalid' ? parsed.errors : []
    assert.ok(error !== undefined && error.message.startsWith(message), `${text}: ${error?.message}`)
    assert.equal(error.column, column, text)
  }
})

test('length and depth are bounded', () => {
  const errorOf = (text: string): string | undefined => {
    const parsed = parseRule(text, use)
    return parsed.kind === 'invalid' ? parsed.errors[0]?.code : undefined
  }
  const nested = (depth: number): string => `${'('.repeat(depth)}is_proxy${')'.repeat(depth)}`
  const nestingMax = 2 * ruleLimits.depth_max
  assert.equal(errorOf(nested(nestingMax - 1)), undefined)
  assert.equal(errorOf(nested(nestingMax)), 'rule_too_deep')
  assert.equal(errorOf('('.repeat(100_000)), 'rule_too_deep')
  assert.equal(errorOf('not '.repeat(100_000)), 'rule_too_deep')
  assert.equal(errorOf('not '.repeat(ruleLimits.depth_max) + 'is_proxy'), 'rule_too_deep')
  const spaces = ' '.repeat(ruleLimits.text_length_max - 'is_proxy'.length)
  assert.equal(errorOf(`${spaces}is_proxy`), undefined)
  assert.equal(errorOf(` ${spaces}is_proxy`), 'rule_too_large')
})
