import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'

import { learnWeights, type ArmStats } from './learn-weights.ts'
import { optimizeLimits, type OptimizeOptions } from './options.ts'
import { WEIGHTS_TOTAL } from './to-weights.ts'

const HOUR = 3600
const on: OptimizeOptions = { mode: 'on', goal: 'cr', draws: 400 }

/** An arm whose clicks are all a day old and convert within a minute. */
const arm = (arm_id: string, clicks: number, conversions: number, earnedEach?: number): ArmStats => ({
  arm_id,
  weight: 1,
  clicks: [{ age_seconds: 24 * HOUR, count: clicks }],
  conversions: [
    {
      age_seconds: 24 * HOUR,
      delay_seconds: 60,
      count: conversions,
      ...(earnedEach !== undefined && {
        earned: earnedEach * conversions,
        earned_squares: earnedEach ** 2 * conversions,
      }),
    },
  ],
})
const weightsOf = (stats: readonly ArmStats[], options: OptimizeOptions = on, seed = 1): readonly number[] =>
  learnWeights(stats, options, seed).weights.map(({ weight }) => weight)

const anyArms = fc
  .array(
    fc.record({
      weight: fc.integer({ min: 0, max: 3 }),
      clicks: fc.integer({ min: 0, max: 5000 }),
      conversions: fc.integer({ min: 0, max: 200 }),
      earned: fc.integer({ min: -5, max: 50 }),
    }),
    { minLength: 1, maxLength: 8 },
  )
  .map((arms) => arms.map(({ weight, clicks, conversions, earned }, at) => ({ ...arm(`a${at}`, clicks, conversions, earned), weight }))) // prettier-ignore

test('whatever the statistics, weights sum to 10,000 and no arm is below its floor', () => {
  fc.assert(
    fc.property(anyArms, fc.constantFrom('cr' as const, 'epc' as const), fc.double({ min: 0, max: 1, noNaN: true }), (stats, goal, floor_share) => {
      const learning = stats.filter(({ weight }) => weight > 0).length
      fc.pre(learning > 0)
      const { weights, state } = learnWeights(stats, { ...on, goal, floor_share, draws: 100 }, 3)
      assert.equal(weights.reduce((sum, { weight }) => sum + weight, 0), WEIGHTS_TOTAL)
      const floor = Math.floor(Math.min(floor_share, 1 / learning) * WEIGHTS_TOTAL)
      weights.forEach(({ weight }, at) =>
        stats[at]!.weight === 0 ? assert.equal(weight, 0) : assert.ok(weight >= floor, `${weight} < ${floor}`),
      )
      assert.ok(state.arms.every(({ expected, interval }) => expected > 0 && interval[0] <= interval[1]))
    }),
    { numRuns: 60 },
  ) // prettier-ignore
})

test('the same statistics, options and seed give the same weights, and the state is plain JSON', () => {
  const stats = [arm('a', 1000, 30), arm('b', 1000, 33)]
  const learned = learnWeights(stats, on, 7)
  assert.deepEqual(learnWeights(stats, on, 7), learned)
  assert.deepEqual(JSON.parse(JSON.stringify(learned)), learned)
})

test('without any clicks the arms share evenly, but for the luck of the draws', () => {
  for (const weight of weightsOf([arm('a', 0, 0), arm('b', 0, 0), arm('c', 0, 0), arm('d', 0, 0)])) {
    assert.ok(weight > 1_900 && weight < 3_100, String(weight))
  }
})

test('an arm that surely converts better gets all but the floors', () => {
  assert.deepEqual(weightsOf([arm('a', 10_000, 300), arm('b', 10_000, 100), arm('c', 10_000, 100)]), [9600, 200, 200])
  assert.deepEqual(weightsOf([arm('a', 10_000, 300), arm('b', 10_000, 100)], { ...on, floor_share: 0.1 }), [9000, 1000])
})

test('with more arms than the floor allows all get the same', () => {
  const stats = Array.from({ length: 4 }, (_, at) => arm(`a${at}`, 1000, at * 50))
  assert.deepEqual(weightsOf(stats, { ...on, floor_share: 0.5 }), [2500, 2500, 2500, 2500])
})

test('by earnings the arm that earns more per click wins though it converts less', () => {
  const stats = [arm('often', 10_000, 300, 1), arm('dear', 10_000, 200, 2)]
  assert.ok(weightsOf(stats, { ...on, goal: 'cr' })[0]! > 9_000)
  assert.ok(weightsOf(stats, { ...on, goal: 'epc' })[1]! > 9_000)
})

test('one lucky large sale does not decide: it leans on what a conversion earns elsewhere', () => {
  const { state } = learnWeights([arm('usual', 10_000, 300, 10), arm('lucky', 100, 1, 500)], { ...on, goal: 'epc' }, 1)
  const [, lucky] = state.arms
  assert.ok(lucky!.expected < (500 * 1) / 100 / 2, `${lucky!.expected}, not 5 a click`)
})

test('clicks that had no time to convert do not count against an arm', () => {
  const delays = { age_seconds: 48 * HOUR, delay_seconds: 12 * HOUR }
  const old: ArmStats = {
    arm_id: 'old',
    weight: 1,
    clicks: [{ age_seconds: 48 * HOUR, count: 1000 }],
    conversions: [
      { ...delays, count: 15 },
      { ...delays, delay_seconds: 24 * HOUR, count: 15 },
    ],
  }
  const young: ArmStats = {
    arm_id: 'young',
    weight: 1,
    clicks: [
      { age_seconds: 48 * HOUR, count: 1000 },
      { age_seconds: HOUR, count: 1000 },
    ],
    conversions: old.conversions,
  }
  const [first, second] = learnWeights([old, young], on, 1).state.arms
  assert.ok(Math.abs(second!.expected / first!.expected - 1) < 0.1)
  assert.equal(second!.clicks, 2000)
  assert.ok(second!.effective_clicks < 1.1 * first!.effective_clicks)
})

