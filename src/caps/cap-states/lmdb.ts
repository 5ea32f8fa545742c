import { setImmediate } from 'node:timers/promises'
import { systemClock, type Clock } from '#platform/clock'
import type { CapCounts, CapKey } from '../cap.ts'
import type { BookedConversion, CapCount, CapEvent, CapGap, CapState, Reservation } from '../cap-state.ts'
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
  decodeConversion,
  decodeHolds,
  decodeNumber,
  encodeBatches,
  encodeConversion,
  encodeHolds,
  encodeNumber,
  FILLED_GAP_KEY,
  lapseKey,
  NOTHING,
  SLOT_BYTES_MAX,
  slotKey,
  slotOfCounter,
  slotOfHolds,
  timeBound,
} from './lmdb/encoding.ts'
import { gateOfOnlyThread, passGate, type CapGate } from './lmdb/thread-gate.ts'
import { openEnvironment, readBootId, saveCopy, type CapEnvironment } from './lmdb/environment.ts'

export type LmdbCapStateOptions = {
  /** Made where it does not exist, open to its owner only. */
  readonly directory: string
  readonly clock?: Clock
  /** Of `createCapGate`, the same for all threads of the process; must be given unless only the first thread opens the state. */
  readonly gate?: CapGate
  /** Which run of the operating system this is; left out: as the system says. Another run never opens what this one wrote. */
  readonly bootId?: string
}

type Root = CapEnvironment['root']

/** Runs the work as one step among all threads and processes; the state is as before when it throws. */
type Transact = <T>(work: () => T) => T

/** Entries that one step of sweeping, forgetting, settling or filling changes in one transaction: clicks wait for it a few
 * milliseconds.
 */
const STEP = 200

/** Opens the caps' counts in an LMDB environment of this run of the operating system. Any number of threads and processes of the
 * machine may have it open and write; a transaction of one is a step that the others wait for.
 */
export function openLmdbCapState(options: LmdbCapStateOptions): CapState {
  const clock = options.clock ?? systemClock
  const environment = openEnvironment(options.directory, options.bootId ?? readBootId(), clock.now())
  const { root } = environment
  const transact = transactorOf(root, options.gate ?? gateOfOnlyThread())
  const tally = lmdbTally(root)
  const peek: CapState['peek'] = (clickId, at, keys) => {
    // LMDB keeps one view for a millisecond or more, however much others have committed since.
    root.resetReadTxn()
    return judgeReservation(tally, clickId, at, keys)
  }
  const gap = (): CapGap | undefined => {
    root.resetReadTxn()
    const filled = root.getBinaryFast(FILLED_GAP_KEY)
    return filled !== undefined && decodeNumber(filled) === environment.gap.untilMs ? undefined : environment.gap
  }
  return {
    reserve: (clickId, at, keys): Reservation => {
      checkKeys(keys)
      // A cap that is full is asked most of all: it is told from a view, without waiting for those who write.
      const seen = peek(clickId, at, keys)
      if (seen.kind === 'full' || !keys.some(isTaken)) return seen
      return transact(() => reserveIn(tally, clickId, at, keys))
    },
    peek,
    release: (clickId, keys) => transact(() => releaseIn(tally, clickId, keys)),
    settle: (conversions) => {
      conversions.forEach(checkConversion)
      return inSteps(conversions).flatMap((step) =>
        transact(() => step.map((conversion) => settleIn(tally, conversion))),
      )
    },
    read: (keys, at) => {
      root.resetReadTxn()
      return keys.map((key) => readLevel(tally, key, at))
    },
    list: (of, at, max) => {
      root.resetReadTxn()
      return listCounts(root, tally, of, at, max)
    },
    gap,
    rebuild: (events) => fillGap(root, transact, tally, gap(), events),
    save: async () => {
      if (gap() !== undefined) return false
      await saveCopy(root, options.directory, clock.now())
      return true
    },
    sweep: (at) =>
      dropRange(root, transact, timeBound('t', 0), timeBound('t', at + 1), (key) => {
        root.removeSync(key)
        return dropLapsed(tally, clickIdOf(key), at)
      }),
    forgetBefore: async ({ periodsEndedBeforeMs, conversionsBeforeMs }) => {
      // A reader that was killed in the middle of a look-up would keep the freed pages from being used again.
      root.readerCheck()
      const counts = await dropRange(root, transact, timeBound('c', 0), timeBound('c', periodsEndedBeforeMs), (key) =>
        Number(root.removeSync(key)),
      )
      const conversions = await dropRange(
        root,
        transact,
        timeBound('w', 0),
        timeBound('w', conversionsBeforeMs),
        (key) => {
          root.removeSync(key)
          return Number(root.removeSync(conversionKey(conversionIdOf(key))))
        },
      )
      return counts + conversions
    },
    close: () => root.close(),
  }
}

