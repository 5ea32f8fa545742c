import { readWaiting, type DeliveryRow, type Waiting } from '#postbacks'

import type { Api } from './api.ts'

/** What holds deliveries up besides their time. */
type WaitingByEndpoint = ReadonlyMap<string, Waiting>

const isWaiting = ({ state }: DeliveryRow): boolean => state === 'ready' || state === 'deferred'

/** Of the endpoints of some deliveries; nothing is asked where none of them waits. */
export async function waitingOf(api: Api, rows: readonly DeliveryRow[]): Promise<WaitingByEndpoint> {
  const ids = new Set(rows.filter(isWaiting).map((row) => row.endpoint_id))
  const endpoints = api.snapshots.current()?.endpoints.filter(({ endpoint_id }) => ids.has(endpoint_id)) ?? []
  return endpoints.length === 0 ? new Map() : readWaiting(api.pool, endpoints, api.clock.now())
}

export function waitingJson(row: DeliveryRow, waiting: WaitingByEndpoint): Record<string, unknown> {
  const found = isWaiting(row) ? waiting.get(row.endpoint_id) : undefined
  return { waits_for: found?.reason ?? null, waits_until: found?.until?.toISOString() ?? null }
}
