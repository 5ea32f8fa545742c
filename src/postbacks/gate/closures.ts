import type { Pool } from '#platform/postgres'
import type { PostbackEndpoint } from '#routing'
import type { WaitReason } from '../reasons.ts'
import type { PausedObject } from './pauses.ts'

/** Everything because of which deliveries wait: pauses by hand and disabled endpoints. */
export type Closures = {
  readonly paused: Readonly<Record<PausedObject, ReadonlySet<string>>>
  readonly states: ReadonlyMap<string, EndpointState>
}

/** An endpoint that fails or is disabled. */
export type EndpointState = {
  readonly disabledReason: 'failing' | 'gone' | undefined
  /** When one delivery may ask whether the receiver is back, by this machine's clock; undefined: never. */
  readonly probeAtMs: number | undefined
}

/** Both tables hold what is out of order only; the join keeps it one round trip. */
const READ = `
  SELECT object AS kind, object_id AS id, NULL AS reason, NULL::float8 AS probe_in_ms FROM delivery_pauses
  UNION ALL
  SELECT 'state', endpoint_id, disabled_reason, extract(epoch FROM probe_at - now())::float8 * 1000 FROM endpoint_states`

type Row = {
  readonly kind: PausedObject | 'state'
  readonly id: string
  readonly reason: 'failing' | 'gone' | null
  readonly probe_in_ms: number | null
}

/** @param nowMs this machine's clock */
export async function readClosures(pool: Pool, nowMs: () => number): Promise<Closures> {
  const { rows } = await pool.query<Row>(READ)
  const readAtMs = nowMs()
  const idsOf = (object: PausedObject): ReadonlySet<string> =>
    new Set(rows.filter(({ kind }) => kind === object).map(({ id }) => id))
  const states = rows
    .filter(({ kind }) => kind === 'state')
    .map(({ id, reason, probe_in_ms: wait }): [string, EndpointState] => [
      id,
      { disabledReason: reason ?? undefined, probeAtMs: wait === null ? undefined : readAtMs + wait },
    ])
  const paused = { endpoint: idsOf('endpoint'), affiliate: idsOf('affiliate'), advertiser: idsOf('advertiser') }
  return { paused, states: new Map(states) }
}

type Scoped = Pick<PostbackEndpoint, 'endpoint_id' | 'scope'>

/** The pause by hand that holds an endpoint up, the narrowest first. */
export function pauseOf({ paused }: Closures, { endpoint_id, scope }: Scoped): WaitReason | undefined {
  if (paused.endpoint.has(endpoint_id)) return 'paused_endpoint'
  if (scope.affiliate_id !== undefined && paused.affiliate.has(scope.affiliate_id)) return 'paused_affiliate'
  const isPaused = scope.advertiser_id !== undefined && paused.advertiser.has(scope.advertiser_id)
  return isPaused ? 'paused_advertiser' : undefined
}

/** Why deliveries to a disabled endpoint wait. */
export const disabledReasonOf = ({ disabledReason }: EndpointState): WaitReason | undefined =>
  disabledReason === undefined ? undefined : disabledReason === 'gone' ? 'endpoint_gone' : 'endpoint_failing'
