import assert from 'node:assert/strict'
import { test } from 'node:test'

import fc from 'fast-check'

import { explainBy, type ValueChange } from './explain.ts'

const counting = { scale: { spread: 1, offset: 1 }, isRatio: false, isOfCounts: true }
const change = (value: string, actual: number, expected: number): ValueChange => ({
  ...{ value, actual: { part: actual, whole: 0 }, expected: { part: expected, whole: 0 } },
})
const ratio = (value: string, actual: readonly [number, number], expected: readonly [number, number]): ValueChange => ({
  ...{ value, actual: { part: actual[0], whole: actual[1] }, expected: { part: expected[0], whole: expected[1] } },
})

test('names the value that is missing, and its part of the difference', () => {
  const found = explainBy('country', [change('TR', 0, 300), change('DE', 495, 500), change('US', 205, 200)], counting)
  assert.deepEqual(found?.values, [
    { value: 'TR', actual: 0, expected: 300, contribution: 1, mix: undefined, rate: undefined },
  ])
  assert.equal(found.explained, 1)
  // Half of 0.3 · ln 2: all of its share of 300 in 1,000 is gone.
  assert.ok(Math.abs(found.surprise - 0.15 * Math.log(2)) < 1e-12)
})

test('explains nothing where everything changed alike, where there is one value only, or where it takes too many', () => {
  assert.equal(explainBy('country', [change('TR', 150, 300), change('DE', 250, 500), change('US', 98, 200)], counting), undefined)
  assert.equal(explainBy('offer_id', [change('lamp', 0, 300)], counting), undefined)
  const many = Array.from({ length: 8 }, (_, index) => change(`a${index}`, 0, 100))
  assert.equal(explainBy('affiliate_id', [...many, change('b', 300, 300)], counting), undefined)
}) // prettier-ignore

test('tells whether a ratio changed because of the traffic or because of the ratio of a value', () => {
  const of = { scale: { spread: 0.3, offset: 1 }, isRatio: true, isOfCounts: true }
  // The offer stopped converting: 10 % of both before, 0 % of one now. Δ = −0.05 = 0.5 · −0.1.
  const broken = explainBy('offer_id', [ratio('lamp', [0, 500], [50, 500]), ratio('car', [50, 500], [50, 500])], of)
  assert.deepEqual(
    broken?.values.map(({ value, contribution, mix, rate }) => [value, contribution, mix, rate]),
    [['lamp', 1, 0, 1]],
  )
  // Nothing converts otherwise, but bad traffic came in addition: (0.5 − 0.1) · (0.01 − the mean of all, …) is all mix.
  const flooded = explainBy('source_id', [ratio('good', [90, 900], [90, 900]), ratio('bad', [9, 900], [1, 100])], of)
  assert.deepEqual(
    flooded?.values.map(({ value, rate }) => [value, rate]),
    [['bad', 0]],
  )
})

test('contributions of all values are the whole difference, for sums and for ratios', () => {
  const number = fc.integer({ min: 0, max: 1_000 })
  const value = fc.record({ part: number, whole: number })
  fc.assert(
    fc.property(fc.array(fc.tuple(value, value), { minLength: 2, maxLength: 6 }), fc.boolean(), (pairs, isRatio) => {
      // Each value alone against the others tells its contribution, whether it is telling or not.
      const changes = pairs.map(([actual, expected], index): ValueChange => ({ value: `${index}`, actual, expected }))
      const found = explainBy('x', changes, { ...counting, isRatio })
      if (found === undefined) return
      assert.ok(found.explained >= 2 / 3 - 1e-9)
      for (const { contribution, mix, rate } of found.values)
        if (isRatio) assert.ok(Math.abs(contribution - mix! - rate!) < 1e-9)
    }),
    { numRuns: 300, seed: 4 },
  )
})
