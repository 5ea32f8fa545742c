import assert from 'node:assert/strict'
import { test } from 'node:test'
import { runWorld, sights } from './test-world.ts'

const SEEDS = 10_000

function runSeeds(run: (seed: number) => void, seeds: number): string | undefined {
  for (let seed = 1; seed <= seeds; seed += 1) {
    try {
      run(seed)
    } catch (error) {
      return `seed ${seed}: ${error instanceof Error ? error.message : String(error)}`
    }
  }
  return undefined
}

test(`the laws of delivery hold in ${SEEDS} worlds of failing receivers and dying workers, and each was put to the test`, () => {
  const seen = Object.fromEntries(sights.map((name) => [name, 0]))
  const broken = runSeeds((seed) => {
    const report = runWorld(seed)
    for (const name of sights) seen[name]! += report[name]
  }, SEEDS)
  assert.equal(broken, undefined)
  for (const name of sights) assert.ok(seen[name]! >= 50, `${name} came up ${seen[name]} times`)
})

test('the same seed gives the same world', () => {
  for (let seed = 1; seed <= 50; seed += 1) assert.deepEqual(runWorld(seed), runWorld(seed))
})

test('without the fence the laws are broken, so the worlds can see it', () => {
  assert.match(runSeeds((seed) => runWorld(seed, { isFenced: false }), SEEDS) ?? '', /^seed \d+: /)
})
