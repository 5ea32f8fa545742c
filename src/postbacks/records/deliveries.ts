import type { Pool, Tx } from '#platform/postgres'
import type { DeliveryKind } from '../queue/enqueue-deliveries.ts'
import { showHeaders, type StoredHeaders } from '../messages/stored-headers.ts'

/** What a delivery is doing: `ready` while it is due or being tried, `deferred` to its next try, or how it ended. */
export const deliveryStates = ['ready', 'deferred', 'delivered', 'gave_up', 'quarantined', 'cancelled'] as const
export type DeliveryState = (typeof deliveryStates)[number]

/** A delivery as people see it. */
export type DeliveryRow = {
  readonly delivery_id: bigint
  readonly created_at: Date
  readonly endpoint_id: string
  readonly event_id: string
  readonly replay_no: number
  readonly kind: DeliveryKind
  /** The trigger that caused it, or `test`. */
  readonly cause: string
  readonly advertiser_id: string | null
  readonly affiliate_id: string | null
  readonly campaign_id: string | null
  readonly offer_id: string | null
  readonly click_id: string
  readonly conversion_id: string | null
  readonly conversion_revision: number | null
  readonly config_version: number
  readonly method: 'GET' | 'POST'
  /** As sent, without signature. */
  readonly url: string
  readonly content_type: string | null
  readonly body: string | null
  /** Those of the endpoint, filled, but for its secrets: for people once maskHeaders has been over them. */
  readonly headers: Readonly<Record<string, string>> | null
  readonly state: DeliveryState
  /** A give-up reason, where it ended without success. */
  readonly reason: string | null
  readonly attempts: number
  readonly last_http_status: number | null
  readonly last_error: string | null
  /** When the next try is due; null where none is planned or it is due already. */
  readonly next_at: Date | null
  readonly finished_at: Date | null
}

type StoredRow = Omit<DeliveryRow, 'headers'> & { readonly headers: StoredHeaders | null }
const openRow = (row: StoredRow): DeliveryRow => ({ ...row, headers: showHeaders(row.headers) })

/** One HTTP try. */
export type AttemptRow = {
  readonly delivery_id: bigint
  /** 1-based. */
  readonly attempt_no: number
  readonly attempted_at: Date
  readonly outcome: 'delivered' | 'retry' | 'gave_up'
  readonly http_status: number | null
  readonly error: string | null
  readonly error_detail: string | null
  /** Times of the opening of the connection, milliseconds; null: it was open already, or was never opened. */
  readonly dns_ms: number | null
  readonly connect_ms: number | null
  readonly tls_ms: number | null
  /** `TLSv1.2` or `TLSv1.3`; null: plain HTTP. */
  readonly tls_version: string | null
  /** The connection had carried a request before; null: there was none. */
  readonly is_reused: boolean | null
  readonly first_byte_ms: number | null
  readonly total_ms: number
  readonly remote_address: string | null
  /** Headers of an answer that was no success, one a line, masked, 2 KiB at most. */
  readonly response_headers: string | null
  /** First 2 KiB of the answer; bytes that are no UTF-8 are replaced. */
  readonly response_head: string
  readonly response_bytes: number
  readonly next_at: Date | null
  /** True: its lease had been lost, so it decided nothing. */
  readonly is_fenced: boolean
  /** True: it asked whether the receiver was back; where it failed it used up no attempt. */
  readonly is_probe: boolean
  /** `webhook-id` of the request of many messages that it was in; null: it was one of its own. */
  readonly batch_id: string | null
  readonly batch_size: number | null
}

/** Something that was not sent, and why. */
export type WhyNotRow = {
  readonly at: Date
  readonly endpoint_id: string
  readonly event_id: string
  readonly cause: string
  readonly reason: string
  readonly detail: string | null
  readonly advertiser_id: string | null
  readonly affiliate_id: string | null
  readonly click_id: string
  readonly conversion_id: string | null
  readonly conversion_revision: number | null
}

/** The last try of `d` that counted, here or in what is remembered of it. Times bound the days that are looked into; the margin is
 * for a clock of the server that was put back.
 */
export const LAST_TRY = `
  LEFT JOIN delivery_last_tries AS l ON l.created_at = d.created_at AND l.delivery_id = d.delivery_id
  LEFT JOIN LATERAL (
    SELECT attempt_no, http_status, error, next_at FROM delivery_attempts
    WHERE delivery_id = d.delivery_id AND attempted_at >= d.created_at - interval '1 day' AND NOT is_fenced
    ORDER BY attempt_no DESC LIMIT 1
  ) AS a ON true`
/** Of LAST_TRY. */
export const LAST_STATUS = 'CASE WHEN a.attempt_no IS NULL THEN l.http_status ELSE a.http_status END'
export const LAST_ERROR = 'CASE WHEN a.attempt_no IS NULL THEN l.error ELSE a.error END'

/** How `d` ended, as `f`. */
export const END_OF = `
  LEFT JOIN LATERAL (
    SELECT * FROM delivery_ends AS e WHERE e.created_at = d.created_at AND e.delivery_id = d.delivery_id LIMIT 1
  ) AS f ON true`

