import type { ClickId } from '#platform/ids'
import type { CapCounts, CapKey } from '../cap.ts'
import type { CapCount, CapCounters } from '../cap-state.ts'
import {
  dropLapsed,
  judgeReservation,
  readCount,
  readLevel,
  releaseIn,
  reserveIn,
  settleIn,
  takeForClick,
  type ClickHold,
  type CountedConversion,
  type HoldBatch,
  type TallyEntries,
} from '../tally.ts'

/** Counters of one thread that forget nothing by themselves. */
export type MemoryCaps = CapCounters & {
  /** What `reserve` takes, without asking for room: of a click that was let in. */
  readonly take: (clickId: ClickId, at: number, keys: readonly CapKey[]) => void
  /** Forgets holds that have lapsed at that time, and counts of periods that are over. */
  readonly forget: (at: number) => void
}

/** Counters in the memory of one thread, empty at first: for the simulation of a changed configuration. */
export function createMemoryCaps(): MemoryCaps {
  const tally = memoryTally()
  return {
    take: (clickId, at, keys) => takeForClick(tally, clickId, at, keys),
    forget: (at) => tally.forget(at),
    reserve: (clickId, at, keys) => reserveIn(tally, clickId, at, keys),
    peek: (clickId, at, keys) => judgeReservation(tally, clickId, at, keys),
    release: (clickId, keys) => releaseIn(tally, clickId, keys),
    settle: (conversions) => conversions.map((conversion) => settleIn(tally, conversion)),
    read: (keys, at) => keys.map((key) => readLevel(tally, key, at)),
    list: (of, at, max) => listCounts(tally, of, at, max),
  }
}

type MemoryTally = TallyEntries & { readonly slots: () => readonly string[]; readonly forget: (at: number) => void }

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
  const used = new Map<string, { value: number; readonly periodEndMs: number }>()
  const slots = new Map<string, readonly HoldBatch[]>()
  const clicks = new Map<ClickId, readonly ClickHold[]>()
  const conversions = new Map<string, CountedConversion>()
  const tally: TallyEntries = {
    used: ({ key }) => used.get(key)?.value,
    setUsed: ({ key, periodEndMs }, value) => {
      const known = used.get(key)
      if (known === undefined) used.set(key, { value, periodEndMs })
      else known.value = value
    },
    slotHolds: (slot) => slots.get(slot) ?? [],
    setSlotHolds: (slot, holds) => setOrDrop(slots, slot, holds),
    clickHolds: (clickId) => clicks.get(clickId) ?? [],
    setClickHolds: (clickId, holds) => setOrDrop(clicks, clickId, holds),
    conversion: (conversionId) => conversions.get(conversionId),
    setConversion: (conversionId, conversion) => void conversions.set(conversionId, conversion),
  }
  return {
    ...tally,
    slots: () => [...new Set([...[...used.keys()].map((key) => key.slice(0, key.lastIndexOf('@'))), ...slots.keys()])],
    forget: (at) => {
      for (const [key, { periodEndMs }] of used) if (periodEndMs <= at) used.delete(key)
      for (const clickId of clicks.keys()) dropLapsed(tally, clickId, at)
    },
  }
}

function setOrDrop<Key, T>(map: Map<Key, readonly T[]>, key: Key, values: readonly T[]): void {
  if (values.length === 0) map.delete(key)
  else map.set(key, values)
}
