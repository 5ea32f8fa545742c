import { periodClock } from '#caps'
import type { Pool } from '#platform/postgres'
import type { PostbackEndpoint } from '#routing'
import { readOpenBreakers } from '../worker/breaker-notes.ts'
import type { WaitReason } from '../reasons.ts'
import { disabledReasonOf, pauseOf, readClosures } from './closures.ts'
import { readQuotas, type QuotaPeriod } from './quota-store.ts'

/** Why deliveries of an endpoint wait although they are due, and until when where that is known. */
export type Waiting = { readonly reason: WaitReason; readonly until: Date | undefined }

/** How much of its quota an endpoint has had. The last block of it may still be on its way. */
export type QuotaUse = { readonly taken: number; readonly periodEnd: Date }

type Placed = { readonly period: QuotaPeriod; readonly endMs: number }

function placeQuota({ endpoint_id, quota }: PostbackEndpoint, nowMs: number): readonly Placed[] {
  if (quota === undefined) return []
  const { startMs, endMs } = periodClock(quota.per, quota.zone)(nowMs)
  return [{ period: { endpointId: endpoint_id, per: quota.per, zone: quota.zone, startMs, count: quota.count }, endMs }]
}

/** Quotas in use, by endpoint; endpoints without a quota are left out. */
export async function readQuotaUse(
  pool: Pool,
  endpoints: readonly PostbackEndpoint[],
  nowMs: number,
): Promise<ReadonlyMap<string, QuotaUse>> {
  const placed = endpoints.flatMap((endpoint) => placeQuota(endpoint, nowMs))
  if (placed.length === 0) return new Map()
  const taken = await readQuotas(pool, placed.map(({ period }) => period)) // prettier-ignore
  return new Map(
    placed.map(({ period: { endpointId }, endMs }) => [
      endpointId,
      { taken: taken.get(endpointId) ?? 0, periodEnd: new Date(endMs) },
    ]),
  )
}

/** The endpoints of whom deliveries wait, with the reason; in the order in which the worker asks. */
export async function readWaiting(
  pool: Pool,
  endpoints: readonly PostbackEndpoint[],
  nowMs: number,
): Promise<ReadonlyMap<string, Waiting>> {
  const closures = await readClosures(pool, () => nowMs)
  const quotas = await readQuotaUse(pool, endpoints, nowMs)
  const probes = await readOpenBreakers(pool)
  const waiting = new Map<string, Waiting>()
  for (const endpoint of endpoints) {
    const { endpoint_id: id, status, quota } = endpoint
    const state = closures.states.get(id)
    const shut = status === 'paused' ? 'endpoint_paused' : pauseOf(closures, endpoint)
    const disabled = state && disabledReasonOf(state)
    const use = quotas.get(id)
    if (shut !== undefined) waiting.set(id, { reason: shut, until: undefined })
    else if (disabled !== undefined) waiting.set(id, { reason: disabled, until: toDate(state?.probeAtMs) })
    else if (quota !== undefined && use !== undefined && use.taken >= quota.count)
      waiting.set(id, { reason: 'quota_used', until: use.periodEnd })
    else if (probes.has(id)) waiting.set(id, { reason: 'receiver_down', until: probes.get(id) })
  }
  return waiting
}

const toDate = (ms: number | undefined): Date | undefined => (ms === undefined ? undefined : new Date(ms))

const BEHIND = `
  SELECT o.delivery_id FROM delivery_order AS o
  WHERE o.delivery_id = ANY($1::bigint[]) AND EXISTS (
    SELECT FROM delivery_order AS e WHERE e.endpoint_id = o.endpoint_id AND e.click_id = o.click_id AND e.place < o.place
  )`

/** Those of some deliveries that wait for an earlier message of their click. A worker learns it when it meets them. */
export async function readBehind(pool: Pool, deliveryIds: readonly bigint[]): Promise<ReadonlySet<bigint>> {
  const { rows } = await pool.query<{ delivery_id: bigint }>(BEHIND, [deliveryIds])
  return new Set(rows.map((row) => row.delivery_id))
}

const HELD = `
  SELECT p.object, p.object_id, count(*)::float8 AS count FROM delivery_held AS h
  JOIN delivery_pauses AS p ON p.object = 'affiliate' AND p.object_id = h.affiliate_id OR p.object = 'advertiser' AND p.object_id = h.advertiser_id
  WHERE h.endpoint_id = $1 GROUP BY p.object, p.object_id ORDER BY count(*) DESC, p.object, p.object_id`

/** What is held of an endpoint because of one pause. */
export type HeldCount = {
  readonly object: 'affiliate' | 'advertiser'
  readonly object_id: string
  readonly count: number
}

/** How much of what is due for an endpoint is about somebody who is paused, pause by pause. What two pauses hold counts for both. */
export const readHeld = async (pool: Pool, endpointId: string): Promise<readonly HeldCount[]> =>
  (await pool.query<HeldCount>(HELD, [endpointId])).rows

/** An endpoint that fails or is disabled, as people see it. */
export type FailingEndpoint = {
  readonly endpoint_id: string
  readonly failing_since: Date
  readonly last_failure_at: Date
  readonly disabled_at: Date | null
  readonly disabled_reason: 'failing' | 'gone' | null
  readonly probe_at: Date | null
}

const FAILING = `
  SELECT endpoint_id, failing_since, last_failure_at, disabled_at, disabled_reason, probe_at FROM endpoint_states
  WHERE $1::text IS NULL OR endpoint_id = $1 ORDER BY failing_since, endpoint_id`

/** Endpoints without a success since a failure, those that fail longest first.
 * @param endpointId left out: all
 */
export const listFailing = async (pool: Pool, endpointId?: string): Promise<readonly FailingEndpoint[]> =>
  (await pool.query<FailingEndpoint>(FAILING, [endpointId])).rows
