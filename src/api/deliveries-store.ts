import type { Tx } from '#platform/postgres'
import { attemptErrors, giveUpReasons, whyNotReasons } from '#postbacks'

import type { Cursor } from './paging.ts'

/** Outbound postbacks as the API shows them: the message, where it stands, each try, and what was not sent and why. */
export type DeliveryRow = {
  readonly delivery_id: bigint
  readonly created_at: Date
  readonly endpoint_id: string
  readonly event_id: string
  readonly replay_no: number
  readonly kind: string
  readonly cause: string
  readonly advertiser_id: string | null
  readonly affiliate_id: string | null
  readonly campaign_id: string | null
  readonly offer_id: string | null
  readonly click_id: string
  readonly conversion_id: string | null
  readonly conversion_revision: number | null
  readonly method: string
  readonly url: string
  readonly content_type: string | null
  readonly body: string | null
  readonly state: string
  readonly reason: string | null
  readonly attempts: number
  readonly next_at: Date | null
  readonly finished_at: Date | null
}

/** A delivery is in one hot table until it has its row in delivery_finals. */
const SELECT = `
  SELECT d.delivery_id, d.created_at, d.endpoint_id, d.event_id, d.replay_no, d.kind, d.cause, d.advertiser_id, d.affiliate_id,
    d.campaign_id, d.offer_id, d.click_id, d.conversion_id, d.conversion_revision, d.method, d.url, d.content_type, d.body,
    CASE WHEN f.state IS NOT NULL THEN f.state WHEN i.delivery_id IS NOT NULL THEN 'in_flight'
      WHEN w.delivery_id IS NOT NULL THEN 'deferred' ELSE 'ready' END AS state,
    f.reason, coalesce(f.attempts, i.attempts, w.attempts, r.attempts, 0)::integer AS attempts,
    coalesce(w.run_at, r.run_at) AS next_at, f.finished_at
  FROM deliveries d
  LEFT JOIN delivery_finals f ON f.created_at = d.created_at AND f.delivery_id = d.delivery_id
  LEFT JOIN delivery_inflight i ON i.delivery_id = d.delivery_id
  LEFT JOIN delivery_deferred w ON w.delivery_id = d.delivery_id
  LEFT JOIN delivery_ready r ON r.delivery_id = d.delivery_id`

const LIST = `${SELECT}
  WHERE ($1::text IS NULL OR d.advertiser_id = $1) AND ($2::text IS NULL OR d.affiliate_id = $2)
    AND ($3::text IS NULL OR d.endpoint_id = $3) AND ($4::text IS NULL OR d.offer_id = $4)
    AND ($5::uuid IS NULL OR d.click_id = $5) AND ($6::uuid IS NULL OR d.conversion_id = $6)
    AND ($7::text IS NULL OR f.state = $7)
    AND ($8::timestamptz IS NULL OR d.created_at >= $8) AND ($9::timestamptz IS NULL OR d.created_at < $9)
    AND ($10::timestamptz IS NULL OR (d.created_at, d.delivery_id) < ($10, $11::bigint))
  ORDER BY d.created_at DESC, d.delivery_id DESC LIMIT $12`

export type DeliveryFilter = {
  readonly advertiser_id?: string | undefined
  readonly affiliate_id?: string | undefined
  readonly endpoint_id?: string | undefined
  readonly offer_id?: string | undefined
  readonly click_id?: string | undefined
  readonly conversion_id?: string | undefined
  readonly state?: string | undefined
  readonly from?: string | undefined
  readonly to?: string | undefined
}

/** Newest first, one more than the limit. */
export async function listDeliveries(
  tx: Tx,
  filter: DeliveryFilter,
  after: Cursor | undefined,
  limit: number,
): Promise<readonly DeliveryRow[]> {
  const { rows } = await tx.query<DeliveryRow>(LIST, [
    filter.advertiser_id, filter.affiliate_id, filter.endpoint_id, filter.offer_id, filter.click_id, filter.conversion_id, filter.state,
    filter.from, filter.to, after && new Date(after.atMs), after?.id, limit + 1,
  ]) // prettier-ignore
  return rows
}

