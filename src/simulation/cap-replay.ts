import { crc32 } from 'node:zlib'

import { createMemoryCaps, type BookedConversion, type CapKey, type CapVerdict, type RoutingCaps } from '#caps'
import type { ClickId } from '#platform/ids'
import type { ClickRecord } from '#records'
import type { PastConversion } from '#reports'
import { countId, type CompiledOfferCaps, type CompiledSnapshot, type Snapshot } from '#routing'

/** Counts of caps while clicks come once more in the order of time: one set as it was, one as the candidate would have had it.
 *
 * A click: conversions until then are settled → what was asked of caps then is laid to the first set → the candidate asks the second.
 *
 * What was decided is certain, and how full a cap was then is not: something may have been counted before the first click, or on
 * another machine. Where the first set would have answered otherwise, the limit of that count is shifted until it answers so, in both sets.
 * So the first set always answers as it was, the second one knows what is only known from such an answer, and a configuration that changes
 * nothing moves nothing.
 */
export type CapReplay = {
  /** Settles what was booked before that moment. Moments must not decrease by more than clicks of a group commit do. */
  readonly advance: (atMs: number) => void
  /** Lays to the counts what a click asked of caps when it was decided. */
  readonly confirm: (click: ClickRecord, asked: readonly AskedCaps[]) => void
  /** Caps of the candidate: reserving takes room. */
  readonly candidate: RoutingCaps
  /** Notes what becomes of the conversions of a click, after it was decided twice. */
  readonly follow: (
    click: ClickRecord,
    after: Assigned,
    deciding: CompiledSnapshot,
    candidate: CompiledSnapshot,
  ) => void
  /** Counts a click as it was recorded in both: it came before the period, or its decision cannot be taken again.
   * @param isBefore caps that only the candidate has begin with the period
   */
  readonly takeRecorded: (
    click: ClickRecord,
    deciding: CompiledSnapshot,
    candidate: CompiledSnapshot,
    isBefore: boolean,
  ) => void
  readonly counts: CapCounts
}

/** What was asked when a click was decided, and the answer. */
export type AskedCaps = { readonly keys: readonly CapKey[]; readonly verdict: CapVerdict }

type Assigned = Pick<ClickRecord, 'outcome' | 'campaign_id' | 'flow_id' | 'offer_id' | 'landing_id'>

export type CapCounts = {
  /** Clicks that asked a cap of the candidate when they were decided. */
  asked: number
  /** Of these, those for whom the counts had to be shifted to answer as it was. */
  shifted: number
  /** Conversions that clicks would have brought to an offer that they did not go to. */
  expected: number
}

/** What an offer's clicks bring: a part of them a conversion, which comes so late and is worth so much as one of these. */
export type ConversionHabit = { readonly share: number; readonly examples: readonly ConversionExample[] }
type ConversionExample = { readonly delayMs: number; readonly payoutMicros: number; readonly revenueMicros: number }

/** What is known of a period beside its clicks. Plain data. */
export type CapHistory = {
  readonly conversions: readonly PastConversion[]
  /** By offer. */
  readonly habits: Readonly<Record<string, ConversionHabit>>
  /** Part of the clicks that are looked at. */
  readonly sample: number
}

/** Holds and periods that are over are forgotten this often. */
const FORGET_EVERY_MS = 600_000
/** Conversions that were only expected are settled in steps of this. */
const STEP_MS = 10_000

/** In a sample each limit is that part of itself, and at least one click unless it takes nobody. */
export const scaleLimits = (snapshot: Snapshot, sample: number): Snapshot =>
  sample === 1
    ? snapshot
    : {
        ...snapshot,
        offers: snapshot.offers.map((offer) => ({
          ...offer,
          ...(offer.caps && {
            caps: offer.caps.map((cap) => ({ ...cap, limit: Math.ceil(cap.limit * sample) })),
          }),
        })),
      }

export const hasCaps = ({ offers }: Snapshot): boolean => offers.some(({ caps = [] }) => caps.length > 0)

