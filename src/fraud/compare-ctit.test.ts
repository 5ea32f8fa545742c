import assert from 'node:assert/strict'
import { test } from 'node:test'

import { createRandom } from '#platform/random'
import { compareAffiliates, correctByHolm } from './compare-affiliates.ts'
import { compareCtit } from './compare-ctit.ts'
import { honestCtits, withInjectedClicks, withSpammedClicks } from './test-ctit.ts'

const SEED = 20_261_121

/** How many of the trials hold. */
const countOf = (trials: number, holds: () => boolean): number =>
  Array.from({ length: trials }, holds).filter(Boolean).length

for (const [name, size, unitSeconds] of [
  ['20 conversions', 20, 1],
  ['100 conversions', 100, 1],
  ['100 conversions in whole minutes, nearly all of them ties', 100, 60],
] as const) {
  test(`an honest affiliate with ${name} has a p-value below 0.05 in about 5 of 100 comparisons`, (t) => {
    const seed = SEED + size + unitSeconds
    const random = createRandom(seed)
    const honest = (count: number) =>
      honestCtits(random, count).map((ctit) => Math.ceil(ctit / unitSeconds) * unitSeconds)
    const trials = 400
    const pValues = Array.from({ length: trials }, () => compareCtit(honest(size), honest(300)).p_value)
    const below = (limit: number): number => pValues.filter((p) => p <= limit).length
    t.diagnostic(`seed ${seed}, ${trials} comparisons: ${below(0.05)} below 0.05, ${below(0.01)} below 0.01`)
    // Expected at most 20 and 4; the limits are three standard deviations above.
    assert.ok(below(0.05) <= 33)
    assert.ok(below(0.01) <= 10)
  })
}

test('click injection is found from one conversion in ten on', (t) => {
  const random = createRandom(SEED)
  const found = (share: number, size: number) =>
    countOf(50, () => {
      const sample = withInjectedClicks(random, honestCtits(random, size), share)
      return compareCtit(sample, honestCtits(random, 1000)).verdict === 'too_fast'
    })
  const [small, usual, half] = [found(0.1, 30), found(0.1, 100), found(0.5, 30)]
  t.diagnostic(`seed ${SEED}, of 50: ${small} (10 % of 30), ${usual} (10 % of 100), ${half} (50 % of 30)`)
  assert.ok(usual >= 45)
  assert.ok(half >= 49)
})

test('click spamming is found from one conversion in ten on', (t) => {
  const random = createRandom(SEED)
  const found = (share: number, size: number) =>
    countOf(50, () => {
      const sample = withSpammedClicks(random, honestCtits(random, size), share)
      return compareCtit(sample, honestCtits(random, 1000)).verdict === 'too_slow'
    })
  const [small, usual, half] = [found(0.1, 30), found(0.1, 100), found(0.5, 30)]
  t.diagnostic(`seed ${SEED}, of 50: ${small} (10 % of 30), ${usual} (10 % of 100), ${half} (50 % of 30)`)
  assert.ok(usual >= 45)
  assert.ok(half >= 49)
})

test('an audience that takes half as long again is rarely taken for fraud, however many conversions there are', (t) => {
  const random = createRandom(SEED)
  const named = (slowness: number, size: number) =>
    countOf(40, () => {
      const comparison = compareCtit(honestCtits(random, size, 600 * slowness), honestCtits(random, 1000))
      return comparison.verdict !== 'consistent'
    })
  const [few, many] = [named(1.5, 100), named(1.5, 1000)]
  t.diagnostic(`seed ${SEED}, of 40: ${few} (100), ${many} (1,000); twice as long: ${named(2, 100)}, ${named(2, 1000)}`)
  assert.ok(few <= 6)
  assert.ok(many <= 1)
})

test('the statistic is the share of the sample beyond that of the reference, at the cut that is named', () => {
  const reference = Array.from({ length: 1000 }, (_, index) => 100 + index)
  const sample = [...Array.from({ length: 40 }, () => 5), ...Array.from({ length: 60 }, (_, index) => 100 + 16 * index)]
  const comparison = compareCtit(sample, reference)
  assert.equal(comparison.verdict, 'too_fast')
  assert.deepEqual([comparison.seconds, comparison.sample_share, comparison.reference_share], [5, 0.4, 0])
  assert.equal(comparison.statistic, 0.4)
  assert.equal(
    comparison.explanation,
    '40 % of 100 conversions came within 5 seconds after the click; of the 1,000 of others it was 0.00 %. ' +
      'Chance alone makes such a difference in less than 0.01 % of comparisons. ' +
      'At least 40 % of them are not like those of others. Typical of clicks that are injected when somebody converts anyway. ' +
      'Rule out a faster page, a returning audience and test orders.',
  )
})

