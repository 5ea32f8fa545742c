import type { CapCounts } from '../cap.ts'
import type { CapCount, CapCounters } from '../cap-state.ts'
import {
  judgeReservation,
  readCount,
  readLevel,
  releaseIn,
  reserveIn,
  settleIn,
  type ClickHold,
  type CountedConversion,
  type HoldBatch,
  type TallyEntries,
} from '../tally.ts'

/** Counters in the memory of one thread, empty at first: for the simulation of a changed configuration. Nothing is forgotten. */
export function createMemoryCaps(): CapCounters {
  const tally = memoryTally()
  return {
    reserve: (clickId, at, keys) => reserveIn(tally, clickId, at, keys),
    peek: (clickId, at, keys) => judgeReservation(tally, clickId, at, keys),
    release: (clickId, keys) => releaseIn(tally, clickId, keys),
    settle: (conversions) => conversions.map((conversion) => settleIn(tally, conversion)),
    read: (keys, at) => keys.map((key) => readLevel(tally, key, at)),
    list: (of, at, max) => listCounts(tally, of, at, max),
  }
}

type MemoryTally = TallyEntries & { readonly slots: () => readonly string[] }

function listCounts(tally: MemoryTally, of: CapCounts, at: number, max: number): readonly CapCount[] {
  const isOfCap = (slot: string): boolean => (of.per.length === 0 ? slot === of.slot : slot.startsWith(of.slot))
  return tally
    .slots()
    .filter(isOfCap)
    .toSorted()
    .flatMap((slot) => readCount(tally, of, slot, at) ?? [])
    .slice(0, max)
}

function memoryTally(): MemoryTally {
  const used = new Map<string, number>()
  const slots = new Map<string, readonly HoldBatch[]>()
  const clicks = new Map<string, readonly ClickHold[]>()
  const conversions = new Map<string, CountedConversion>()
  return {
    slots: () => [...new Set([...[...used.keys()].map((key) => key.slice(0, key.lastIndexOf('@'))), ...slots.keys()])],
    used: ({ key }) => used.get(key),
    setUsed: ({ key }, value) => void used.set(key, value),
    slotHolds: (slot) => slots.get(slot) ?? [],
    setSlotHolds: (slot, holds) => setOrDrop(slots, slot, holds),
    clickHolds: (clickId) => clicks.get(clickId) ?? [],
    setClickHolds: (clickId, holds) => setOrDrop(clicks, clickId, holds),
    conversion: (conversionId) => conversions.get(conversionId),
    setConversion: (conversionId, conversion) => void conversions.set(conversionId, conversion),
  }
}

function setOrDrop<T>(map: Map<string, readonly T[]>, key: string, values: readonly T[]): void {
  if (values.length === 0) map.delete(key)
  else map.set(key, values)
}
