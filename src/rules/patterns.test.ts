import assert from 'node:assert/strict'
import { test } from 'node:test'
import { ruleLimits } from './limits.ts'
import { readPattern } from './patterns.ts'

function patternOf(source: string): (text: string) => boolean {
  const found = readPattern(source)
  assert.equal(found.kind, 'read', source)
  return found.kind === 'read' ? found.pattern.isFoundIn : () => false
}

test('a pattern is found anywhere in the text, in either case', () => {
  assert.ok(patternOf('promo-\\d+')('my PROMO-12'))
  assert.ok(!patternOf('^promo')('my promo'))
  assert.ok(!patternOf('(?-i)^promo')('Promo'))
  assert.ok(patternOf('^köln$')('KÖLN'))
})

test('patterns that take others exponential time stay linear', () => {
  const catastrophes = ['^(a+)+$', '(x+x+)+y', '^(a|aa)+$', '^(([a-z])+.)+[A-Z]([a-z])+$', '(.*)*(.*)*[^a]{20}b']
  const text = `${'a'.repeat(2_000)}!`
  for (const source of catastrophes) {
    const isFoundIn = patternOf(source)
    isFoundIn(text)
    const startedAt = performance.now()
    for (let round = 0; round < 5; round += 1) isFoundIn(`${round}${text}`)
    const milliseconds = (performance.now() - startedAt) / 5
    // Measured: 0.003 to 0.3 ms; a backtracking engine does not come back.
    assert.ok(milliseconds < 50, `${source}: ${milliseconds} ms`)
  }
})

test('patterns are bounded in length and size', () => {
  patternOf('a'.repeat(ruleLimits.pattern_length_max))
  assert.equal(readPattern('a'.repeat(ruleLimits.pattern_length_max + 1)).kind, 'refused')
  const repeated = (times: number): string => `(?:ab){${times}}`
  const isRead = (times: number): boolean => readPattern(repeated(times)).kind === 'read'
  assert.ok(isRead(ruleLimits.pattern_size_max / 2 - 10) && !isRead(ruleLimits.pattern_size_max / 2 + 10))
  for (const source of ['(a{1000}){1000}', '((a{100}){10}){10}', '(\\pL{100}){30}'])
    assert.equal(readPattern(source).kind, 'refused', source)
})

test('says what is wrong with a pattern and where', () => {
  const refusals = { 'a(b': 4, 'ab[z': 3, '*a': 1, 'ab\\1': 3, '(?<=a)b': 1, 'x{2,1}': 2 }
  for (const [source, position] of Object.entries(refusals)) {
    const found = readPattern(source)
    assert.equal(found.kind, 'refused', source)
    if (found.kind !== 'refused') continue
    assert.equal(found.position, position, `${source}: ${found.message}`)
    assert.match(found.message, /^The pattern cannot be read: .+\.$/)
  }
})
