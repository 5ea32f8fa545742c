import { setImmediate } from 'node:timers/promises'
import { crc32 } from 'node:zlib'

import type { FactsClient } from '#platform/clickhouse'
import {
  countPastClicks,
  findMissingDays,
  readOfferEarnings,
  readPastClicks,
  SAMPLE_STEPS,
  type MissingDays,
  type Period,
} from '#reports'
import type { Snapshot } from '#routing'
import { findCountedFrom, readCapHistory } from './cap-history.ts'
import { hasCaps, type CapHistory } from './cap-replay.ts'
import type { Destination } from './decide-again.ts'
import { expectEarnings, type Earnings } from './expect-earnings.ts'
import { simulationLimits } from './limits.ts'
import { findLogRanges, readLogClicks, type LogRange, type ReadableLog } from './read-log-clicks.ts'
import { startSimulationThread, type PastVersions, type SimulationThread } from './simulation-thread.ts'
import type { Counted, Tally } from './tally.ts'

export type SimulationOptions = PastVersions & {
  /** The configuration to be tried. */
  readonly candidate: Snapshot
  readonly period: Period
  readonly log: ReadableLog
  readonly facts: FactsClient
  /** Clicks decided at most; of a larger period a sample. */
  readonly clicksMax: number
  /** Ends the work early. */
  readonly signal: AbortSignal
}

export type Simulation = {
  readonly clicks: {
    /** Of the period, as far as log and facts know. */
    readonly in_period: number
    /** Decided again, and in every count below. */
    readonly decided: number
    readonly from_log: number
    /** Taken from the facts, because the log has dropped them. */
    readonly from_facts: number
    /** Their record does not lead to the decision that was taken; in no count below. */
    readonly not_reproduced: number
    /** The version that decided them is not there any more; in no count below. */
    readonly version_unknown: number
    /** Offsets of the log that cannot be read. */
    readonly unreadable: number
    /** The limit was reached before the end: the period had more clicks than were expected. */
    readonly is_cut: boolean
    readonly not_reproduced_examples: readonly string[]
  }
  /** Part of the clicks of the period that was looked at; 1: all. */
  readonly sample: number
  readonly moved: number
  readonly before: readonly Counted<Destination>[]
  readonly after: readonly Counted<Destination>[]
  readonly movements: readonly Counted<{ readonly from: Destination; readonly to: Destination }>[]
  /** Clicks in rows that are not shown: the largest are. */
  readonly not_shown: { readonly before: number; readonly after: number; readonly movements: number }
  readonly earnings: Earnings
  /** Undefined: the other configuration has no caps. */
  readonly caps: CapsTold | undefined
  readonly clicks_per_second: number
  /** Days whose clicks or conversions were retired. */
  readonly missing_days: readonly MissingDays[]
}

export type CapsTold = {
  /** Clicks and conversions from then on are counted, ISO 8601. */
  readonly counted_from: string
  /** Clicks that asked one of the caps when they were decided. */
  readonly asked: number
  /** Of these, those for whom the counts had to be shifted to answer as they did. */
  readonly shifted: number
  /** Conversions that clicks are taken to bring to an offer that they did not go to. */
  readonly expected_conversions: number
  /** There were more conversions than are read. */
  readonly is_cut: boolean
}

/** Rows of the facts that are read at once: some 20 ms of the event loop. */
const PAGE_ROWS = 5_000
/** A sample that hits the limit is a little smaller than the limit, because its size varies. */
const SAMPLE_MARGIN = 0.95

/** Decides the clicks of a past period once more by another configuration and sums up what would have gone elsewhere.
 *
 * Clicks come from the log, older ones from the facts, in the order of time. They are decided in a thread of its own. Memory does not grow
 * with their number, but with the conversions and with what caps count apart. Nothing is recorded, counted or reserved.
 * @throws {unknown} the signal's reason, when it ends the work
 * @throws {WaypostError} facts_unavailable, query_too_expensive
 */
