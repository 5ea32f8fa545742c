import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'

import { createRandom } from '#platform/random'
import { blendDelays, estimateDelays, type DelayedConversions } from './delays.ts'

const HOUR = 3600

/** Conversions known now of clicks evenly spread over the hours before, with exponential delays. */
function knownConversions(seed: number, clicks: number, hours: number, meanDelayHours: number): DelayedConversions[] {
  const random = createRandom(seed)
  return Array.from({ length: clicks }, () => ({
    clickAgeSeconds: random() * hours * HOUR,
    delaySeconds: -Math.log(1 - random()) * meanDelayHours * HOUR,
    count: 1,
  })).filter(({ clickAgeSeconds, delaySeconds }) => delaySeconds <= clickAgeSeconds)
}

test('the share that has come by an age is found from clicks too young to have shown all of it', (t) => {
  const known = knownConversions(20_261_121, 4000, 72, 12)
  const delays = estimateDelays(known)
  const plain = (hours: number): number =>
    known.filter(({ delaySeconds }) => delaySeconds <= hours * HOUR).length / known.length
  for (const hours of [2, 6, 12, 24, 48]) {
    const truth = 1 - Math.exp(-hours / 12)
    t.diagnostic(`${hours} h: true ${truth.toFixed(3)}, estimated ${delays.shareWithin(hours * HOUR).toFixed(3)}, plain ${plain(hours).toFixed(3)}`) // prettier-ignore
    assert.ok(Math.abs(delays.shareWithin(hours * HOUR) - truth) < 0.03)
  }
  assert.ok(plain(12) > 1 - Math.exp(-1) + 0.05, 'the plain share is too high')
})

test('a share is within 0 and 1 and never falls with the age', () => {
  const conversion = fc.record({
    clickAgeSeconds: fc.integer({ min: 0, max: 1000 }),
    delaySeconds: fc.integer({ min: 0, max: 1000 }),
    count: fc.integer({ min: 0, max: 5 }),
  })
  fc.assert(
    fc.property(fc.array(conversion), (conversions) => {
      const { shareWithin } = estimateDelays(conversions)
      let before = 0
      for (let age = 0; age <= 1100; age += 50) {
        const share = shareWithin(age)
        assert.ok(share >= before && share <= 1, `${share} after ${before}`)
        before = share
      }
      assert.equal(before, 1)
    }),
  )
})

test('without conversions nothing is expected to come', () => {
  assert.equal(estimateDelays([]).shareWithin(1), 1)
})

test('conversions that come at once leave nothing to wait for', () => {
  const { shareWithin } = estimateDelays([{ clickAgeSeconds: 100, delaySeconds: 0, count: 5 }])
  assert.equal(shareWithin(0), 1)
})

test('an arm with few conversions leans on all arms, one with many on its own', () => {
  const all = { shareWithin: () => 0, count: 1000 }
  const own = (count: number) => blendDelays({ shareWithin: () => 1, count }, all).shareWithin(1)
  assert.equal(own(0), 0)
  assert.equal(own(5), 0.5)
  assert.ok(own(95) >= 0.95)
})
