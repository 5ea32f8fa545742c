import { setImmediate } from 'node:timers/promises'
import { systemClock, type Clock } from '#platform/clock'
import type { CapCounts, CapKey } from '../cap.ts'
import type { BookedConversion, CapCount, CapEvent, CapGap, CapState, Reservation } from '../cap-state.ts'
import { capLimits } from '../limits.ts'
import {
  dropLapsed,
  judgeReservation,
  readCount,
  readLevel,
  releaseIn,
  reserveIn,
  settleIn,
  takeForClick,
  type Counter,
  type TallyEntries,
} from '../tally.ts'
import {
  clickIdOf,
  clickKey,
  CONVERSION_ID_BYTES_MAX,
  conversionIdOf,
  conversionKey,
  conversionTimeKey,
  counterKey,
  decodeBatches,
  decodeGap,
  decodeConversion,
  decodeHolds,
  decodeNumber,
  encodeBatches,
  encodeConversion,
  encodeHolds,
  encodeNumber,
  GAP_KEY,
  lapseKey,
  NOTHING,
  slotKey,
  slotOfCounter,
  slotOfHolds,
  timeBound,
} from './sqlite/encoding.ts'
import type { Entries } from './sqlite/entries.ts'
import { openEnvironment, readBootId, saveCopy } from './sqlite/environment.ts'

export type SqliteCapStateOptions = {
  /** Made where it does not exist, open to its owner only. */
  readonly directory: string
  readonly clock?: Clock
  /** Which run of the operating system this is; left out: as the system says. Another run never opens what this one wrote. */
  readonly bootId?: string
}

/** Entries that one step of sweeping, forgetting, settling or filling changes in one transaction: clicks wait for it a few
 * milliseconds.
 */
const STEP = 200

/** Opens the counts of the caps in an SQLite database of this run of the operating system. Any number of threads and processes of
 * the machine may have it open and write; a transaction of one is a step that the others wait for.
 * @throws {Error} the directory cannot be written
 */
export function openSqliteCapState(options: SqliteCapStateOptions): CapState {
  const { directory, clock = systemClock, bootId = readBootId() } = options
  const entries = openEnvironment(directory, bootId, clock.now())
  const { transact } = entries
  const tally = entriesTally(entries)
  const gap = (): CapGap | undefined => {
    const stored = entries.get(GAP_KEY)
    return stored && decodeGap(stored)
  }
  return {
    reserve: (clickId, at, keys): Reservation => {
      checkKeys(keys)
      // A cap that is full is asked most of all: it is told without waiting for those who write.
      const seen = judgeReservation(tally, clickId, at, keys)
      if (seen.kind === 'full' || !keys.some(isTaken)) return seen
      return transact(() => reserveIn(tally, clickId, at, keys))
    },
    peek: (clickId, at, keys) => judgeReservation(tally, clickId, at, keys),
    release: (clickId, keys) => transact(() => releaseIn(tally, clickId, keys)),
    settle: (conversions) => {
      conversions.forEach(checkConversion)
      return inSteps(conversions).flatMap((step) =>
        transact(() => step.map((conversion) => settleIn(tally, conversion))),
      )
    },
    read: (keys, at) => keys.map((key) => readLevel(tally, key, at)),
    list: (of, at, max) => listCounts(entries, tally, of, at, max),
    gap,
    rebuild: (events) => fillGap(entries, tally, gap(), events),
    save: async () => {
      if (gap() !== undefined) return false
      await saveCopy(directory, bootId, clock.now())
      return true
    },
    sweep: (at) =>
      dropRange(entries, timeBound('t', 0), timeBound('t', at + 1), (key) => {
        entries.remove(key)
        return dropLapsed(tally, clickIdOf(key), at)
      }),
    forgetBefore: async ({ periodsEndedBeforeMs, conversionsBeforeMs }) => {
      const counts = await dropRange(entries, timeBound('c', 0), timeBound('c', periodsEndedBeforeMs), (key) =>
        Number(entries.remove(key)),
      )
      const conversions = await dropRange(entries, timeBound('w', 0), timeBound('w', conversionsBeforeMs), (key) => {
        entries.remove(key)
        return Number(entries.remove(conversionKey(conversionIdOf(key))))
      })
      return counts + conversions
    },
    close: async () => entries.close(),
  }
}

/** The slots that count in the period lie together, and so do those that are held. */
function listCounts(
  entries: Entries,
  tally: TallyEntries,
  of: CapCounts,
  at: number,
  max: number,
): readonly CapCount[] {
  return slotsOf(entries, of, max)
    .flatMap((slot) => readCount(tally, of, slot, at) ?? [])
    .slice(0, max)
}

function slotsOf(entries: Entries, of: CapCounts, max: number): readonly string[] {
  if (of.per.length === 0) return [of.slot]
  const counted = slotsFrom(entries, counterKey({ key: of.slot, periodEndMs: of.periodEndMs }), max, slotOfCounter)
  const held = of.counting === 'held' ? slotsFrom(entries, slotKey(of.slot), max, slotOfHolds) : []
  return [...new Set([...counted, ...held])].toSorted()
}

