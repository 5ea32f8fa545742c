import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'

import { toWeights, WEIGHTS_TOTAL } from './to-weights.ts'

test('weights are integers that sum to 10,000 and are within one of their share', () => {
  const share = fc.double({ min: 0, max: 1e6, noNaN: true })
  fc.assert(
    fc.property(fc.array(share, { minLength: 1, maxLength: 200 }), (shares) => {
      const sum = shares.reduce((total, value) => total + value, 0)
      fc.pre(sum > 1e-6)
      const weights = toWeights(shares)
      assert.equal(weights.reduce((total, weight) => total + weight, 0), WEIGHTS_TOTAL) // prettier-ignore
      weights.forEach((weight, at) => {
        assert.ok(Number.isInteger(weight))
        assert.ok(Math.abs(weight - (shares[at]! / sum) * WEIGHTS_TOTAL) <= 1)
      })
    }),
  )
})

test('what is left over goes to the largest remainders, the first of equal ones', () => {
  assert.deepEqual(toWeights([1, 1, 1]), [3334, 3333, 3333])
  assert.deepEqual(toWeights([2, 1]), [6667, 3333])
  assert.deepEqual(toWeights([0, 0]), [0, 0])
  assert.deepEqual(toWeights([]), [])
})
