import type { ClickId } from '#platform/ids'
import type { CapCounts, CapKey } from './cap.ts'

/** `full`: nothing was taken; `index` is the first of the keys that has no room. */
export type Reservation = { readonly kind: 'reserved' } | { readonly kind: 'full'; readonly index: number }

/** One revision of a conversion, as caps count it. */
export type BookedConversion = {
  /** Names the conversion through all of its revisions; 1 to 64 bytes. */
  readonly conversionId: string
  readonly clickId: ClickId
  /** Grows with each change of the conversion, from 1. */
  readonly revision: number
  /** When the conversion came in (not its revision), milliseconds since the epoch. */
  readonly at: number
  /** False for a conversion that is or becomes rejected: what it counted is given back. */
  readonly counts: boolean
  /** Its counts with what it is worth (`keysOfConversion`); of a rejected one too, so that its click gives its holds back. */
  readonly keys: readonly CapKey[]
  /** What happens where a hard cap has no room and the click holds none any more: `count` lets it overshoot, `refuse` answers
   * `over_cap` and counts nothing. Only a conversion that counts nothing yet can be refused.
   */
  readonly whenOver: 'count' | 'refuse'
}

/** The same for the same revision however often it is asked, and also for an earlier one. */
export type Settlement = { readonly kind: 'settled' } | { readonly kind: 'over_cap'; readonly index: number }

/** How full a count is. */
export type CapLevel = {
  readonly key: CapKey
  /** Counted in the key's period. */
  readonly used: number
  /** Held by clicks under way; counts against every period. */
  readonly held: number
}

/** One of the counts of a cap. */
export type CapCount = { readonly slot: string; readonly used: number; readonly held: number }

/** Counts and holds of caps. Synchronous, and each call is one atomic step among all threads and processes of the machine. */
export type CapCounters = {
  /** Takes room for a click in all of the keys, or in none. A click that already holds a slot holds it for longer, not twice.
   * @param at when it is decided, milliseconds since the epoch; holds that lapsed by then are released
   * @throws {Error} the state cannot be written, as on a full disk; nothing was taken
   */
  readonly reserve: (clickId: ClickId, at: number, keys: readonly CapKey[]) => Reservation
  /** What `reserve` would answer. Writes nothing. */
  readonly peek: (clickId: ClickId, at: number, keys: readonly CapKey[]) => Reservation
  /** Gives back what `reserve` took, for a click that could not be recorded. Call it once for a reservation, with its keys. */
  readonly release: (clickId: ClickId, keys: readonly CapKey[]) => void
  /** Counts conversions as they are booked or revised. Each replaces what its earlier revision counted; a revision that was settled
   * changes nothing again, so a batch may be replayed. @returns one answer for each, in order
   */
  readonly settle: (conversions: readonly BookedConversion[]) => readonly Settlement[]
  /** How full the counts are at a moment: one level for each key. */
  readonly read: (keys: readonly CapKey[], at: number) => readonly CapLevel[]
  /** The counts of a cap that are above zero or held, in the order of their slots. One without dimensions has one at most. Slots of
   * dimensions that the cap had before may be among them; `readCapSlot` tells.
   * @param max where there are more, they are left out
   */
  readonly list: (of: CapCounts, at: number, max: number) => readonly CapCount[]
}

/** Something that took room or was counted, as the log tells it. */
export type CapEvent =
  | {
      readonly kind: 'click'
      readonly clickId: ClickId
      readonly at: number
      readonly keys: readonly CapKey[]
    }
  | { readonly kind: 'conversion'; readonly conversion: BookedConversion }

/** Times from which and up to which clicks are missing in the counts, milliseconds since the epoch. */
export type CapGap = { readonly sinceMs: number; readonly untilMs: number }

/** Counters that outlive their processes. */
export type CapState = CapCounters & {
  /** Which clicks the counts lack since the machine last went down; undefined where they are whole. */
  readonly gap: () => CapGap | undefined
  /** Fills the gap. Clicks outside it are passed over, conversions that are counted already change nothing. The counts of clicks are
   * added in one step at the end: where it breaks off, the gap stays as it was and everything may be given again.
   * @param events all clicks of the gap, and all conversions revised since it began, those of one conversion in their order
   */
  readonly rebuild: (events: AsyncIterable<CapEvent> | Iterable<CapEvent>) => Promise<void>
  /** Writes a copy that outlives a power cut. @returns false where there is a gap: what lacks clicks must not be kept as whole */
  readonly save: () => Promise<boolean>
  /** Releases holds that have lapsed at that time. `reserve` does so for the slots it touches; this is for all others.
   * @returns holds dropped
   */
  readonly sweep: (at: number) => Promise<number>
  /** Forgets counts of periods that ended before, and what conversions that came in before have counted: a later revision of
   * such a conversion counts as a new one. @returns entries dropped
   */
  readonly forgetBefore: (limits: {
    readonly periodsEndedBeforeMs: number
    readonly conversionsBeforeMs: number
  }) => Promise<number>
  readonly close: () => Promise<void>
}
