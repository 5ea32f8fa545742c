import assert from 'node:assert/strict'
import { test } from 'node:test'

import { RuleFacts, RuleLists } from '#rules'
import type { OwnRule } from './own-rules.ts'
import { emptyRateCounters } from './rate-counters.ts'
import { scoreClick } from './score-click.ts'
import { scoreConversion } from './score-conversion.ts'
import { checkFraudSettings, compileFraud } from './settings.ts'

const AT = Date.UTC(2026, 10, 20)
const visitor = { ip: '203.0.113.7', user_agent: 'Mozilla/5.0 Firefox/140.0', language: 'en', country: 'DE' }
const factsWith = (sub1: string): RuleFacts => new RuleFacts({ at: AT, visitor, parameters: { sub1 }, assigned: {} })
const ruleFacts = factsWith('zone-17')
const click = { at: AT, visitor, hints: {}, isHttps: true, isTrap: false, ruleFacts }
const conversion = { clickAt: AT, convertedAt: AT + 60_000, ruleFacts }

const lists = new RuleLists({ zones: ['zone-16', 'zone-17'] })
const badZone: OwnRule = {
  name: 'bad_zone',
  score: 35,
  rule: { field: 'sub1', op: 'in', value: ['@zones'] },
}

test('a rule of the operator gives a click its points, with its name as the reason', () => {
  const settings = compileFraud({ own_rules: [badZone] }, undefined, lists)
  assert.deepEqual(scoreClick(click, settings, emptyRateCounters), {
    score: 35,
    reasons: [{ rule: '=bad_zone', score: 35 }],
    action: 'mark',
  })
  const other = factsWith('zone-1')
  assert.equal(scoreClick({ ...click, ruleFacts: other }, settings, emptyRateCounters).score, 0)
})

test('a rule for conversions is not asked of clicks', () => {
  const settings = compileFraud({ own_rules: [{ ...badZone, at: 'conversion' }] }, undefined, lists)
  assert.equal(scoreClick(click, settings, emptyRateCounters).score, 0)
  assert.deepEqual(scoreConversion(conversion, settings).reasons, [{ rule: '=bad_zone', score: 35 }])
})

test("an offer's rule replaces that of the installation with the same name and stands beside the others", () => {
  const second: OwnRule = { ...badZone, name: 'second', score: 5 }
  const settings = compileFraud({ own_rules: [badZone, second] }, { own_rules: [{ ...badZone, score: 1 }] }, lists)
  assert.equal(scoreClick(click, settings, emptyRateCounters).score, 6)
})

test('without facts for rules none of them is asked', () => {
  const settings = compileFraud({ own_rules: [badZone] }, undefined, lists)
  assert.equal(scoreClick({ ...click, ruleFacts: undefined }, settings, emptyRateCounters).score, 0)
})

test('more rules than the limit are refused', () => {
  const rules = Array.from({ length: 51 }, (_, at) => ({ ...badZone, name: `r${at}` }))
  assert.deepEqual(checkFraudSettings({ own_rules: rules.slice(0, 50) }, lists), [])
  assert.deepEqual(checkFraudSettings({ own_rules: rules }, lists).map(({ path }) => path.join('.')), ['own_rules']) // prettier-ignore
})
