/** The thread of simulate.ts: decides recorded clicks once more and counts. It has no database and no log: versions of the
 * configuration and clicks come as messages.
 */
import { parentPort, workerData } from 'node:worker_threads'

import { clickOfRow, type ClickRecord } from '#records'
import { learnedVersionOf } from '#routing'
import { compilePair, decideAgain, withWeights, type Pair } from './decide-again.ts'
import { countDecided, newTally } from './tally.ts'
import type { FromSimulation, SimulationStart, ToSimulation } from './worker-messages.ts'

/** Compiled pairs kept: clicks come in the order of time, so that one or two versions are in use at a time. */
const PAIRS_MAX = 4

const { candidate, fromMs, toMs } = workerData as SimulationStart
/** Weights that were learned later are none that a click was drawn by. */
const { learned: _, ...candidateItself } = candidate
const port = parentPort!
const tally = newTally()
/** By version of the configuration, without learned weights. */
const compiled = new Map<number, Pair | undefined>()
/** By version of the configuration and of the weights. */
const pairs = new Map<string, Pair | undefined>()

const tell = (message: FromSimulation): void => port.postMessage(message)

type Answer = Extract<ToSimulation, { kind: 'version' | 'weights' }>
/** One question at a time: lines are decided one after the other. */
let answered: PromiseWithResolvers<Answer> | undefined

function ask(kind: 'version_wanted' | 'weights_wanted', version: number): Promise<Answer> {
  answered = Promise.withResolvers()
  tell({ kind, version })
  return answered.promise
}

/** What a click was decided by, and what would have decided it: both draw by the learned weights that the click names, or by none. */
function pairFor({ config_version, trace }: ClickRecord): Pair | undefined | Promise<Pair | undefined> {
  const learnedVersion = learnedVersionOf(trace)
  const key = `${config_version} ${learnedVersion ?? ''}`
  return pairs.has(key) ? pairs.get(key) : makePair(key, config_version, learnedVersion)
}

async function makePair(key: string, version: number, learnedVersion: number | undefined): Promise<Pair | undefined> {
  if (!compiled.has(version)) keep(compiled, version, await compileVersion(version))
  const base = compiled.get(version)
  const pair = base && (await drawnBy(base, learnedVersion))
  keep(pairs, key, pair)
  return pair
}

async function compileVersion(version: number): Promise<Pair | undefined> {
  const answer = await ask('version_wanted', version)
  const snapshot = answer.kind === 'version' ? answer.snapshot : undefined
  return snapshot && compilePair(snapshot, candidateItself)
}

async function drawnBy(base: Pair, learnedVersion: number | undefined): Promise<Pair | undefined> {
  if (learnedVersion === undefined) return base
  const answer = await ask('weights_wanted', learnedVersion)
  const learned = answer.kind === 'weights' ? answer.learned : undefined
  return learned && withWeights(base, learned)
}

function keep<Key, Value>(kept: Map<Key, Value>, key: Key, value: Value): void {
  if (kept.size >= PAIRS_MAX) kept.delete(kept.keys().next().value!)
  kept.set(key, value)
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
    const found = pairFor(click)
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
  if (message.kind === 'version' || message.kind === 'weights') return answered?.resolve(message)
  working = working.then(() => (message.kind === 'clicks' ? decideLines(message) : tell({ kind: 'finished', tally })))
})
