import assert from 'node:assert/strict'
import { test, type TestContext } from 'node:test'

import type { OptimizeOptions } from './options.ts'
import { simulate, worlds, type Policy, type World } from './simulate.ts'

const SEEDS = [1, 2, 3] as const

/** Sums over the seeds. */
function runAll(t: TestContext, world: World, policy: Policy, options: Partial<OptimizeOptions> = {}) {
  const runs = SEEDS.map((seed) => simulate(world, policy, seed, options))
  const earned = runs.reduce((sum, run) => sum + run.earned, 0)
  const regret = runs.reduce((sum, run) => sum + run.regret, 0)
  t.diagnostic(`seeds ${SEEDS.join(', ')}, ${policy}: earned ${earned.toFixed(0)}, regret ${regret.toFixed(0)}`)
  return { earned, regret, runs }
}

for (const [name, options] of [
  ['steady', {}],
  ['delayed', {}],
  ['earnings', {}],
  ['drifting', { half_life_hours: 48 }],
] as const) {
  test(`learned weights earn more than even ones with every seed: ${name}`, (t) => {
    const even = runAll(t, worlds[name], 'even')
    const learned = runAll(t, worlds[name], 'learned', options)
    learned.runs.forEach((run, at) => assert.ok(run.earned > even.runs[at]!.earned))
    assert.ok(learned.regret < 0.8 * even.regret)
  }) // prettier-ignore
}

test('where the best arm converts late, the correction for delays earns more than learning without it', (t) => {
  const learned = runAll(t, worlds.delayed, 'learned')
  const undelayed = runAll(t, worlds.delayed, 'undelayed')
  assert.ok(learned.regret < 0.85 * undelayed.regret)
})

test('nothing regrets less than knowing the best arm', (t) => {
  assert.equal(runAll(t, worlds.steady, 'best').regret, 0)
})

for (const name of ['capped', 'fallback'] as const)
  test(`where the best arm is full most of the day, learning who takes its visitors earns more with every seed: ${name}`, (t) => {
    const even = runAll(t, worlds[name], 'even')
    const uncapped = runAll(t, worlds[name], 'uncapped')
    const learned = runAll(t, worlds[name], 'learned')
    learned.runs.forEach((run, at) =>
      assert.ok(run.earned > uncapped.runs[at]!.earned && run.earned > even.runs[at]!.earned),
    )
    assert.ok(learned.regret < 0.4 * uncapped.regret)
  })