export function createCapReplay(candidate: Snapshot, { conversions, habits, sample }: CapHistory): CapReplay {
  const then = createMemoryCaps()
  const instead = createMemoryCaps()
  const shifts = createShifts()
  const relevant = capIdsOf(candidate)
  const counts: CapCounts = { asked: 0, shifted: 0, expected: 0 }
  const settling = settlements(conversions)
  /** Parts of a conversion that clicks have brought, by offer. */
  const dueOf = new Map<string, number>()
  const expected = new Map<number, BookedConversion[]>()
  let [now, position, forgotten, settledStep] = [0, 0, 0, 0]
  let latest: CompiledSnapshot | undefined

  const ofCandidate = (keys: readonly CapKey[]): readonly CapKey[] => keys.filter(({ cap_id }) => relevant.has(cap_id))

  function settle(conversion: PastConversion, { ofThen, ofInstead }: SettledKeys): void {
    if (ofThen.length > 0) then.settle([bookedOf(conversion, ofThen)])
    if (ofInstead.length > 0) instead.settle([bookedOf(conversion, ofInstead)])
  }

  function settleRecorded(one: Settling): void {
    one.isPassed = true
    if (one.keys !== undefined) return settle(one.conversion, one.keys)
    const keys = keysOfUnseen(one.conversion)
    settle(one.conversion, { ofThen: keys, ofInstead: keys })
  }

  /** Notes what the conversions of a click count. One that was booked in the same moment may have been passed already. */
  function followConversions(click: ClickRecord, keysOf: (conversion: PastConversion) => SettledKeys): void {
    for (const one of settling.byClick.get(click.click_id) ?? []) {
      one.keys = keysOf(one.conversion)
      if (one.isPassed) settle(one.conversion, one.keys)
    }
  }

  /** Of a click that came before all that are looked at. Of others that were not seen the sample does not have the click. */
  function keysOfUnseen({ click, offerId, at, clickId, ...worth }: PastConversion): readonly CapKey[] {
    const caps = click === undefined || !isOfSample(clickId, sample) ? undefined : latest?.offers.get(offerId)?.caps
    const record = {
      ...click,
      click_id: clickId,
      offer_id: offerId,
      outcome: 'redirected',
      at: worth.clickAt,
    } as unknown as ClickRecord
    return caps?.keysOfConversion(record, at, worth) ?? []
  }

  function settleExpected(): void {
    const step = Math.floor(now / STEP_MS)
    if (expected.size > 0)
      for (let at = settledStep + 1; at <= step; at += 1) {
        const booked = expected.get(at)
        if (booked === undefined) continue
        instead.settle(booked)
        expected.delete(at)
      }
    settledStep = step
  }

  /** Brings the count to answer as it was. @returns whether it would have answered otherwise */
  function shift(clickId: ClickId, at: number, key: CapKey, hadRoom: boolean): boolean {
    const shifted = shifts.apply(key)
    if ((then.peek(clickId, at, [shifted]).kind === 'reserved') === hadRoom) return false
    const [level] = then.read([key], at)
    const room = key.counting === 'when_booked' ? 1 : Math.max(1, key.amount)
    shifts.set(key, level!.used + level!.held + room - (hadRoom ? 0 : 1) - key.limit)
    return true
  }

  function confirmOne({ click_id, at }: ClickRecord, { keys, verdict }: AskedCaps): boolean {
    if (verdict.kind === 'unavailable') return false
    const full = verdict.kind === 'full' ? verdict.index : keys.length
    let isShifted = false
    keys.slice(0, full + 1).forEach((key, index) => {
      if (relevant.has(key.cap_id) && shift(click_id, at, key, index < full)) isShifted = true
    })
    if (verdict.kind === 'reserved') then.take(click_id, at, ofCandidate(keys))
    return isShifted
  }

  /** Conversions that clicks would have brought where they did not go: as evenly as they can come, so that they are no matter of luck. */
  function expectConversion(click: ClickRecord, caps: CompiledOfferCaps): void {
    const habit = habits[click.offer_id!]
    if (habit === undefined) return
    const due = (dueOf.get(click.offer_id!) ?? 0.5) + habit.share
    dueOf.set(click.offer_id!, due >= 1 ? due - 1 : due)
    if (due < 1) return
    const example = habit.examples[counts.expected % habit.examples.length]!
    const at = click.at + example.delayMs
    const keys = caps.keysOfConversion(click, at, example)
    if (keys.length === 0) return
    const step = Math.floor(at / STEP_MS) + 1
    const conversion = { conversionId: `expected ${click.click_id}`, clickId: click.click_id, revision: 1, at, keys, counts: true, whenOver: 'count' } as const // prettier-ignore
    expected.set(step, [...(expected.get(step) ?? []), conversion])
    counts.expected += 1
  }

  return {
    counts,
    advance: (atMs) => {
      now = Math.max(now, atMs)
      for (
        ;
        position < settling.inOrder.length && settling.inOrder[position]!.conversion.revisedAt <= now;
        position += 1
      )
        settleRecorded(settling.inOrder[position]!)
      settleExpected()
      if (now - forgotten < FORGET_EVERY_MS) return
      forgotten = now
      for (const caps of [then, instead]) caps.forget(now - FORGET_EVERY_MS)
      shifts.forget(now - FORGET_EVERY_MS)
    },
    confirm: (click, asked) => {
      const asking = asked.filter(({ keys }) => keys.some(({ cap_id }) => relevant.has(cap_id)))
      if (asking.length === 0) return
      counts.asked += 1
      let isShifted = false
      for (const one of asking) if (confirmOne(click, one)) isShifted = true
      if (isShifted) counts.shifted += 1
    },
    candidate: { reserve: (clickId, at, keys) => instead.reserve(clickId, at, keys.map(shifts.apply)) },
    follow: (click, after, deciding, candidate) => {
      latest = candidate
      const isSent = after.outcome === 'redirected'
      const isSame = isSent && click.outcome === 'redirected' && after.offer_id === click.offer_id
      const caps = isSent ? candidate.offers.get(after.offer_id ?? '')?.caps : undefined
      const moved = isSame ? click : ({ ...click, ...after } as ClickRecord)
      const capsThen = deciding.offers.get(click.offer_id ?? '')?.caps
      followConversions(click, (conversion) => ({
        ofThen: ofCandidate(capsThen?.keysOfConversion(click, conversion.at, conversion) ?? []),
        // Where the click goes elsewhere there is no such conversion.
        ofInstead: (isSame && caps?.keysOfConversion(moved, conversion.at, conversion)) || [],
      }))
      if (caps !== undefined && !isSame) expectConversion(moved, caps)
    },
    takeRecorded: (click, deciding, candidate, isBefore) => {
      latest = candidate
      const offerId = click.offer_id ?? ''
      const [before, after] = [deciding.offers.get(offerId)?.caps, candidate.offers.get(offerId)?.caps]
      if (after === undefined && before === undefined) return
      const keys = ofCandidate(before?.keysOfRecordedClick(click) ?? [])
      const known = new Set(keys.map(({ key }) => key))
      then.take(click.click_id, click.at, keys)
      const ofInstead = after?.keysOfRecordedClick(click) ?? []
      instead.take(click.click_id, click.at, isBefore ? ofInstead.filter(({ key }) => known.has(key)) : ofInstead)
      followConversions(click, (conversion) => ({
        ofThen: ofCandidate(before?.keysOfConversion(click, conversion.at, conversion) ?? []),
        ofInstead: after?.keysOfConversion(click, conversion.at, conversion) ?? [],
      }))
    },
  }
}

