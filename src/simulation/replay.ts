import type { ClickRecord } from '#records'
import { learnedVersionOf, type LearnedOverlay, type Snapshot } from '#routing'
import { createCapReplay, hasCaps, scaleLimits, type CapHistory, type CapReplay } from './cap-replay.ts'
import { compilePair, decideAgain, withWeights, type Pair } from './decide-again.ts'
import type { PastVersions } from './simulation-thread.ts'
import { countDecided, newTally, type Tally } from './tally.ts'

/** Compiled pairs kept: clicks come in the order of time, so that one or two versions are in use at a time. */
const PAIRS_MAX = 4

export type ReplayOptions = PastVersions & {
  /** The configuration to be tried. */
  readonly candidate: Snapshot
  readonly fromMs: number
  readonly toMs: number
  /** Clicks from then on are counted in caps, though they are not decided. */
  readonly countedFromMs: number
  readonly history: CapHistory
}

export type Replay = {
  readonly tally: Tally
  /** Clicks come in the order of time where the candidate has caps. A promise is returned only where a version must be waited for. */
  readonly decide: (click: ClickRecord) => void | Promise<void>
}

/** Decides recorded clicks once more, one after the other, and counts. */
export function createReplay({ candidate, fromMs, toMs, countedFromMs, history, ...versions }: ReplayOptions): Replay {
  const tally = newTally()
  const caps: CapReplay | undefined = hasCaps(candidate) ? createCapReplay(candidate, history) : undefined
  if (caps !== undefined) tally.caps = caps.counts
  const pairOf = pairMaker(candidate, history.sample, versions)

  function decideBy(click: ClickRecord, pair: Pair | undefined): void {
    caps?.advance(click.at)
    if (click.at < fromMs) {
      if (pair !== undefined) caps?.takeRecorded(click, pair.deciding, pair.candidate, true)
    } else if (pair === undefined) tally.versionUnknown += 1
    else countDecided(tally, click.click_id, click.country ?? '', decideAgain(click, pair, caps))
  }

  return {
    tally,
    decide: (click) => {
      const begin = caps === undefined ? fromMs : countedFromMs
      if (click.class !== 'click' || click.at < begin || click.at >= toMs) {
        tally.passedOver += 1
        return undefined
      }
      const pair = pairOf(click)
      return pair instanceof Promise ? pair.then((found) => decideBy(click, found)) : decideBy(click, pair)
    },
  }
}

/** What a click was decided by, and what would have decided it: both draw by the learned weights that the click names, or by none. */
function pairMaker(candidate: Snapshot, sample: number, { versionOf, weightsOf }: PastVersions) {
  // Weights that were learned later are none that a click was drawn by.
  const { learned: _, ...itself } = scaleLimits(candidate, sample)
  /** By version of the configuration, without learned weights. */
  const compiled = new Map<number, Pair | undefined>()
  /** By version of the configuration and of the weights. */
  const pairs = new Map<string, Pair | undefined>()

  async function compileVersion(version: number): Promise<Pair | undefined> {
    const snapshot = await versionOf(version)
    return snapshot && compilePair(scaleLimits(snapshot, sample), itself)
  }

  async function drawnBy(base: Pair, learnedVersion: number | undefined): Promise<Pair | undefined> {
    if (learnedVersion === undefined) return base
    const learned: LearnedOverlay | undefined = await weightsOf(learnedVersion)
    return learned && withWeights(base, learned)
  }

  async function makePair(key: string, version: number, learnedVersion: number | undefined) {
    if (!compiled.has(version)) keep(compiled, version, await compileVersion(version))
    const base = compiled.get(version)
    const pair = base && (await drawnBy(base, learnedVersion))
    keep(pairs, key, pair)
    return pair
  }

  return ({ config_version, trace }: ClickRecord): Pair | undefined | Promise<Pair | undefined> => {
    const learnedVersion = learnedVersionOf(trace)
    const key = `${config_version} ${learnedVersion ?? ''}`
    return pairs.has(key) ? pairs.get(key) : makePair(key, config_version, learnedVersion)
  }
}

function keep<Key, Value>(kept: Map<Key, Value>, key: Key, value: Value): void {
  if (kept.size >= PAIRS_MAX) kept.delete(kept.keys().next().value!)
  kept.set(key, value)
}
