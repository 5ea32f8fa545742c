import type { ClickId } from '#platform/ids'
import type { CapKey } from './cap.ts'
import type { CapCounters, Reservation } from './cap-state.ts'

/** `unavailable`: the counts could not be written, as on a full disk. Nothing was taken. */
export type CapVerdict = Reservation | { readonly kind: 'unavailable' }

/** What routing asks while it decides. `keys` are those of one offer, from `keysOfClick`; it asks for each offer that it tries. */
export type RoutingCaps = {
  readonly reserve: (clickId: ClickId, at: number, keys: readonly CapKey[]) => CapVerdict
}

/** The caps of a click that is really sent on: it takes its room.
 * @param onError told why the counts could not be written; the click is decided without the offer
 */
export function liveCaps(counters: Pick<CapCounters, 'reserve'>, onError: (error: unknown) => void): RoutingCaps {
  return {
    reserve: (clickId, at, keys) => {
      if (keys.length === 0) return RESERVED
      try {
        return counters.reserve(clickId, at, keys)
      } catch (error) {
        onError(error)
        return UNAVAILABLE
      }
    },
  }
}

/** The caps of a click that is only explained: answers by the counts as they are and takes nothing. */
export const dryCaps = (counters: Pick<CapCounters, 'peek'>): RoutingCaps => ({ reserve: counters.peek })

const RESERVED: CapVerdict = { kind: 'reserved' }
const UNAVAILABLE: CapVerdict = { kind: 'unavailable' }
