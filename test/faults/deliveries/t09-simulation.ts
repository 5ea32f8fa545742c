import { runWorld, sights } from '#postbacks/simulation'
import type { FaultTest } from './fault-test.ts'

/** Worlds between two looks at the clock. */
const STRIDE = 500
const WORLDS = 100_000
const WORLDS_SHORT = 3_000
/** So many worlds without the fence are enough for one that breaks. */
const UNFENCED_WORLDS_MAX = 10_000

export const simulation: FaultTest = {
  shows: 'the scheduler as a pure function in worlds made of seeds: its laws hold, and without the fence they break',
  run: (settings) => {
    const worlds = settings.isShort ? WORLDS_SHORT : WORLDS
    const deadline = settings.seconds === undefined ? Infinity : performance.now() + settings.seconds * 1000
    const first = settings.seed * 1_000_000
    const seen = Object.fromEntries(sights.map((name) => [name.replaceAll('_', ' '), 0]))
    const findings: string[] = []
    let run = 0
    const isOver = (): boolean =>
      findings.length > 0 || (settings.seconds === undefined ? run >= worlds : performance.now() > deadline)
    for (; !isOver(); run += STRIDE) {
      for (let seed = first + run; seed < first + run + STRIDE; seed += 1) {
        const broken = brokenBy(() => {
          const report = runWorld(seed)
          for (const name of sights) seen[name.replaceAll('_', ' ')]! += report[name]
        })
        if (broken !== undefined) findings.push(`world ${seed}: ${broken}`)
      }
    }
    let unfenced = 0
    while (unfenced < UNFENCED_WORLDS_MAX) {
      unfenced += 1
      if (brokenBy(() => runWorld(first + unfenced, { isFenced: false })) !== undefined) break
    }
    if (unfenced === UNFENCED_WORLDS_MAX) findings.push('without the fence no world broke: the laws cannot see it')
    return Promise.resolve({
      did: [`worlds ${first} to ${first + run - 1}; without the fence ${unfenced} until one broke`],
      seen,
      findings,
    })
  },
}

function brokenBy(work: () => void): string | undefined {
  try {
    work()
    return undefined
  } catch (error) {
    return error instanceof Error ? error.message : String(error)
  }
}
