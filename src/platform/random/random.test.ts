import assert from 'node:assert/strict'
import { test } from 'node:test'

import { createRandom, drawBeta, drawGamma, drawNormal, type Random } from './random.ts'

const DRAWS = 20_000

function momentsOf(draw: (random: Random) => number): { mean: number; variance: number } {
  const random = createRandom(1)
  const values = Array.from({ length: DRAWS }, () => draw(random))
  const mean = values.reduce((sum, value) => sum + value, 0) / DRAWS
  return { mean, variance: values.reduce((sum, value) => sum + (value - mean) ** 2, 0) / (DRAWS - 1) }
}

function assertMoments(draw: (random: Random) => number, mean: number, variance: number): void {
  const found = momentsOf(draw)
  // Five standard errors of the mean; the variance to a tenth.
  assert.ok(Math.abs(found.mean - mean) < 5 * Math.sqrt(variance / DRAWS), `mean ${found.mean}, not ${mean}`)
  assert.ok(Math.abs(found.variance / variance - 1) < 0.1, `variance ${found.variance}, not ${variance}`)
}

test('the same seed gives the same numbers, another one others', () => {
  const numbersOf = (seed: number): number[] => Array.from({ length: 5 }, createRandom(seed))
  assert.deepEqual(numbersOf(7), numbersOf(7))
  assert.notDeepEqual(numbersOf(7), numbersOf(8))
})

test('uniform numbers have mean 1/2 and variance 1/12', () => assertMoments((random) => random(), 1 / 2, 1 / 12))

test('normal numbers have mean 0 and variance 1', () => assertMoments(drawNormal, 0, 1))

test('gamma numbers have mean and variance of their shape, also below 1', () => {
  assertMoments((random) => drawGamma(random, 4), 4, 4)
  assertMoments((random) => drawGamma(random, 0.3), 0.3, 0.3)
})

test('beta numbers have mean α/(α+β)', () => {
  assertMoments((random) => drawBeta(random, 2, 6), 0.25, 12 / (64 * 9))
})
