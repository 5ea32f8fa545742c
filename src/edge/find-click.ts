import type { HotState } from '#hot-state'
import type { EventLog } from '#log'
import { uuidV7Time, type ClickId } from '#platform/ids'
import { decodeClick, type ClickRecord } from '#records'

/** What is known of a click id. `pending`: the index has not read everything yet, the click may still turn up. */
export type FoundClick =
  { readonly kind: 'found'; readonly click: ClickRecord } | { readonly kind: 'pending' } | { readonly kind: 'unknown' }

/** Click ids carry the clock of the edge that made them; clocks of several machines differ by less. */
const CLOCK_SLACK_MS = 10_000

/** The click, as far as the index knows it; reads the index only. */
export function lookUpClick(hotState: Pick<HotState, 'getClick'>, clickId: ClickId): ClickRecord | undefined {
  const payload = hotState.getClick(clickId)
  return payload === undefined ? undefined : decodeClick(payload)
}

/** Looks a click up. One that is not in the index is unknown when the index has read everything that is durable, or when
 * its id (a UUIDv7) is older than the oldest record that the index has still to read.
 */
export async function findClick(
  hotState: Pick<HotState, 'getClick' | 'indexPosition'>,
  log: Pick<EventLog, 'partitions' | 'bounds'>,
  clickId: ClickId,
): Promise<FoundClick> {
  const click = lookUpClick(hotState, clickId)
  if (click !== undefined) return { kind: 'found', click }
  const unreadSince = await findUnread(hotState, log)
  // The index may have taken it in while its position was asked for.
  const late = lookUpClick(hotState, clickId)
  if (late !== undefined) return { kind: 'found', click: late }
  const madeAt = uuidV7Time(clickId)
  const isOlder = madeAt !== undefined && madeAt < unreadSince - CLOCK_SLACK_MS
  return { kind: unreadSince === Number.POSITIVE_INFINITY || isOlder ? 'unknown' : 'pending' }
}

/** Append time of the last record that the index has read in the partition where it is furthest behind; Infinity when it
 * has read everything.
 */
async function findUnread(
  hotState: Pick<HotState, 'indexPosition'>,
  log: Pick<EventLog, 'partitions' | 'bounds'>,
): Promise<number> {
  const partitions = await log.partitions()
  const times = partitions.map(async (partition) => {
    const position = hotState.indexPosition(partition)
    const { nextOffset } = await log.bounds(partition)
    if (position === undefined) return nextOffset === 0 ? Number.POSITIVE_INFINITY : 0
    return position.nextOffset >= nextOffset ? Number.POSITIVE_INFINITY : position.appendedAt
  })
  return Math.min(Number.POSITIVE_INFINITY, ...(await Promise.all(times)))
}
