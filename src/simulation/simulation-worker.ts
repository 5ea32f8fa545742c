/** The thread of simulate.ts: decides recorded clicks once more and counts. It has no database and no log: versions of the
 * configuration and clicks come as messages.
 */
import { parentPort, workerData } from 'node:worker_threads'

import { clickOfRow, type ClickRecord } from '#records'
import { createReplay } from './replay.ts'
import type { FromSimulation, SimulationStart, ToSimulation } from './worker-messages.ts'

const port = parentPort!
const tell = (message: FromSimulation): void => port.postMessage(message)

type Answer = Extract<ToSimulation, { kind: 'version' | 'weights' }>
/** One question at a time: clicks are decided one after the other. */
let answered: PromiseWithResolvers<Answer> | undefined

function ask(kind: 'version_wanted' | 'weights_wanted', version: number): Promise<Answer> {
  answered = Promise.withResolvers()
  tell({ kind, version })
  return answered.promise
}

const replay = createReplay({
  ...(workerData as SimulationStart),
  versionOf: async (version) => {
    const answer = await ask('version_wanted', version)
    return answer.kind === 'version' ? answer.snapshot : undefined
  },
  weightsOf: async (version) => {
    const answer = await ask('weights_wanted', version)
    return answer.kind === 'weights' ? answer.learned : undefined
  },
})

async function decideLines({ form, lines }: Extract<ToSimulation, { kind: 'clicks' }>): Promise<void> {
  const text = Buffer.from(lines.buffer, lines.byteOffset, lines.byteLength).toString()
  for (const line of text.split('\n')) {
    if (line === '') continue
    const click = parse(line, form)
    if (click === undefined) {
      replay.tally.passedOver += 1
      continue
    }
    // Only a version that is not known yet is waited for: a promise for each click would cost more than the decision.
    const decided = replay.decide(click)
    if (decided instanceof Promise) await decided
  }
  tell({ kind: 'clicks_done' })
}

function parse(line: string, form: 'records' | 'rows'): ClickRecord | undefined {
  try {
    const value = JSON.parse(line) as Readonly<Record<string, unknown>>
    return form === 'rows' ? clickOfRow(value) : (value as unknown as ClickRecord)
  } catch {
    // The log read it back unharmed, so somebody wrote it so: the pipeline counts such records too, and goes on.
    return undefined
  }
}

/** One after the other: the second batch may come while the first waits for a version. */
let working: Promise<void> = Promise.resolve()
port.on('message', (message: ToSimulation) => {
  if (message.kind === 'version' || message.kind === 'weights') return answered?.resolve(message)
  working = working.then(() =>
    message.kind === 'clicks' ? decideLines(message) : tell({ kind: 'finished', tally: replay.tally }),
  )
})