/** Slots of the keys that begin so. */
const slotsFrom = (entries: Entries, start: Buffer, max: number, slotOf: (key: Buffer) => string): readonly string[] =>
  entries.keysBetween(start, Buffer.concat([start, AFTER_ALL]), max).map(slotOf)

/** Above every byte of a slot. */
const AFTER_ALL = Buffer.of(0xff)

/** A soft cap is only looked at. */
const isTaken = (key: CapKey): boolean => key.counting !== 'when_booked'

function inSteps<T>(all: readonly T[]): readonly (readonly T[])[] {
  const steps: (readonly T[])[] = []
  for (let from = 0; from < all.length; from += STEP) steps.push(all.slice(from, from + STEP))
  return steps
}

/** Drops the entries of a range, some in each step, and lets others work in between. @returns what `drop` says it dropped */
async function dropRange(entries: Entries, start: Buffer, end: Buffer, drop: (key: Buffer) => number): Promise<number> {
  let dropped = 0
  for (;;) {
    const keys = entries.keysBetween(start, end, STEP)
    if (keys.length === 0) return dropped
    dropped += entries.transact(() => keys.reduce((sum, key) => sum + drop(key), 0))
    await setImmediate()
  }
}

/** Holds and conversions know what they are and may be written twice; the counts of clicks do not, and go in at once at the end
 * with the mark that the gap is filled.
 */
async function fillGap(
  entries: Entries,
  tally: TallyEntries,
  gap: CapGap | undefined,
  events: AsyncIterable<CapEvent> | Iterable<CapEvent>,
): Promise<void> {
  if (gap === undefined) return
  const counted = new Map<string, { readonly counter: Counter; readonly amount: number }>()
  let step: CapEvent[] = []
  const writeStep = (): void => {
    entries.transact(() => {
      for (const event of step) writeEvent(tally, event)
    })
    step = []
  }
  for await (const event of events) {
    if (event.kind === 'click' && (event.at < gap.sinceMs || event.at >= gap.untilMs)) continue
    if (event.kind === 'click') addCounts(counted, event.keys)
    if (step.push(event) < STEP) continue
    writeStep()
    await setImmediate()
  }
  writeStep()
  entries.transact(() => {
    for (const { counter, amount } of counted.values()) tally.setUsed(counter, (tally.used(counter) ?? 0) + amount)
    entries.remove(GAP_KEY)
  })
}

function writeEvent(tally: TallyEntries, event: CapEvent): void {
  if (event.kind === 'conversion') {
    settleIn(tally, event.conversion)
    return
  }
  const held = event.keys.filter((key) => key.counting === 'held')
  takeForClick(tally, event.clickId, event.at, held)
}

function addCounts(
  counted: Map<string, { readonly counter: Counter; readonly amount: number }>,
  keys: readonly CapKey[],
): void {
  for (const counter of keys) {
    if (counter.counting !== 'at_click') continue
    counted.set(counter.key, { counter, amount: (counted.get(counter.key)?.amount ?? 0) + counter.amount })
  }
}

function entriesTally(entries: Entries): TallyEntries {
  const read = <T>(key: Buffer, decode: (bytes: Buffer) => T): T | undefined => {
    const bytes = entries.get(key)
    return bytes === undefined ? undefined : decode(bytes)
  }
  const write = (key: Buffer, bytes: Buffer): void => {
    if (bytes.length === 0) entries.remove(key)
    else entries.put(key, bytes)
  }
  return {
    used: (counter) => read(counterKey(counter), decodeNumber),
    setUsed: (counter, used) => write(counterKey(counter), encodeNumber(used)),
    slotHolds: (slot) => read(slotKey(slot), decodeBatches) ?? [],
    setSlotHolds: (slot, holds) => write(slotKey(slot), encodeBatches(holds)),
    clickHolds: (clickId) => read(clickKey(clickId), decodeHolds) ?? [],
    setClickHolds: (clickId, holds) => {
      write(clickKey(clickId), encodeHolds(holds))
      if (holds.length > 0) write(lapseKey(Math.max(...holds.map(({ endMs }) => endMs)), clickId), NOTHING)
    },
    conversion: (conversionId) => read(conversionKey(conversionId), decodeConversion),
    setConversion: (conversionId, conversion) => {
      write(conversionKey(conversionId), encodeConversion(conversion))
      write(conversionTimeKey(conversion.at, conversionId), NOTHING)
    },
  }
}

/** Checked before anything is counted: bounds of what the encoding takes. */
function checkKeys(keys: readonly CapKey[]): void {
  for (const { slot } of keys)
    if (slot.length > capLimits.slotBytesMax)
      throw new RangeError(`a slot has at most ${capLimits.slotBytesMax} bytes: ${slot}`)
}

function checkConversion({ conversionId, keys }: BookedConversion): void {
  const bytes = Buffer.byteLength(conversionId)
  if (bytes < 1 || bytes > CONVERSION_ID_BYTES_MAX)
    throw new RangeError(`a conversion id has 1 to ${CONVERSION_ID_BYTES_MAX} bytes: ${conversionId}`)
  checkKeys(keys)
}