export async function findDelivery(tx: Tx, deliveryId: string): Promise<DeliveryRow | undefined> {
  const { rows } = await tx.query<DeliveryRow>(`${SELECT} WHERE d.delivery_id = $1`, [deliveryId])
  return rows[0]
}

const meaningOf = (meanings: Readonly<Record<string, string>>, word: string | null): string | null =>
  word !== null && Object.hasOwn(meanings, word) ? meanings[word]! : null

export function deliveryJson({
  delivery_id,
  created_at,
  next_at,
  finished_at,
  reason,
  ...rest
}: DeliveryRow): Record<string, unknown> {
  return {
    delivery_id: String(delivery_id),
    created_at: created_at.toISOString(),
    ...rest,
    reason,
    meaning: meaningOf(giveUpReasons, reason),
    next_at: next_at?.toISOString() ?? null,
    finished_at: finished_at?.toISOString() ?? null,
  }
}

type AttemptRow = {
  readonly delivery_id: bigint
  readonly attempt_no: number
  readonly attempted_at: Date
  readonly outcome: string
  readonly http_status: number | null
  readonly error: string | null
  readonly error_detail: string | null
  readonly first_byte_ms: number | null
  readonly total_ms: number
  readonly remote_address: string | null
  readonly response_head: Buffer | null
  readonly response_bytes: number
  readonly next_at: Date | null
  readonly is_fenced: boolean
}

const ATTEMPTS = `
  SELECT delivery_id, attempt_no, attempted_at, outcome, http_status, error, error_detail, first_byte_ms, total_ms,
    host(remote_address) AS remote_address, response_head, response_bytes, next_at, is_fenced
  FROM delivery_attempts WHERE delivery_id = ANY($1) ORDER BY delivery_id, attempted_at LIMIT 2000`

/** Each HTTP try of the deliveries, by delivery, oldest first. */
export async function listAttempts(
  tx: Tx,
  deliveryIds: readonly bigint[],
): Promise<ReadonlyMap<string, readonly Record<string, unknown>[]>> {
  const { rows } = await tx.query<AttemptRow>(ATTEMPTS, [deliveryIds.map(String)])
  return Map.groupBy(rows.map(attemptJson), ({ delivery_id }) => delivery_id as string)
}

function attemptJson({
  delivery_id,
  attempted_at,
  next_at,
  response_head,
  ...rest
}: AttemptRow): Record<string, unknown> {
  return {
    delivery_id: String(delivery_id),
    ...rest,
    meaning: meaningOf(attemptErrors, rest.error),
    attempted_at: attempted_at.toISOString(),
    next_at: next_at?.toISOString() ?? null,
    response_head: response_head?.toString('utf8') ?? null,
  }
}

type WhyNotRow = {
  readonly at: Date
  readonly endpoint_id: string
  readonly cause: string
  readonly reason: string
  readonly detail: string | null
  readonly click_id: string
  readonly conversion_id: string | null
  readonly conversion_revision: number | null
}

const WHY_NOT = `
  SELECT at, endpoint_id, cause, reason, detail, click_id, conversion_id, conversion_revision
  FROM delivery_why_not WHERE click_id = $1 ORDER BY at, endpoint_id LIMIT 500`

/** What the click could have made us send and did not, with the reason. */
export async function listNotSent(tx: Tx, clickId: string): Promise<readonly Record<string, unknown>[]> {
  const { rows } = await tx.query<WhyNotRow>(WHY_NOT, [clickId])
  return rows.map(({ at, ...rest }) => ({
    at: at.toISOString(),
    ...rest,
    meaning: meaningOf(whyNotReasons, rest.reason),
  }))
}
