import assert from 'node:assert/strict'
import { test } from 'node:test'

import { conversionRules, type ConversionRuleName } from './fraud-rules.ts'
import { scoreConversion, type ConversionFacts } from './score-conversion.ts'
import { compileFraud, type FraudSettings } from './settings.ts'

const CLICK_AT = Date.UTC(2026, 10, 20)
const honest: ConversionFacts = {
  clickAt: CLICK_AT,
  convertedAt: CLICK_AT + 600_000,
  ipConversions: 1,
  deviceConversions: 1,
  clickCountry: 'DE',
  conversionCountry: 'DE',
}
const settings: FraudSettings = {
  ctit: { seconds_min: 10, seconds_max: 3600 },
  conversions: { per_ip: 3, per_device: 2 },
}
const score = (facts: ConversionFacts, given: FraudSettings = {}) =>
  scoreConversion(facts, compileFraud({ ...settings, ...given }, undefined))

const suspects: Record<ConversionRuleName, readonly [ConversionFacts, detail?: number]> = {
  before_click: [{ ...honest, convertedAt: CLICK_AT - 1500 }, 2],
  too_fast: [{ ...honest, convertedAt: CLICK_AT + 9_999 }, 9],
  too_late: [{ ...honest, convertedAt: CLICK_AT + 3_601_000 }, 3601],
  ip_conversions: [{ ...honest, ipConversions: 4 }, 4],
  device_conversions: [{ ...honest, deviceConversions: 3 }, 3],
  country_differs: [{ ...honest, conversionCountry: 'VN' }],
}

for (const [rule, [facts, detail]] of Object.entries(suspects) as [
  ConversionRuleName,
  readonly [ConversionFacts, number?],
][]) {
  test(`${rule}: ${conversionRules[rule].sentence}`, () => {
    const points = conversionRules[rule].score
    assert.deepEqual(score(facts).reasons, [{ rule, score: points, ...(detail !== undefined && { detail }) }])
    assert.equal(score(facts, { scores: { [rule]: 0 } }).score, 0, 'a rule with 0 points is off')
  })
}

test('at its limits a conversion is clean', () => {
  assert.deepEqual(score(honest), { score: 0, reasons: [], action: 'none' })
  const atLimits = { ...honest, ipConversions: 3, deviceConversions: 2 }
  assert.equal(score({ ...atLimits, convertedAt: CLICK_AT + 10_000 }).score, 0)
  assert.equal(score({ ...atLimits, convertedAt: CLICK_AT + 3_600_000 }).score, 0)
})

test('what is not known is no reason', () => {
  assert.equal(score({ clickAt: CLICK_AT, convertedAt: CLICK_AT + 60_000, clickCountry: 'DE' }).score, 0)
})

test('the hardest action whose threshold the points reach is taken; by default a conversion is only marked', () => {
  const facts = suspects.too_fast[0]
  assert.equal(score(facts).action, 'mark')
  assert.equal(score(facts, { conversion_thresholds: { mark: 61 } }).action, 'none')
  assert.equal(score(facts, { conversion_thresholds: { hold: 60 } }).action, 'hold')
  assert.equal(score(facts, { conversion_thresholds: { hold: 10, reject: 60 } }).action, 'reject')
})
