import { Worker } from 'node:worker_threads'

import type { LearnedOverlay, Snapshot } from '#routing'
import type { Tally } from './tally.ts'
import type { FromSimulation, SimulationStart, ToSimulation } from './worker-messages.ts'

/** Batches on their way to the thread: it decides one while the next is read. */
const BATCHES_MAX = 2

export type SimulationThread = {
  /** Resolves when there is room for the next batch. */
  readonly decide: (form: 'records' | 'rows', lines: Uint8Array<ArrayBuffer>) => Promise<void>
  readonly finish: () => Promise<Tally>
  /** Ends the thread at once, whatever it does. */
  readonly end: () => Promise<void>
}

/** What a click was decided by; undefined: it is not there any more. */
export type PastVersions = {
  readonly versionOf: (version: number) => Promise<Snapshot | undefined>
  readonly weightsOf: (version: number) => Promise<LearnedOverlay | undefined>
}

/** Starts the thread that decides. */
export function startSimulationThread(
  start: SimulationStart,
  { versionOf, weightsOf }: PastVersions,
): SimulationThread {
  const worker = new Worker(new URL('./simulation-worker.ts', import.meta.url), { workerData: start })
  const failure = Promise.withResolvers<never>()
  // Somebody waits for it whenever it matters.
  failure.promise.catch(() => undefined)
  const finished = Promise.withResolvers<Tally>()
  let underWay = 0
  let hasRoom = Promise.withResolvers<void>()
  const post = (message: ToSimulation, transfer: ArrayBuffer[] = []): void => worker.postMessage(message, transfer)

  worker.once('error', failure.reject)
  worker.once('exit', () => failure.reject(new Error('The thread of a simulation ended.')))
  worker.on('message', (message: FromSimulation) => {
    switch (message.kind) {
      case 'version_wanted':
        versionOf(message.version)
          .then((snapshot) => post({ kind: 'version', version: message.version, snapshot }))
          .catch(failure.reject)
        return
      case 'weights_wanted':
        weightsOf(message.version)
          .then((learned) => post({ kind: 'weights', version: message.version, learned }))
          .catch(failure.reject)
        return
      case 'clicks_done':
        underWay -= 1
        return hasRoom.resolve()
      case 'finished':
        return finished.resolve(message.tally)
      default:
        message satisfies never
    }
  })

  return {
    decide: async (form, lines) => {
      underWay += 1
      post({ kind: 'clicks', form, lines }, [lines.buffer])
      while (underWay >= BATCHES_MAX) {
        hasRoom = Promise.withResolvers()
        await Promise.race([hasRoom.promise, failure.promise])
      }
    },
    finish: () => {
      post({ kind: 'finish' })
      return Promise.race([finished.promise, failure.promise])
    },
    end: async () => void (await worker.terminate()),
  }
}
