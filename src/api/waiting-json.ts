import {
  readBehind,
  readPaused,
  readWaiting,
  subjectPauseOf,
  type DeliveryRow,
  type PausedThing,
  type Waiting,
} from '#postbacks'

import type { Api } from './api.ts'

/** What holds deliveries up besides their time. */
type WhatHoldsUp = {
  readonly byEndpoint: ReadonlyMap<string, Waiting>
  /** Deliveries that wait for an earlier one. */
  readonly behind: ReadonlySet<bigint>
  readonly pauses: readonly PausedThing[]
}

const NOTHING: WhatHoldsUp = { byEndpoint: new Map(), behind: new Set(), pauses: [] }

const isWaiting = ({ state }: DeliveryRow): boolean => state === 'ready' || state === 'deferred'

/** Of the endpoints of some deliveries; nothing is asked where none of them waits. */
export async function waitingOf(
  api: Pick<Api, 'pool' | 'snapshots' | 'clock'>,
  rows: readonly DeliveryRow[],
): Promise<WhatHoldsUp> {
  const waiting = rows.filter(isWaiting)
  const ids = new Set(waiting.map((row) => row.endpoint_id))
  const endpoints = api.snapshots.current()?.endpoints.filter(({ endpoint_id }) => ids.has(endpoint_id)) ?? []
  if (endpoints.length === 0) return NOTHING
  const ordered = new Set(endpoints.filter((one) => one.ordered === true).map((one) => one.endpoint_id))
  const inOrder = waiting.filter((row) => ordered.has(row.endpoint_id)).map((row) => row.delivery_id)
  return {
    byEndpoint: await readWaiting(api.pool, endpoints, api.clock.now()),
    behind: inOrder.length === 0 ? NOTHING.behind : await readBehind(api.pool, inOrder),
    pauses: await readPaused(api.pool),
  }
}

export function waitingJson(row: DeliveryRow, { byEndpoint, behind, pauses }: WhatHoldsUp): Record<string, unknown> {
  const paused = isWaiting(row) ? subjectPauseOf(pauses, row) : undefined
  if (paused !== undefined) return { waits_for: paused, waits_until: null }
  const found = isWaiting(row) ? byEndpoint.get(row.endpoint_id) : undefined
  if (found === undefined && behind.has(row.delivery_id)) return { waits_for: 'earlier_message', waits_until: null }
  return { waits_for: found?.reason ?? null, waits_until: found?.until?.toISOString() ?? null }
}
