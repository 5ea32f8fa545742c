import type { ClickId } from '#platform/ids'
import type { CapCounts, CapKey } from './cap.ts'
import type { BookedConversion, CapCount, CapLevel, Reservation, Settlement } from './cap-state.ts'

/** The arithmetic of caps over whatever keeps the entries. Each function here is one atomic step of an adapter.
 *
 * For a key: `used` is what counts in its period, `held` the sum of the holds of its slot. A click is let in while
 * `used + held + amount ≤ limit`, and a conversion moves its amount from `held` to `used`. The sum does not grow by that, and a
 * new period begins with `used` = 0 and the holds that there are: so in no period more is used than the limit, as long as
 * conversions take the place of a hold.
 */

/** Holds of a slot that lapse at the same time. */
export type HoldBatch = { readonly endMs: number; readonly sum: number }
/** What one click holds of a slot; in the slot's batch that ends then. */
export type ClickHold = { readonly slot: string; readonly endMs: number; readonly amount: number }
/** What one conversion counts of a key. */
export type CountedEntry = Counter & { readonly amount: number }
/** A count's key, and the end of its period. */
export type Counter = Pick<CapKey, 'key' | 'periodEndMs'>

export type CountedConversion = {
  readonly revision: number
  readonly at: number
  /** Index of the key that had no room; left out where the conversion was settled. */
  readonly overIndex?: number
  readonly entries: readonly CountedEntry[]
}

/** Where the entries are kept. Unknown ones read as 0 or empty; empty ones are not kept. */
export type TallyEntries = {
  readonly used: (counter: Counter) => number | undefined
  readonly setUsed: (counter: Counter, used: number) => void
  /** By their end, the first to lapse first. */
  readonly slotHolds: (slot: string) => readonly HoldBatch[]
  readonly setSlotHolds: (slot: string, holds: readonly HoldBatch[]) => void
  readonly clickHolds: (clickId: ClickId) => readonly ClickHold[]
  readonly setClickHolds: (clickId: ClickId, holds: readonly ClickHold[]) => void
  readonly conversion: (conversionId: string) => CountedConversion | undefined
  readonly setConversion: (conversionId: string, conversion: CountedConversion) => void
}

export type ReadableTally = Pick<TallyEntries, 'used' | 'slotHolds' | 'clickHolds'>

const RESERVED: Reservation = { kind: 'reserved' }
const SETTLED: Settlement = { kind: 'settled' }

/** Holds lapse in at most this many steps of their length and one: a slot keeps few batches, however many clicks hold it, and to
 * release all that lapsed costs the same for ten clicks as for ten thousand.
 */
const HOLD_STEPS = 32

/** A hold lasts what its cap says and up to a 32nd more. */
export function holdEndMs(at: number, holdMs: number): number {
  const step = Math.ceil(holdMs / HOLD_STEPS)
  return Math.ceil((at + holdMs) / step) * step
}

/** @returns whether there is room in all keys, or the first that has none */
export function judgeReservation(
  tally: ReadableTally,
  clickId: ClickId,
  at: number,
  keys: readonly CapKey[],
): Reservation {
  const own = keys.some(isHeld) ? tally.clickHolds(clickId) : []
  const index = keys.findIndex((key) => !hasRoom(key, levelOf(tally, key, at, own)))
  return index === -1 ? RESERVED : { kind: 'full', index }
}

const isHeld = (key: CapKey): boolean => key.counting === 'held'

function hasRoom({ counting, limit, amount }: CapKey, level: number): boolean {
  if (counting === 'when_booked') return level < limit
  // An amount that is not known yet is 0: it needs room all the same.
  return level < limit && level + amount <= limit
}

/** How many more clicks like that of the key the count takes at this level: Infinity where each takes nothing. Above zero exactly where
 * `reserve` would let one in.
 */
export function clicksLeft({ key, used, held }: CapLevel): number {
  const level = used + held
  if (!hasRoom(key, level)) return 0
  if (key.counting === 'when_booked' || key.amount === 0) return Infinity
  return Math.floor((key.limit - level) / key.amount)
}