/** By how much a count takes more or less than its limit says. */
function createShifts() {
  const shifts = new Map<string, { readonly by: number; readonly periodEndMs: number }>()
  return {
    apply: (key: CapKey): CapKey => {
      const found = shifts.size === 0 ? undefined : shifts.get(key.key)
      return found === undefined ? key : { ...key, limit: key.limit + found.by }
    },
    set: ({ key, periodEndMs }: CapKey, by: number): void => void shifts.set(key, { by, periodEndMs }),
    forget: (at: number): void => {
      for (const [key, { periodEndMs }] of shifts) if (periodEndMs <= at) shifts.delete(key)
    },
  }
}

/** The counts that a conversion touches, then and instead. */
type SettledKeys = { readonly ofThen: readonly CapKey[]; readonly ofInstead: readonly CapKey[] }

/** A revision that is to be settled. */
type Settling = {
  readonly conversion: PastConversion
  /** Undefined: its click was not seen. */
  keys?: SettledKeys
  /** Its moment is over. */
  isPassed?: true
}

function settlements(conversions: readonly PastConversion[]) {
  const inOrder = conversions.map((conversion): Settling => ({ conversion }))
  return { inOrder, byClick: Map.groupBy(inOrder, ({ conversion }) => conversion.clickId) }
}

const bookedOf = (
  { conversionId, clickId, revision, at, isRejected }: PastConversion,
  keys: readonly CapKey[],
): BookedConversion => ({
  ...{ conversionId, clickId, revision, at, keys },
  counts: !isRejected,
  whenOver: 'count',
})

const capIdsOf = ({ offers }: Snapshot): ReadonlySet<string> =>
  new Set(offers.flatMap(({ offer_id, caps = [] }) => caps.map(({ cap_id }) => countId(offer_id, cap_id))))

const hashShare = (text: string): number => crc32(text) / 2 ** 32
const isOfSample = (clickId: string, sample: number): boolean => sample === 1 || hashShare(clickId) < sample