export async function simulate(options: SimulationOptions): Promise<Simulation> {
  const { candidate, period, log, signal } = options
  const startedAt = performance.now()
  const ranges = await findLogRanges(log, period)
  const counted = await countClicks(options, ranges)
  const sample = counted.inPeriod <= options.clicksMax ? 1 : (options.clicksMax * SAMPLE_MARGIN) / counted.inPeriod
  const before = await readBefore(options, sample)
  const { countedFromMs, history } = before
  const thread = startSimulationThread({ candidate, ...period, countedFromMs, history }, options)
  const end = (): void => void thread.end()
  signal.addEventListener('abort', end)
  try {
    signal.throwIfAborted()
    if (countedFromMs < period.fromMs) await feedEarlier(options, countedFromMs, sample, thread)
    const fed = await feedThread(options, ranges, counted, sample, thread)
    const tally = await thread.finish()
    const seconds = (performance.now() - startedAt) / 1_000
    return {
      clicks: {
        in_period: counted.inPeriod,
        decided: tally.clicks,
        from_log: fed.fromLog,
        from_facts: fed.fromFacts,
        not_reproduced: tally.notReproduced,
        version_unknown: tally.versionUnknown,
        unreadable: fed.unreadable,
        is_cut: fed.isCut,
        not_reproduced_examples: tally.notReproducedExamples,
      },
      sample,
      moved: tally.moved,
      ...listsOf(tally),
      earnings: expectEarnings([...tally.cells.values()], before.observed, sample),
      caps: toldOfCaps(tally, before),
      clicks_per_second: Math.round(tally.clicks / seconds),
      missing_days: before.missing,
    }
  } catch (error) {
    signal.throwIfAborted()
    throw error
  } finally {
    signal.removeEventListener('abort', end)
    await thread.end()
  }
}

type Before = {
  readonly observed: Awaited<ReturnType<typeof readOfferEarnings>>
  readonly countedFromMs: number
  readonly history: CapHistory
  readonly isCut: boolean
  readonly missing: readonly MissingDays[]
}

/** What is asked of the facts before the clicks come. */
async function readBefore({ candidate, period, facts, clicksMax }: SimulationOptions, sample: number): Promise<Before> {
  const observed = await readOfferEarnings(facts, period)
  const none = { conversions: [], habits: {}, sample }
  const missing = await findMissing(facts, period)
  if (!hasCaps(candidate)) return { observed, countedFromMs: period.fromMs, history: none, isCut: false, missing }
  const countedFromMs = await findCountedFrom(facts, candidate, period, clicksMax)
  const known = await readCapHistory(facts, candidate, period, observed.clicks, { sample, countedFromMs })
  return { observed, countedFromMs, ...known, missing }
}

const findMissing = (facts: FactsClient, range: Period): Promise<readonly MissingDays[]> =>
  findMissingDays(facts, { role: 'owner' }, [
    { table: 'clicks', range, column: 'click_id' },
    { table: 'conversions', range, column: 'click_id' },
  ])

const toldOfCaps = ({ caps }: Tally, { countedFromMs, isCut }: Before): CapsTold | undefined =>
  caps && {
    counted_from: new Date(countedFromMs).toISOString(),
    asked: caps.asked,
    shifted: caps.shifted,
    expected_conversions: caps.expected,
    is_cut: isCut,
  }

/** Clicks that are only counted: from the begin of periods that the simulation begins in. */
async function feedEarlier(
  options: SimulationOptions,
  countedFromMs: number,
  sample: number,
  thread: SimulationThread,
) {
  const { log, facts, period } = options
  const earlier = { fromMs: countedFromMs, toMs: period.fromMs }
  const ranges = await findLogRanges(log, earlier)
  const { beforeLog } = await countPastClicks(facts, earlier, startsOf(ranges))
  // The period begins with the first record that was appended in it.
  const begins = new Map(
    (await findLogRanges(log, period)).map(({ partition, firstOffset }) => [partition, firstOffset]),
  )
  const untilOwn = ranges.map((range) => ({
    ...range,
    nextOffset: Math.min(range.nextOffset, begins.get(range.partition) ?? range.nextOffset),
  }))
  await feedThread({ ...options, period: earlier, clicksMax: Infinity }, untilOwn, { beforeLog }, sample, thread)
}