/** What counts against a key, the click's own holds aside. */
function levelOf(tally: ReadableTally, key: CapKey, at: number, own: readonly ClickHold[]): number {
  const used = tally.used(key) ?? 0
  if (!isHeld(key)) return used
  const batches = tally.slotHolds(key.slot)
  return used + liveSum(batches, at) - ownSum(own, key.slot, batches, at)
}

function liveSum(batches: readonly HoldBatch[], at: number): number {
  let sum = 0
  for (const batch of batches) if (batch.endMs > at) sum += batch.sum
  return sum
}

function ownSum(own: readonly ClickHold[], slot: string, batches: readonly HoldBatch[], at: number): number {
  const hold = own.find((one) => one.slot === slot)
  if (hold === undefined || hold.endMs <= at) return 0
  return batches.some((batch) => batch.endMs === hold.endMs) ? hold.amount : 0
}

/** Counts and holds for a click without asking for room: after `judgeReservation`, or for one that the log says was let in. */
export function takeForClick(tally: TallyEntries, clickId: ClickId, at: number, keys: readonly CapKey[]): void {
  for (const key of keys) if (key.counting === 'at_click') addUsed(tally, key, key.amount)
  const held = keys.filter(isHeld)
  if (held.length === 0) return
  const kept = giveBack(tally, clickId, held)
  const taken = held.map(({ slot, amount, holdMs }) => ({ slot, amount, endMs: holdEndMs(at, holdMs) }))
  for (const hold of taken) {
    const live = tally.slotHolds(hold.slot).filter((batch) => batch.endMs > at)
    tally.setSlotHolds(hold.slot, addToBatch(live, hold))
  }
  tally.setClickHolds(clickId, [...kept, ...taken])
}

export function reserveIn(tally: TallyEntries, clickId: ClickId, at: number, keys: readonly CapKey[]): Reservation {
  const judged = judgeReservation(tally, clickId, at, keys)
  if (judged.kind === 'reserved') takeForClick(tally, clickId, at, keys)
  return judged
}

export function releaseIn(tally: TallyEntries, clickId: ClickId, keys: readonly CapKey[]): void {
  for (const key of keys) if (key.counting === 'at_click') addUsed(tally, key, -key.amount)
  consumeHolds(tally, clickId, keys)
}

export function settleIn(tally: TallyEntries, conversion: BookedConversion): Settlement {
  const before = tally.conversion(conversion.conversionId)
  if (before !== undefined && before.revision >= conversion.revision) return settlementOf(before)
  const after = countConversion(tally, conversion, before)
  tally.setConversion(conversion.conversionId, after)
  return settlementOf(after)
}

const settlementOf = ({ overIndex }: CountedConversion): Settlement =>
  overIndex === undefined ? SETTLED : { kind: 'over_cap', index: overIndex }

function countConversion(
  tally: TallyEntries,
  conversion: BookedConversion,
  before: CountedConversion | undefined,
): CountedConversion {
  const { revision, at } = conversion
  const counted = before?.entries ?? []
  const overIndex = counted.length === 0 ? findRefusing(tally, conversion) : -1
  if (overIndex !== -1) return { revision, at, overIndex, entries: [] }
  for (const entry of counted) addUsed(tally, entry, -entry.amount)
  const entries = conversion.counts ? conversion.keys.map(entryOf) : []
  for (const entry of entries) addUsed(tally, entry, entry.amount)
  // One conversion takes the place of the click's holds; the click may hold again for what comes after.
  if (before === undefined || before.overIndex !== undefined) consumeHolds(tally, conversion.clickId, conversion.keys)
  return { revision, at, entries }
}

const entryOf = ({ key, periodEndMs, amount }: CapKey): CountedEntry => ({ key, periodEndMs, amount })

/** The first hard cap without room for a conversion whose click holds none of it. @returns -1 where none refuses */
function findRefusing(tally: TallyEntries, { whenOver, counts, clickId, at, keys }: BookedConversion): number {
  if (whenOver !== 'refuse' || !counts) return -1
  const own = tally.clickHolds(clickId)
  return keys.findIndex((key) => {
    if (!isHeld(key)) return false
    // A hold that has lapsed and whose room was given to nobody yet is as good as one that has not.
    if (isCovered(own, key.slot, tally.slotHolds(key.slot))) return false
    // This conversion takes what has lapsed: the holds it belonged to must not come back for it.
    const live = dropLapsedBatches(tally, key.slot, at)
    return !hasRoom(key, (tally.used(key) ?? 0) + liveSum(live, at))
  })
}

