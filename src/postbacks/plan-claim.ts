import type { PostbackEndpoint } from '#routing'
import type { Quota } from './queue.ts'

/** How many more deliveries may be under way, in all and for each endpoint. */
export type Slots = {
  /** Free in this worker. */
  readonly free: number
  /** Most that one endpoint may hold, whatever its own limit: the rest belongs to the others. */
  readonly perEndpointMax: number
  readonly running: (endpointId: string) => number
}

/** Added to an endpoint's deadline for its lease: time to write the outcome down, also after a stall of some seconds. A lease
 * that ended before the attempt did would make a second sender start.
 */
export const LEASE_MARGIN_MS = 15_000

/** Rows taken per claim at most: the statement stays short and its messages small in memory. */
export const CLAIM_MAX = 256

/** Shares the free slots among the endpoints that wait: each gets an equal share first, at least one, within its own limit.
 * Pure.
 * @param waiting those that waited longest first: where slots are short the later ones get none in this round
 */
export function planClaim(waiting: readonly PostbackEndpoint[], slots: Slots): readonly Quota[] {
  let free = Math.min(slots.free, CLAIM_MAX)
  const share = Math.max(1, Math.floor(free / Math.max(1, waiting.length)))
  const quotas: Quota[] = []
  for (const endpoint of waiting) {
    const limit = Math.min(endpoint.max_concurrency, slots.perEndpointMax)
    const count = Math.min(limit - slots.running(endpoint.endpoint_id), share, free)
    if (count <= 0) continue
    quotas.push({ endpointId: endpoint.endpoint_id, count, leaseMs: endpoint.timeout_ms + LEASE_MARGIN_MS })
    free -= count
  }
  return quotas
}
