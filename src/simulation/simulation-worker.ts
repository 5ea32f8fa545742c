/** The thread of simulate.ts: decides recorded clicks once more and counts. It has no database and no log: versions of the
 * configuration and clicks come as messages.
 */
import { parentPort, workerData } from 'node:worker_threads'

import { clickOfRow, type ClickRecord } from '#records'
import { compilePair, decideAgain, type Pair } from './decide-again.ts'
import { countDecided, newTally } from './tally.ts'
import type { FromSimulation, SimulationStart, ToSimulation } from './worker-messages.ts'

/** Compiled pairs kept: clicks come in the order of time, so that one or two versions are in use at a time. */
const PAIRS_MAX = 4

const { candidate, fromMs, toMs } = workerData as SimulationStart
const port = parentPort!
const tally = newTally()
const pairs = new Map<number, Pair | undefined>()
const wanted = new Map<number, PromiseWithResolvers<Pair | undefined>>()

const tell = (message: FromSimulation): void => port.postMessage(message)

function pairFor(version: number): Pair | undefined | Promise<Pair | undefined> {
  if (pairs.has(version)) return pairs.get(version)
  const known = wanted.get(version)
  if (known !== undefined) return known.promise
  const asked = Promise.withResolvers<Pair | undefined>()
  wanted.set(version, asked)
  tell({ kind: 'version_wanted', version })
  return asked.promise
}

function takeVersion({ version, snapshot }: Extract<ToSimulation, { kind: 'version' }>): void {
  const pair = snapshot && compilePair(snapshot, candidate)
  if (pairs.size >= PAIRS_MAX) pairs.delete(pairs.keys().next().value!)
  pairs.set(version, pair)
  wanted.get(version)?.resolve(pair)
  wanted.delete(version)
}

async function decideLines({ form, lines }: Extract<ToSimulation, { kind: 'clicks' }>): Promise<void> {
  const text = Buffer.from(lines.buffer, lines.byteOffset, lines.byteLength).toString()
  for (const line of text.split('\n')) {
    if (line === '') continue
    const click = parse(line, form)
    if (click === undefined || click.class !== 'click' || click.at < fromMs || click.at >= toMs) {
      tally.passedOver += 1
      continue
    }
    // Only a version that is not known yet is waited for: a promise for each click would cost more than the decision.
    const found = pairFor(click.config_version)
    const pair = found instanceof Promise ? await found : found
    if (pair === undefined) tally.versionUnknown += 1
    else countDecided(tally, click.click_id, click.country ?? '', decideAgain(click, pair))
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
  if (message.kind === 'version') return takeVersion(message)
  working = working.then(() => (message.kind === 'clicks' ? decideLines(message) : tell({ kind: 'finished', tally })))
})
