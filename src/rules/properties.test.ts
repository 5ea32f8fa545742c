import fc from 'fast-check'
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Value } from 'typebox/value'
import { compileRule, MET } from './compile-rule.ts'
import { evaluateRule } from './evaluate-rule.ts'
import { findField } from './fields.ts'
import { parseRule } from './parse-rule.ts'
import { printRule } from './print-rule.ts'
import { listParts } from './rule.ts'
import { ruleSchema } from './schema.ts'
import { testRule, type TestedRule } from './test-rule.ts'
import { anyCondition, anyFacts, anyRule, testLists } from './test-rules.ts'
import { validateRule } from './validate-rule.ts'

const rules = fc.oneof(anyRule(findField, 'click'), anyRule(findField, 'conversion'))

test('compiled and interpreted rules agree, also when the facts were asked before', () => {
  let met = 0
  let all = 0
  fc.assert(
    fc.property(rules, anyFacts, (rule, facts) => {
      const compiled = compileRule(rule, testLists)
      const isMet = evaluateRule(rule, facts, testLists)
      assert.equal(compiled(facts) === MET, isMet)
      assert.equal(compiled(facts) === MET, isMet)
      met += isMet ? 1 : 0
      all += 1
    }),
    { numRuns: 3_000 },
  )
  assert.ok(met > all / 5 && met < (all * 4) / 5, `${met} of ${all} rules were met`)
})

test('alternatives that ask much of a few fields agree with the interpreted ones', () => {
  const fields = new Set([
    'city',
    'sub1',
    'utm_source',
    'referrer',
    'referrer_host',
    'asn',
    'ip',
    'language',
    'os_version',
    'country',
  ])
  const condition = anyCondition(findField)
    .filter(({ field }) => fields.has(field))
    .map((written) => validateRule(written, 'rule', { context: 'click', lists: testLists }))
    .filter((verdict) => verdict.kind === 'valid')
    .map((verdict) => verdict.rule)
  let met = 0
  fc.assert(
    fc.property(fc.array(condition, { minLength: 2, maxLength: 12 }), anyFacts, (any, facts) => {
      const isMet = evaluateRule({ any }, facts, testLists)
      assert.equal(compileRule({ any }, testLists)(facts) === MET, isMet, JSON.stringify(any))
      met += isMet ? 1 : 0
    }),
    { numRuns: 2_000 },
  )
  assert.ok(met > 300 && met < 1_900, `${met} of 2,000 rules were met`)
})

test('single conditions of every field and comparison agree too', () => {
  const seen = new Set<string>()
  fc.assert(
    fc.property(anyCondition(findField), anyFacts, (written, facts) => {
      const verdicts = (['click', 'conversion'] as const).map((context) =>
        validateRule(written, 'rule', { context, lists: testLists }),
      )
      const valid = verdicts.find((verdict) => verdict.kind === 'valid')
      if (valid?.kind !== 'valid') return
      seen.add(`${written.field} ${written.op}`)
      const isMet = evaluateRule(valid.rule, facts, testLists)
      assert.equal(compileRule(valid.rule, testLists)(facts) === MET, isMet, JSON.stringify(valid.rule))
    }),
    { numRuns: 6_000 },
  )
  assert.ok(seen.size > 400, `only ${seen.size} pairs of field and comparison came up`)
})

test('the text form reads back as the same rule', () => {
  for (const context of ['click', 'conversion'] as const)
    fc.assert(
      fc.property(anyRule(findField, context), (rule) => {
        const text = printRule(rule)
        assert.deepEqual(parseRule(text, { context, lists: testLists }), { kind: 'parsed', rule }, text)
      }),
      { numRuns: 2_000 },
    )
})

test('a rule in the stored form is valid as it is, and of the shape of the schema', () => {
  fc.assert(
    fc.property(anyRule(findField, 'click'), (rule) => {
      assert.deepEqual(validateRule(rule, 'rule', { context: 'click', lists: testLists }), { kind: 'valid', rule })
      assert.ok(Value.Check(ruleSchema, rule))
    }),
  )
})

/** What stands at `rule.all[1].not`. */
const partAt = (rule: unknown, path: string): unknown =>
  [...path.matchAll(/\.(\w+)|\[(\d+)\]/g)].reduce(
    (at, [, key, index]) => (at as Record<string, unknown>)[key ?? index!],
    rule,
  )

test('a tested rule tells the same as a compiled one, with the numbers and paths of its parts', () => {
  const flatten = (tested: TestedRule): readonly TestedRule[] =>
    tested.kind === 'condition' ? [tested] : [tested, ...tested.parts.flatMap(flatten)]
  fc.assert(
    fc.property(rules, anyFacts, (rule, facts) => {
      const tested = testRule(rule, facts, testLists)
      const answer = compileRule(rule, testLists)(facts)
      const parts = flatten(tested)
      assert.equal(tested.isMet, answer === MET)
      assert.deepEqual(parts.map(({ part }) => part), listParts(rule).map((_, index) => index)) // prettier-ignore
      assert.deepEqual(parts.map(({ path }) => partAt(rule, path)), listParts(rule)) // prettier-ignore
      if (answer !== MET) assert.equal(parts[answer]?.isMet, false)
    }),
  )
})

test('whatever is written: reading and checking never throw', () => {
  const words = fc.constantFrom('country', 'is', 'not', 'in', '(', ')', ',', 'and', 'or', 'US', '"', '/a/', '@x', 'matches', 'between', '*', 'all(', 'any(') // prettier-ignore
  fc.assert(
    fc.property(
      fc.oneof(
        fc.string(),
        fc.array(words).map((parts) => parts.join(' ')),
      ),
      (text) => {
        const parsed = parseRule(text, { context: 'click', lists: testLists })
        if (parsed.kind === 'invalid')
          for (const { column } of parsed.errors) assert.ok(column >= 1 && column <= text.length + 1)
      },
    ),
    { numRuns: 2_000 },
  )
  fc.assert(fc.property(fc.jsonValue(), (value) => void validateRule(value, 'rule', { context: 'click' })))
})
