import type { ClickId } from '#platform/ids'
import type { CapKey } from './cap.ts'
import type { BookedConversion, CapCounters, Reservation, Settlement } from './cap-state.ts'
import { holdEndMs } from './tally.ts'

type Hold = { readonly clickId: ClickId; readonly slot: string; readonly endMs: number; readonly amount: number }
type Counted = { readonly key: string; readonly amount: number }
type Booked = { readonly revision: number; readonly answer: Settlement; readonly counted: readonly Counted[] }

/** What caps promise, told the plain way: a list of what was counted and a list of holds, summed up each time. For tests. */
export function createPlainCaps(): CapCounters {
  let holds: readonly Hold[] = []
  const clicks: Counted[] = []
  const booked = new Map<string, Booked>()

  const sum = (counted: readonly Counted[], key: string): number =>
    counted.reduce((total, one) => total + (one.key === key ? one.amount : 0), 0)
  const used = (key: string): number => sum([...clicks, ...[...booked.values()].flatMap((one) => one.counted)], key)
  const held = (slot: string, at: number, exceptOf?: ClickId): number =>
    holds.reduce((total, hold) => {
      const isMeant = hold.slot === slot && hold.endMs > at && hold.clickId !== exceptOf
      return total + (isMeant ? hold.amount : 0)
    }, 0)
  const dropLapsed = (slot: string, at: number): void => {
    holds = holds.filter((hold) => hold.slot !== slot || hold.endMs > at)
  }
  const consume = (clickId: ClickId, keys: readonly CapKey[]): void => {
    const isGiven = (slot: string): boolean => keys.some((key) => key.slot === slot && key.counting === 'held')
    holds = holds.filter((hold) => hold.clickId !== clickId || !isGiven(hold.slot))
  }
  const hasRoom = (key: CapKey, level: number): boolean =>
    level < key.limit && (key.counting === 'when_booked' || level + key.amount <= key.limit)

  const peek: CapCounters['peek'] = (clickId, at, keys): Reservation => {
    const index = keys.findIndex((key) => {
      const others = key.counting === 'held' ? held(key.slot, at, clickId) : 0
      return !hasRoom(key, used(key.key) + others)
    })
    return index === -1 ? { kind: 'reserved' } : { kind: 'full', index }
  }
  const findRefusing = ({ clickId, at, keys }: BookedConversion): number =>
    keys.findIndex((key) => {
      if (key.counting !== 'held') return false
      if (holds.some((hold) => hold.clickId === clickId && hold.slot === key.slot)) return false
      dropLapsed(key.slot, at)
      return !hasRoom(key, used(key.key) + held(key.slot, at))
    })
  const settleOne = (conversion: BookedConversion): Settlement => {
    const before = booked.get(conversion.conversionId)
    if (before !== undefined && before.revision >= conversion.revision) return before.answer
    const { revision, clickId, counts, keys, whenOver } = conversion
    const canRefuse = whenOver === 'refuse' && counts && (before?.counted.length ?? 0) === 0
    const index = canRefuse ? findRefusing(conversion) : -1
    const isFirst = before === undefined || before.answer.kind === 'over_cap'
    if (isFirst && index === -1) consume(clickId, keys)
    const counted = counts && index === -1 ? keys.map(({ key, amount }) => ({ key, amount })) : []
    const answer: Settlement = index === -1 ? { kind: 'settled' } : { kind: 'over_cap', index }
    booked.set(conversion.conversionId, { revision, answer, counted })
    return answer
  }
  return {
    peek,
    reserve: (clickId, at, keys) => {
      const answer = peek(clickId, at, keys)
      if (answer.kind === 'full') return answer
      consume(clickId, keys)
      for (const { slot, key, amount, counting, holdMs } of keys) {
        if (counting === 'at_click') clicks.push({ key, amount })
        if (counting !== 'held') continue
        dropLapsed(slot, at)
        holds = [...holds, { clickId, slot, endMs: holdEndMs(at, holdMs), amount }]
      }
      return answer
    },
    release: (clickId, keys) => {
      for (const { key, amount, counting } of keys) if (counting === 'at_click') clicks.push({ key, amount: -amount })
      consume(clickId, keys)
    },
    settle: (conversions) => conversions.map(settleOne),
    list: (of, at, max) => {
      const counted = [...clicks, ...[...booked.values()].flatMap((one) => one.counted)]
      const slots = new Set([
        ...counted.map(({ key }) => key.slice(0, key.lastIndexOf('@'))),
        ...holds.map(({ slot }) => slot),
      ])
      return [...slots]
        .filter((slot) => (of.per.length === 0 ? slot === of.slot : slot.startsWith(of.slot)))
        .toSorted()
        .map((slot) => ({
          slot,
          used: used(`${slot}@${of.period}`),
          held: of.counting === 'held' ? held(slot, at) : 0,
        }))
        .filter((count) => count.used + count.held > 0)
        .slice(0, max)
    },
    read: (keys, at) =>
      keys.map((key) => ({
        key,
        used: used(key.key),
        held: key.counting === 'held' ? held(key.slot, at) : 0,
      })),
  }
}