const isCovered = (own: readonly ClickHold[], slot: string, batches: readonly HoldBatch[]): boolean =>
  own.some((hold) => hold.slot === slot && batches.some(({ endMs }) => endMs === hold.endMs))

/** Takes the click's holds out of the slots of these keys, where they have not lapsed and been released. */
function consumeHolds(tally: TallyEntries, clickId: ClickId, keys: readonly CapKey[]): void {
  const held = keys.filter(isHeld)
  if (held.length === 0 || tally.clickHolds(clickId).length === 0) return
  tally.setClickHolds(clickId, giveBack(tally, clickId, held))
}

/** @returns what the click holds beside the slots of these keys */
function giveBack(tally: TallyEntries, clickId: ClickId, keys: readonly CapKey[]): readonly ClickHold[] {
  const holds = tally.clickHolds(clickId)
  const isGiven = ({ slot }: ClickHold): boolean => keys.some((key) => key.slot === slot)
  for (const hold of holds.filter(isGiven)) {
    const batches = tally.slotHolds(hold.slot)
    if (batches.some((batch) => batch.endMs === hold.endMs))
      tally.setSlotHolds(hold.slot, addToBatch(batches, { ...hold, amount: -hold.amount }))
  }
  return holds.filter((hold) => !isGiven(hold))
}

/** Drops a click's holds that have lapsed, and what has lapsed of their slots. @returns holds dropped */
export function dropLapsed(tally: TallyEntries, clickId: ClickId, at: number): number {
  const holds = tally.clickHolds(clickId)
  const live = holds.filter((hold) => hold.endMs > at)
  if (live.length === holds.length) return 0
  tally.setClickHolds(clickId, live)
  for (const { slot } of holds.filter((hold) => hold.endMs <= at)) dropLapsedBatches(tally, slot, at)
  return holds.length - live.length
}

/** @returns the batches that are left */
function dropLapsedBatches(tally: TallyEntries, slot: string, at: number): readonly HoldBatch[] {
  const batches = tally.slotHolds(slot)
  const live = batches.filter((batch) => batch.endMs > at)
  if (live.length < batches.length) tally.setSlotHolds(slot, live)
  return live
}

export const readLevel = (tally: ReadableTally, key: CapKey, at: number): CapLevel => ({
  key,
  used: tally.used(key) ?? 0,
  held: isHeld(key) ? liveSum(tally.slotHolds(key.slot), at) : 0,
})

/** The count of a slot. @returns undefined where nothing is counted and nothing held */
export function readCount(
  tally: ReadableTally,
  { counting, period, periodEndMs }: CapCounts,
  slot: string,
  at: number,
): CapCount | undefined {
  const used = tally.used({ key: counterKeyOf(slot, period), periodEndMs }) ?? 0
  const held = counting === 'held' ? liveSum(tally.slotHolds(slot), at) : 0
  return used === 0 && held === 0 ? undefined : { slot, used, held }
}

const counterKeyOf = (slot: string, period: string): string => `${slot}@${period}`

/** Adds an amount to the batch that ends with it; one of nothing is kept while clicks may still refer to it. */
function addToBatch(batches: readonly HoldBatch[], { endMs, amount }: ClickHold): readonly HoldBatch[] {
  const index = batches.findIndex((batch) => batch.endMs >= endMs)
  const next = index === -1 ? batches.length : index
  const found = batches[next]
  const isKnown = found?.endMs === endMs
  const batch = { endMs, sum: (isKnown ? found.sum : 0) + amount }
  return [...batches.slice(0, next), batch, ...batches.slice(next + (isKnown ? 1 : 0))]
}

/** A count that was forgotten with its period is not made again by what is taken off it. */
function addUsed(tally: TallyEntries, counter: Counter, amount: number): void {
  const used = tally.used(counter)
  if (used === undefined && amount <= 0) return
  tally.setUsed(counter, Math.max(0, (used ?? 0) + amount))
}
