import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'

import { createRandom } from '#platform/random'
import { RuleLists } from '#rules'
import { clickRules, fraudRuleNames, fraudRules } from './fraud-rules.ts'
import { checkFraudSettings } from './settings.ts'
import { decodeVerdict, describeVerdict, encodeVerdict, type FraudAction, type FraudVerdict } from './verdict.ts'

const actions: readonly FraudAction[] = ['none', 'mark', 'divert', 'refuse', 'hold', 'reject']
const reason = fc
  .record({
    rule: fc.oneof(
      fc.constantFrom(...fraudRuleNames),
      fc.stringMatching(/^[a-z0-9_]{1,16}$/).map((name) => `=${name}` as const),
    ),
    score: fc.integer({ min: 1, max: 100 }),
    detail: fc.option(fc.integer({ min: 0, max: 100_000_000 }), { nil: undefined }),
  })
  .map(({ rule, score, detail }) =>
    detail === undefined || rule.startsWith('=') ? { rule, score } : { rule, score, detail },
  )
const verdict = fc.record(
  {
    score: fc.integer({ min: 1, max: 100 }),
    action: fc.constantFrom(...actions),
    reasons: fc.array(reason, { minLength: 1, maxLength: 25 }),
  },
  { noNullPrototype: true },
)

test('a verdict comes back from the record as it was', () => {
  fc.assert(fc.property(verdict, (given) => assert.deepEqual(decodeVerdict(encodeVerdict(given)!), given)))
})

test('any other text is no verdict', () => {
  fc.assert(
    fc.property(fc.string(), (text) => {
      const decoded = decodeVerdict(text)
      assert.ok(decoded === undefined || encodeVerdict(decoded) !== undefined)
    }),
  )
  for (const text of ['', 'm30', 'x30 dc', 'm30 zz', 'm30 dc.', 'm3000 dc'])
    assert.equal(decodeVerdict(text), undefined)
})

test('codes are two letters and each stands for one rule', () => {
  const codes = fraudRuleNames.map((name) => fraudRules[name].code)
  assert.equal(new Set(codes).size, codes.length)
  assert.deepEqual(codes.filter((code) => !/^[a-z]{2}$/.test(code)), []) // prettier-ignore
})

test('every rule has points in 1 to 100 and one sentence', () => {
  for (const { score, sentence } of Object.values(fraudRules)) {
    assert.ok(Number.isInteger(score) && score >= 1 && score <= 100)
    assert.match(sentence, /^[A-Z][^.]*\.$/)
  }
})

test('a clean click carries nothing, a suspect one under 20 bytes on average', (t) => {
  assert.equal(encodeVerdict({ score: 0, reasons: [], action: 'none' }), undefined)
  const random = createRandom(20_261_121)
  const names = Object.keys(clickRules) as (keyof typeof clickRules)[]
  // One to four reasons, every rule as often as every other: more than what comes.
  const lengths = Array.from({ length: 2000 }, () => {
    const rules = names.toSorted(() => random() - 0.5).slice(0, 1 + Math.floor(random() * 4))
    const reasons = rules.map((rule) => ({
      rule,
      score: clickRules[rule].score,
      ...(rule.endsWith('_rate') && { detail: Math.floor(10 ** (1 + 3 * random())) }),
    }))
    return encodeVerdict({ score: 100, reasons, action: 'mark' })!.length
  })
  const mean = lengths.reduce((sum, length) => sum + length, 0) / lengths.length
  t.diagnostic(`seed 20261121: ${mean.toFixed(1)} bytes on average, ${Math.max(...lengths)} at most`)
  assert.ok(mean < 20)
})

test('a verdict says in sentences why, how many points and what followed', () => {
  const found: FraudVerdict = {
    score: 75,
    action: 'mark',
    reasons: [
      { rule: 'ip_rate', score: 50, detail: 47 },
      { rule: 'proxy', score: 25 },
    ],
  }
  assert.equal(encodeVerdict(found), 'm75 ir.1b px')
  assert.deepEqual(describeVerdict(found), [
    'More clicks came from this address than the limit of its window. (47 clicks, 50 points)',
    'The address belongs to a proxy or VPN. (25 points)',
    '75 of 100 points. It was marked.',
  ])
  const own: FraudVerdict = { score: 9, action: 'none', reasons: [{ rule: '=vpn', score: 9 }] }
  assert.deepEqual(describeVerdict(own)[0], 'The rule vpn of the configuration holds. (9 points)')
  assert.deepEqual(describeVerdict(own, { vpn: 'A VPN that we know.' })[0], 'A VPN that we know. (9 points)')
  assert.deepEqual(describeVerdict({ score: 0, reasons: [], action: 'none' }), [])
})

test('wrong settings are named with their path and what is expected', () => {
  assert.deepEqual(checkFraudSettings({}), [])
  assert.deepEqual(
    checkFraudSettings({ referrers: { deny: ['@bad', '*.example.com', 'example.com'] } }, new RuleLists({ bad: [] })),
    [],
  )
  const paths = checkFraudSettings({
    scores: { ...{ nothing: 5 }, trap: 101 },
    thresholds: { mark: 0 },
    conversion_thresholds: { hold: 1.5 },
    rates: { ip: { limit: 0, window_seconds: 90_000 } },
    duplicate_seconds: 0,
    referrers: { allow: ['@unknown', 'https://example.com/'] },
    ctit: { seconds_min: -1, seconds_max: 0 },
    conversions: { per_ip: 0 },
    own_rules: [
      { name: 'A', score: 0, rule: { field: 'nothing', op: 'is', value: 1 } },
      { name: 'b', score: 1, rule: { field: 'country', op: 'is', value: 'DE' } },
      { name: 'b', score: 1, rule: { field: 'country', op: 'is', value: 'DE' } },
    ],
  }).map(({ path }) => path.join('.'))
  assert.deepEqual(paths, [
    'scores.nothing', 'scores.trap', 'thresholds.mark', 'conversion_thresholds.hold', 'rates.ip.limit', 'rates.ip.window_seconds',
    'duplicate_seconds', 'referrers.allow.0', 'referrers.allow.1', 'ctit.seconds_min', 'ctit.seconds_max', 'conversions.per_ip', 'own_rules.0.name', 'own_rules.0.score', 'own_rules.0.rule.field', 'own_rules.2.name',
  ]) // prettier-ignore
})

test('a threshold below that of a softer action, or a time that ends before it begins, is named', () => {
  const found = checkFraudSettings({
    thresholds: { mark: 50, refuse: 20 },
    conversion_thresholds: { mark: 30, hold: 60, reject: 59 },
    ctit: { seconds_min: 100, seconds_max: 10 },
  })
  assert.deepEqual(found.map(({ path, message }) => [path.join('.'), message]), [
    ['thresholds.refuse', 'Expected no less than mark.'],
    ['conversion_thresholds.reject', 'Expected no less than hold.'],
    ['ctit.seconds_max', 'Expected no less than seconds_min.'],
  ]) // prettier-ignore
  const level = { thresholds: { mark: 30, divert: 30, refuse: 30 }, ctit: { seconds_max: 1 } }
  assert.deepEqual(checkFraudSettings(level), [])
})