test('an older click counts half with each half-life, and so do its conversions', () => {
  const { state } = learnWeights([arm('a', 1000, 10)], { ...on, half_life_hours: 24 }, 1)
  assert.equal(state.arms[0]!.effective_clicks, 500)
  assert.ok(Math.abs(state.arms[0]!.expected - 0.01) < 0.001)
})

test('the expected value and its interval are those of the Beta distribution', () => {
  const [first] = learnWeights([arm('a', 1000, 100)], { ...on, half_life_hours: 1e9, draws: 20_000 }, 1).state.arms
  // Prior: α 1, β 1/rate − 1 with rate 100.5/1001; posterior mean 101 / (1000 + 1/rate).
  assert.ok(Math.abs(first!.expected - 101 / (1000 + 1001 / 100.5)) < 1e-6)
  // Normal approximation: 0.1 ± 1.645 · √(0.1 · 0.9 / 1010).
  assert.ok(Math.abs(first!.interval[0] - 0.0845) < 0.002 && Math.abs(first!.interval[1] - 0.1155) < 0.002)
})

test('the switch: off keeps the weights and learns nothing, watch keeps them and shows what it would do', () => {
  const stats = [{ ...arm('a', 10_000, 300), weight: 1 }, { ...arm('b', 10_000, 100), weight: 3 }] // prettier-ignore
  const off = learnWeights(stats, { ...on, mode: 'off' }, 1)
  assert.deepEqual(off.weights.map(({ weight }) => weight), [2500, 7500]) // prettier-ignore
  assert.deepEqual(off.state.arms, [])
  const watch = learnWeights(stats, { ...on, mode: 'watch' }, 1)
  assert.deepEqual(watch.weights, off.weights)
  assert.deepEqual(watch.state.arms.map(({ weight, learned_share }) => [weight, learned_share]), [[2500, 0.98], [7500, 0.02]]) // prettier-ignore
})

test('an arm of weight 0 takes no clicks and is not learned; where all have 0 nothing is drawn', () => {
  const stats = [arm('a', 100, 1), { ...arm('b', 100, 90), weight: 0 }]
  assert.deepEqual(weightsOf(stats), [10_000, 0])
  assert.deepEqual(weightsOf(stats.map((each) => ({ ...each, weight: 0 }))), [0, 0])
})

test('more arms than the limit and an arm twice are mistakes of the caller', () => {
  const many = Array.from({ length: optimizeLimits.armsMax + 1 }, (_, at) => arm(`a${at}`, 1, 0))
  assert.throws(() => learnWeights(many, on, 1), RangeError)
  assert.throws(() => learnWeights([arm('a', 1, 0), arm('a', 1, 0)], on, 1), RangeError)
})

test('an arm gets no more than it can take, and the others what is left by their own chances', () => {
  const stats = [arm('best', 5_000, 400), arm('second', 5_000, 250), arm('worst', 5_000, 20)]
  const options = { ...on, floor_share: 0.05 }
  const full = learnWeights([{ ...stats[0]!, share_max: 0 }, ...stats.slice(1)], options, 1)
  assert.deepEqual(full.weights.map(({ weight }) => weight), [0, 9_500, 500]) // prettier-ignore
  const [best, ...others] = full.state.arms
  assert.deepEqual([best!.share_max, best!.best_share, best!.learned_share], [0, 1, 0])
  assert.ok(others.every((one) => !('share_max' in one)))
  const part = [{ ...stats[0]!, share_max: 0.3 }, ...stats.slice(1)]
  assert.deepEqual(weightsOf(part, options), [3_000, 6_500, 500])
  assert.deepEqual(weightsOf([{ ...stats[0]!, share_max: 0.95 }, ...stats.slice(1)], options), [9_000, 500, 500])
  const allFull = stats.map((one) => ({ ...one, share_max: 0 }))
  assert.deepEqual(weightsOf(allFull, options), weightsOf(stats, options))
})

test('whatever arms can take, weights sum to 10,000 and none gets more than that while the others can take the rest', () => {
  const limits = fc.array(fc.option(fc.double({ min: 0, max: 1, noNaN: true }), { nil: undefined }), { minLength: 8, maxLength: 8 }) // prettier-ignore
  fc.assert(
    fc.property(anyArms, limits, fc.double({ min: 0, max: 1, noNaN: true }), (arms, maxima, floor_share) => {
      const stats = arms.map((one, at) => (maxima[at] === undefined ? one : { ...one, share_max: maxima[at] }))
      const open = stats.filter(({ weight }) => weight > 0)
      fc.pre(open.length > 0)
      const weights = weightsOf(stats, { ...on, floor_share, draws: 100 })
      assert.equal(weights.reduce((sum, weight) => sum + weight, 0), WEIGHTS_TOTAL) // prettier-ignore
      if (open.reduce((sum, { share_max = 1 }) => sum + share_max, 0) < 1) return
      stats.forEach(({ share_max = 1 }, at) => assert.ok(weights[at]! <= share_max * WEIGHTS_TOTAL + 1, `${at}`))
    }),
    { numRuns: 300 },
  )
})