type Expected = { readonly inPeriod: number; readonly beforeLog: number }

/** The facts count; what they do not know yet is counted in offsets of the log, events and postbacks among them. */
async function countClicks({ facts, period }: SimulationOptions, ranges: readonly LogRange[]): Promise<Expected> {
  const { clicks, beforeLog, nextOffsets } = await countPastClicks(facts, period, startsOf(ranges))
  const notInFacts = ranges.map(({ partition, firstOffset, nextOffset }) =>
    Math.max(0, nextOffset - Math.max(firstOffset, nextOffsets.get(partition) ?? firstOffset)),
  )
  return { inPeriod: notInFacts.reduce((sum, count) => sum + count, clicks), beforeLog }
}

const startsOf = (ranges: readonly LogRange[]) =>
  ranges.map(({ partition, oldestOffset }) => ({ partition, firstOffset: oldestOffset }))

async function feedThread(
  { period, log, facts, clicksMax, signal }: SimulationOptions,
  ranges: readonly LogRange[],
  { beforeLog }: Pick<Expected, 'beforeLog'>,
  sample: number,
  thread: SimulationThread,
): Promise<{ fromLog: number; fromFacts: number; unreadable: number; isCut: boolean }> {
  const fed = { fromLog: 0, fromFacts: 0, unreadable: 0, isCut: false }
  const steps = Math.round(sample * SAMPLE_STEPS)
  let left = clicksMax
  if (beforeLog > 0)
    for await (const page of readPastClicks(facts, period, startsOf(ranges), { sample: steps, pageRows: Math.min(PAGE_ROWS, left) })) {
      signal.throwIfAborted()
      const clicks = countLines(page)
      fed.fromFacts += clicks
      left -= clicks
      await thread.decide('rows', new TextEncoder().encode(page))
      if (left <= 0) return { ...fed, isCut: true }
    } // prettier-ignore
  // Draws hash the click id too, but not so: this is no sample of certain draws.
  const isTaken = (clickId: string): boolean =>
    left > 0 && (sample === 1 || crc32(clickId) % SAMPLE_STEPS < steps) && ((left -= 1), true)
  for await (const { lines, clicks, lost } of readLogClicks(log, ranges, isTaken)) {
    // A batch that holds nothing of the sample waits for nobody: others get their turn here.
    await setImmediate()
    signal.throwIfAborted()
    fed.fromLog += clicks
    fed.unreadable += lost
    if (clicks > 0) await thread.decide('records', lines)
    if (left <= 0) return { ...fed, isCut: true }
  }
  return fed
}

const countLines = (text: string): number => text.trimEnd().split('\n').length

/** The largest rows of each list; what is not shown is counted. */
export function listsOf({ before, after, movements, movedOtherwise }: Tally) {
  const lists = { before: largest(before), after: largest(after), movements: largest(movements) }
  return {
    before: lists.before.shown,
    after: lists.after.shown,
    movements: lists.movements.shown,
    not_shown: {
      before: lists.before.hidden,
      after: lists.after.hidden,
      movements: lists.movements.hidden + movedOtherwise,
    },
  }
}

function largest<Row extends { readonly clicks: number }>(rows: ReadonlyMap<string, Row>) {
  const inOrder = [...rows.values()].sort((left, right) => right.clicks - left.clicks)
  return {
    shown: inOrder.slice(0, simulationLimits.rowsMax),
    hidden: inOrder.slice(simulationLimits.rowsMax).reduce((sum, { clicks }) => sum + clicks, 0),
  }
}
