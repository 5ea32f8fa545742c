import { join } from 'node:path'
import { mkdirSync } from 'node:fs'
import { verdictOf, type FaultReport, type FaultSettings, type FaultTest } from './fault-test.ts'
import { runKillLoop } from './t01-kill-senders.ts'
import { runZombie } from './t04-zombie.ts'

/** A guard, the run that must turn red without it, and what that run must find: red for another reason proves nothing. */
type Mutation = {
  readonly name: string
  readonly run: (settings: FaultSettings) => Promise<FaultReport>
  /** Undefined: nothing is off, and the run must be green. */
  readonly sign: RegExp | undefined
}

const MUTATIONS: readonly Mutation[] = [
  { name: 'nothing off, t1', run: (settings) => runKillLoop(settings, undefined), sign: undefined },
  { name: 'nothing off, t4', run: (settings) => runZombie(settings, true), sign: undefined },
  { name: 'fence off, t4', run: (settings) => runZombie(settings, false), sign: /ended twice|ended and queued|tried after|do not grow/ }, // prettier-ignore
  { name: 'outbox off, t1', run: (settings) => runKillLoop(settings, 'outbox'), sign: /recorded and not queued/ },
  { name: 'dedupe key off, t1', run: (settings) => runKillLoop(settings, 'dedupe'), sign: /queued twice under the same event/ }, // prettier-ignore
]

export const guardsOff: FaultTest = {
  shows: 'the oracle sees: without fence, outbox or dedupe key t1 and t4 turn red, each for its own reason',
  run: async (settings) => {
    const did: string[] = []
    const findings: string[] = []
    let noticed = 0
    for (const [index, { name, run, sign }] of MUTATIONS.entries()) {
      settings.tell(name)
      const directory = join(settings.directory, String(index))
      mkdirSync(directory)
      const found = verdictOf(await run({ ...settings, directory, tell: () => undefined }))
      const isRight = sign === undefined ? found.length === 0 : found.some((one) => sign.test(one))
      did.push(`${name}: ${found.length === 0 ? 'green' : `red, ${found.join('; ').slice(0, 200)}`}`)
      if (!isRight) findings.push(`${name}: ${sign === undefined ? 'must be green' : `must find ${sign.source}`}`)
      else if (sign !== undefined) noticed += 1
    }
    return { did, seen: { 'guards whose absence was noticed': noticed }, findings }
  },
}