/** The slots that count in the period lie together, and so do those that are held. */
function listCounts(root: Root, tally: TallyEntries, of: CapCounts, at: number, max: number): readonly CapCount[] {
  return slotsOf(root, of, max)
    .flatMap((slot) => readCount(tally, of, slot, at) ?? [])
    .slice(0, max)
}

function slotsOf(root: Root, of: CapCounts, max: number): readonly string[] {
  if (of.per.length === 0) return [of.slot]
  const counted = slotsFrom(root, counterKey({ key: of.slot, periodEndMs: of.periodEndMs }), max, slotOfCounter)
  const held = of.counting === 'held' ? slotsFrom(root, slotKey(of.slot), max, slotOfHolds) : []
  return [...new Set([...counted, ...held])].toSorted()
}

/** Slots of the keys that begin so. */
const slotsFrom = (root: Root, start: Buffer, max: number, slotOf: (key: Buffer) => string): readonly string[] =>
  [...root.getKeys({ start, end: Buffer.concat([start, AFTER_ALL]), limit: max })].map(slotOf)

/** Above every byte of a slot. */
const AFTER_ALL = Buffer.of(0xff)

/** A soft cap is only looked at. */
const isTaken = (key: CapKey): boolean => key.counting !== 'when_booked'

/** LMDB writes by system calls and not through its memory map, so a full disk fails the commit instead of killing the process with
 * SIGBUS. The error that `transact` throws has the reason as its cause.
 */
function transactorOf(root: Root, gate: CapGate): Transact {
  const gateState = new Int32Array(gate)
  return (work) => {
    try {
      return passGate(gateState, () => root.transactionSync(work))
    } catch (cause) {
      const reason = cause instanceof Error ? cause.message : String(cause)
      throw new Error(`The caps could not be counted, as on a full disk: ${reason}`, { cause })
    }
  }
}

function inSteps<T>(all: readonly T[]): readonly (readonly T[])[] {
  const steps: (readonly T[])[] = []
  for (let from = 0; from < all.length; from += STEP) steps.push(all.slice(from, from + STEP))
  return steps
}

/** Drops the entries of a range, some in each step, and lets others work in between. @returns what `drop` says it dropped */
async function dropRange(
  root: Root,
  transact: Transact,
  start: Buffer,
  end: Buffer,
  drop: (key: Buffer) => number,
): Promise<number> {
  let dropped = 0
  for (;;) {
    const keys = [...root.getKeys({ start, end, limit: STEP })]
    if (keys.length === 0) return dropped
    dropped += transact(() => keys.reduce((sum, key) => sum + drop(key), 0))
    await setImmediate()
  }
}

/** Holds and conversions know what they are and may be written twice; the counts of clicks do not, and go in at once at the end
 * with the mark that the gap is filled.
 */
async function fillGap(
  root: Root,
  transact: Transact,
  tally: TallyEntries,
  gap: CapGap | undefined,
  events: AsyncIterable<CapEvent> | Iterable<CapEvent>,
): Promise<void> {
  if (gap === undefined) return
  const counted = new Map<string, { readonly counter: Counter; readonly amount: number }>()
  let step: CapEvent[] = []
  const writeStep = (): void => {
    transact(() => {
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
  transact(() => {
    for (const { counter, amount } of counted.values()) tally.setUsed(counter, (tally.used(counter) ?? 0) + amount)
    root.putSync(FILLED_GAP_KEY, encodeNumber(gap.untilMs))
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

function lmdbTally(root: Root): TallyEntries {
  const read = <T>(key: Buffer, decode: (bytes: Buffer) => T): T | undefined => {
    const bytes = root.getBinaryFast(key)
    return bytes === undefined ? undefined : decode(bytes)
  }
  const write = (key: Buffer, bytes: Buffer): void => {
    if (bytes.length === 0) root.removeSync(key)
    else root.putSync(key, bytes)
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

/** Checked before the transaction: bounds of what LMDB and the encoding take. */
function checkKeys(keys: readonly CapKey[]): void {
  for (const { slot } of keys)
    if (slot.length > SLOT_BYTES_MAX) throw new RangeError(`a slot has at most ${SLOT_BYTES_MAX} bytes: ${slot}`)
}

function checkConversion({ conversionId, keys }: BookedConversion): void {
  const bytes = Buffer.byteLength(conversionId)
  if (bytes < 1 || bytes > CONVERSION_ID_BYTES_MAX)
    throw new RangeError(`a conversion id has 1 to ${CONVERSION_ID_BYTES_MAX} bytes: ${conversionId}`)
  checkKeys(keys)
}