test('a difference that is certain but small is no verdict and says so', () => {
  const reference = Array.from({ length: 2000 }, (_, index) => index)
  const sample = Array.from({ length: 1000 }, (_, index) => index * 1.7)
  const comparison = compareCtit(sample, reference)
  assert.ok(comparison.p_value < 0.001)
  assert.equal(comparison.verdict, 'consistent')
  assert.match(comparison.explanation, /too small to count/)
})

test('too few conversions say nothing', () => {
  const enough = honestCtits(createRandom(1), 100)
  assert.equal(compareCtit(enough.slice(0, 19), enough).verdict, 'too_few')
  assert.notEqual(compareCtit(enough.slice(0, 20), enough).verdict, 'too_few')
  assert.equal(compareCtit(enough, enough.slice(0, 99)).verdict, 'too_few')
})

test('all conversions in one second are no difference', () => {
  const same = Array.from({ length: 200 }, () => 7)
  const { p_value, verdict } = compareCtit(same, same)
  assert.deepEqual([p_value, verdict], [1, 'consistent'])
})

test('a time that is negative or no number is a mistake of the caller', () => {
  assert.throws(() => compareCtit([-1], [1]), RangeError)
  assert.throws(() => compareCtit([1], [Number.NaN]), RangeError)
})

test('of thirty honest affiliates at most in one of a hundred offers one is named', (t) => {
  const random = createRandom(SEED)
  const offers = 12
  const named = countOf(offers, () => {
    const ctits = new Map(Array.from({ length: 30 }, (_, at) => [`a${at}`, honestCtits(random, 40)] as const))
    return [...compareAffiliates(ctits).values()].some(({ verdict }) => verdict !== 'consistent')
  })
  t.diagnostic(`seed ${SEED}: ${named} of ${offers} offers`)
  assert.ok(named <= 1)
})

test('the cheats are named and the honest are not, also where the cheats have most of the conversions', (t) => {
  const random = createRandom(SEED)
  const honest = Array.from({ length: 6 }, (_, at) => [`honest${at}`, honestCtits(random, 150)] as const)
  const ctits = new Map([
    ...honest,
    ['injects', withInjectedClicks(random, honestCtits(random, 2000), 0.6)],
    ['spams', withSpammedClicks(random, honestCtits(random, 2000), 0.5)],
  ])
  const comparisons = compareAffiliates(ctits)
  t.diagnostic(`seed ${SEED}: ${[...comparisons].map(([name, { verdict }]) => `${name} ${verdict}`).join(', ')}`)
  assert.equal(comparisons.get('injects')!.verdict, 'too_fast')
  assert.equal(comparisons.get('spams')!.verdict, 'too_slow')
  for (const [name] of honest) assert.equal(comparisons.get(name)!.verdict, 'consistent')
  assert.ok(comparisons.get('injects')!.statistic > 0.5)
})

test('the honest do not look slow beside cheats who are nearly half of all', (t) => {
  const random = createRandom(SEED)
  const cheats = ['x', 'y', 'z'].map(
    (name) => [name, withInjectedClicks(random, honestCtits(random, 400), 0.7)] as const,
  )
  const honest = ['a', 'b', 'c', 'd'].map((name) => [name, honestCtits(random, 200)] as const)
  const comparisons = compareAffiliates(new Map([...cheats, ...honest]))
  t.diagnostic(`seed ${SEED}: ${[...comparisons].map(([name, { verdict }]) => `${name} ${verdict}`).join(', ')}`)
  for (const [name] of cheats) assert.equal(comparisons.get(name)!.verdict, 'too_fast')
  for (const [name] of honest) assert.equal(comparisons.get(name)!.verdict, 'consistent')
})

test('three affiliates with just enough conversions are compared, each with both others', () => {
  const random = createRandom(SEED)
  const ctits = new Map(['a', 'b', 'c'].map((name) => [name, honestCtits(random, 50)] as const))
  for (const { verdict, reference_size } of compareAffiliates(ctits).values()) {
    assert.deepEqual([verdict, reference_size], ['consistent', 100])
  }
})

test('two affiliates alone are not compared: either may be the odd one', () => {
  const random = createRandom(SEED)
  const ctits = new Map([
    ['a', honestCtits(random, 200)],
    ['b', withInjectedClicks(random, honestCtits(random, 200), 0.9)],
  ])
  assert.deepEqual([...compareAffiliates(ctits).values()].map(({ verdict }) => verdict), ['too_few', 'too_few']) // prettier-ignore
})

test('Holm multiplies the smallest p-value by their number, the next by one less, and never falls', () => {
  const corrected = correctByHolm([0.02, 0.001, 0.9, 0.012])
  assert.deepEqual(corrected.map((p) => Number(p.toFixed(6))), [0.04, 0.004, 0.9, 0.036]) // prettier-ignore
})
