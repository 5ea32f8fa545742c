import { simulate, worlds, type Policy, type World } from '#bandit/simulate'
import { parseArgs } from 'node:util'

/** What learned weights earn against even ones, in simulated worlds where it is known what each arm is worth. Prints a Markdown
 * table: means over the seeds; the regret is what sending all clicks to the best arm would have earned more.
 * `node bench/bandit.ts --seeds 20`
 */
const { values: settings } = parseArgs({ options: { seeds: { type: 'string', default: '20' } } })
const seeds = Array.from({ length: Number(settings.seeds) }, (_, index) => index + 1)
const policiesOf = (world: World): readonly Policy[] => [
  'even',
  world.cap === undefined ? 'undelayed' : 'uncapped',
  'learned',
  'best',
]
/** A world that changes is learned with a shorter memory. */
const optionsOf = (world: string) => (world === 'drifting' ? { half_life_hours: 48 } : {})

console.log(`Seeds 1 to ${seeds.length}; the range is that of nine of ten seeds.\n`)
console.log('| World | Weights | Earned | Against even | Regret | Regret, range | Best arm at the end |')
console.log('| --- | --- | ---: | ---: | ---: | ---: | ---: |')
for (const [name, world] of Object.entries<World>(worlds)) {
  let even = 0
  for (const policy of policiesOf(world)) {
    const runs = seeds.map((seed) => simulate(world, policy, seed, optionsOf(name)))
    const meanOf = (values: readonly number[]): number => values.reduce((sum, value) => sum + value, 0) / values.length
    const earned = meanOf(runs.map((run) => run.earned))
    if (policy === 'even') even = earned
    const regrets = runs.map(({ regret }) => regret).toSorted((a, b) => a - b)
    const quantile = (share: number): string => regrets[Math.round(share * (regrets.length - 1))]!.toFixed(0)
    const cells = [
      name,
      policy,
      earned.toFixed(0),
      `${((earned / even - 1) * 100).toFixed(1)} %`,
      meanOf(regrets).toFixed(0),
      `${quantile(0.05)} to ${quantile(0.95)}`,
      `${(100 * meanOf(runs.map((run) => run.bestShareAtEnd))).toFixed(0)} %`,
    ]
    console.log(`| ${cells.join(' | ')} |`)
  }
}
