import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { describe, test } from 'node:test'
import fc from 'fast-check'
import { parse } from 'yaml'
import { needsSharedData, readCrawlers, readUserAgentCases } from '../shared-data.ts'
import { LiteralScanner } from './literal-scanner.ts'
import { readRuleFile } from './load-rules.ts'
import { newerBrowsers, newerSystems } from './newer-products.ts'
import { requiredLiterals } from './required-literals.ts'
import { RuleList, type PatternRule } from './rule-list.ts'

const file = readFileSync(createRequire(import.meta.url).resolve('uap-core/regexes.yaml'), 'utf8')
const lists: readonly (readonly PatternRule[])[] = [
  newerBrowsers,
  newerSystems,
  ...Object.values(readRuleFile(file)).map((rules) =>
    rules!.map((rule) => ({ pattern: new RegExp(rule['regex']!, rule['regex_flag'] ?? '') })),
  ),
]

const firstOfAll = (rules: readonly PatternRule[], text: string): PatternRule | undefined =>
  rules.find(({ pattern }) => pattern.test(text))

test('reads the rules of uap-core as a YAML parser does', () => {
  assert.deepEqual(readRuleFile(file), parse(file))
})

test('a line of another form is refused, not passed over', () => {
  assert.throws(() => readRuleFile('user_agent_parsers:\n  - regex: "double"\n'))
})

test('filters every list down to a few rules that are always tried', () => {
  for (const rules of lists) assert.ok(new RuleList(rules).alwaysTriedCount <= 3)
})

describe('the filtered list answers as trying all rules in order does', () => {
  test('for every known user agent', needsSharedData, () => {
    const cases = [...readUserAgentCases('browsers'), ...readUserAgentCases('operating-systems')]
    const texts = [...cases.map((one) => one.user_agent_string), ...readCrawlers()]
    for (const rules of lists) {
      const list = new RuleList(rules)
      for (const text of texts) assert.equal(list.first(text)?.rule, firstOfAll(rules, text), text)
    }
  })

  test('for texts made of pieces of the rules', () => {
    for (const rules of lists) {
      const list = new RuleList(rules)
      const pieces = rules.flatMap(({ pattern }) => [pattern.source, ...(requiredLiterals(pattern.source) ?? [])])
      const piece = fc.oneof(
        fc.constantFrom(...pieces),
        fc.constantFrom(' ', '/', '1.2', '; ', ' Build/', ')'),
        fc.string(),
      )
      const text = fc.array(piece, { maxLength: 6 }).map((parts) => parts.join('').slice(0, 300))
      fc.assert(
        fc.property(text, (made) => list.first(made)?.rule === firstOfAll(rules, made)),
        { numRuns: 300 },
      )
    }
  })
})

test('finds the text that an expression cannot match without', () => {
  for (const [source, literals] of [
    ['(Chrome)/(\\d+)', ['chrome']],
    ['^(?:Foo|Barbar)/', ['foo', 'barbar']],
    ['ab+cd', ['ab']],
    ['a{2}xyz', ['xyz']],
    ['(?:abc)?de', ['de']],
    ['(?:abc)*', undefined],
    ['(?!abc)def', ['def']],
    ['[Bb]ada\\b', ['bada']],
    ['x|yz', undefined],
    ['.*', undefined],
    ['Grün', ['gr']],
  ] as const)
    assert.deepEqual(requiredLiterals(source), literals, source)
})

test('the scanner finds the texts that occur, in any case of letters', () => {
  const literal = fc.string({ unit: fc.constantFrom('a', 'b', ' '), minLength: 1, maxLength: 4 })
  const text = fc.string({ unit: fc.constantFrom('a', 'B', ' ', 'é'), maxLength: 30 })
  fc.assert(
    fc.property(fc.uniqueArray(literal, { maxLength: 8 }), text, (literals, searched) => {
      const found = new Set<number>()
      new LiteralScanner(literals).scan(searched, (number) => found.add(number))
      const expected = literals.flatMap((one, number) => (searched.toLowerCase().includes(one) ? [number] : []))
      assert.deepEqual(found, new Set(expected))
    }),
  )
})
