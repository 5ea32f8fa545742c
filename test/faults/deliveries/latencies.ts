import type { Arrival } from './journal-receiver.ts'
import type { Production } from './production-journal.ts'

/** From the commit of a conversion to the first arrival at one of the endpoints, milliseconds, for what was committed between two
 * instants (milliseconds since the epoch). What never arrived is left out: other checks find it.
 */
export function latenciesBetween(
  { committedAt }: Production,
  arrivals: readonly Arrival[],
  takes: (endpointId: string) => boolean,
  from: number,
  to: number,
): readonly number[] {
  const firstAt = new Map<string, number>()
  for (const { endpointId, txid, at } of arrivals) if (takes(endpointId) && !firstAt.has(txid)) firstAt.set(txid, at)
  return [...committedAt].flatMap(([number, committed]) => {
    const at = firstAt.get(String(number))
    return committed < from || committed >= to || at === undefined ? [] : [at - committed]
  })
}

/** The nearest-rank percentile. @returns NaN for none */
export function percentileOf(values: readonly number[], share: number): number {
  const sorted = values.toSorted((a, b) => a - b)
  return sorted[Math.max(0, Math.ceil(share * sorted.length) - 1)] ?? Number.NaN
}

export const roundMs = (ms: number): number => Math.round(ms * 10) / 10

export const epochMs = (): number => performance.timeOrigin + performance.now()