/** The state follows from what is on record, not from the queue: `delivery_ready` has no index by delivery, on purpose. */
const SEEN = `
  SELECT d.delivery_id, d.created_at, d.endpoint_id, d.event_id, d.replay_no, d.kind, d.cause, d.advertiser_id, d.affiliate_id,
    d.campaign_id, d.offer_id, d.click_id, d.conversion_id, d.conversion_revision, d.config_version, d.method, d.url,
    d.content_type, d.body, d.headers,
    CASE
      WHEN f.state IS NOT NULL THEN f.state
      WHEN a.next_at > now() THEN 'deferred'
      ELSE 'ready'
    END AS state,
    f.reason, coalesce(f.attempts, a.attempt_no, l.attempts, 0) AS attempts, ${LAST_STATUS} AS last_http_status,
    ${LAST_ERROR} AS last_error,
    CASE WHEN f.state IS NULL AND a.next_at > now() THEN a.next_at END AS next_at, f.finished_at
  FROM deliveries AS d
  ${END_OF}
  ${LAST_TRY}`

const listSql = (order: 'newest' | 'oldest'): string => `
  SELECT * FROM (${SEEN}) AS seen
  WHERE ($1::text IS NULL OR advertiser_id = $1) AND ($2::text IS NULL OR affiliate_id = $2)
    AND ($3::text IS NULL OR campaign_id = $3) AND ($4::text IS NULL OR offer_id = $4)
    AND ($5::text IS NULL OR endpoint_id = $5) AND ($6::uuid IS NULL OR click_id = $6)
    AND ($7::uuid IS NULL OR conversion_id = $7) AND ($8::text IS NULL OR state = $8)
    AND ($9::timestamptz IS NULL OR created_at >= $9) AND ($10::timestamptz IS NULL OR created_at < $10)
    AND ($11::text IS NULL OR cause = $11) AND ($12::int IS NULL OR last_http_status = $12)
    AND ($13::text IS NULL OR last_error = $13)
    AND ($14::timestamptz IS NULL OR (created_at, delivery_id) ${order === 'newest' ? '<' : '>'} ($14, $15::bigint))
  ORDER BY created_at ${order === 'newest' ? 'DESC' : 'ASC'}, delivery_id ${order === 'newest' ? 'DESC' : 'ASC'} LIMIT $16`

export type DeliveryFilter = {
  readonly advertiser_id?: string | undefined
  readonly affiliate_id?: string | undefined
  readonly campaign_id?: string | undefined
  readonly offer_id?: string | undefined
  readonly endpoint_id?: string | undefined
  readonly click_id?: string | undefined
  readonly conversion_id?: string | undefined
  readonly state?: DeliveryState | undefined
  /** A trigger, or `test`. */
  readonly cause?: string | undefined
  /** Answer to the last try. */
  readonly http_status?: number | undefined
  /** What went wrong in the last try. */
  readonly error?: string | undefined
  /** Created at or after, ISO 8601. */
  readonly from?: string | undefined
  /** Created before. */
  readonly to?: string | undefined
}

/** Place of a delivery in the list: the next page begins after it. Milliseconds are exact: created_at has no more digits. */
export type DeliveryCursor = { readonly atMs: number; readonly id: string }

/** Deliveries, by default the newest first, one more than the limit so that the caller knows whether a page follows. */
export async function listDeliveries(
  db: Tx | Pool,
  filter: DeliveryFilter,
  after: DeliveryCursor | undefined,
  limit: number,
  order: 'newest' | 'oldest' = 'newest',
): Promise<readonly DeliveryRow[]> {
  const { rows } = await db.query<StoredRow>(listSql(order), [
    filter.advertiser_id,
    filter.affiliate_id,
    filter.campaign_id,
    filter.offer_id,
    filter.endpoint_id,
    filter.click_id,
    filter.conversion_id,
    filter.state,
    filter.from,
    filter.to,
    filter.cause,
    filter.http_status,
    filter.error,
    after && new Date(after.atMs),
    after?.id,
    limit + 1,
  ])
  return rows.map(openRow)
}

const ONE = `SELECT * FROM (${SEEN}) AS seen WHERE delivery_id = $1`

/** @returns undefined when there is none of that id, or it is another tenant's */
export async function findDelivery(db: Tx | Pool, deliveryId: bigint): Promise<DeliveryRow | undefined> {
  const { rows } = await db.query<StoredRow>(ONE, [deliveryId])
  return rows[0] && openRow(rows[0])
}

/** Rows shown of one click or page of deliveries. */
export const ROWS_MAX = 2_000

const ATTEMPTS = `
  SELECT delivery_id, attempt_no, attempted_at, outcome, http_status, error, error_detail, dns_ms, connect_ms, tls_ms,
    tls_version, is_reused, first_byte_ms, total_ms, response_headers, host(remote_address) AS remote_address, response_head, response_bytes, next_at, is_fenced, is_probe, batch_id, batch_size
  FROM delivery_attempts WHERE delivery_id = ANY($1) ORDER BY delivery_id, attempt_no, attempted_at LIMIT ${ROWS_MAX}`

/** Each HTTP try of the deliveries, oldest first, 2 000 at most. */
export async function listAttempts(db: Tx | Pool, deliveryIds: readonly bigint[]): Promise<readonly AttemptRow[]> {
  if (deliveryIds.length === 0) return []
  const { rows } = await db.query<Omit<AttemptRow, 'response_head'> & { response_head: Buffer }>(ATTEMPTS, [
    deliveryIds,
  ])
  return rows.map((row) => ({ ...row, response_head: row.response_head.toString('utf8') }))
}

export type ClickDeliveries = {
  readonly deliveries: readonly (DeliveryRow & { readonly tries: readonly AttemptRow[] })[]
  readonly whyNot: readonly WhyNotRow[]
}
