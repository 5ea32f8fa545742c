import type { Pool, Tx } from '#platform/postgres'
import type { WhyNotRow } from './deliveries.ts'

export type WhyNotFilter = {
  readonly advertiser_id?: string | undefined
  readonly affiliate_id?: string | undefined
  readonly endpoint_id?: string | undefined
  readonly click_id?: string | undefined
  readonly conversion_id?: string | undefined
  readonly cause?: string | undefined
  readonly reason?: string | undefined
  /** Happened at or after, ISO 8601. */
  readonly from?: string | undefined
  /** Happened before. */
  readonly to?: string | undefined
}

/** Place of a row in the list. Several endpoints may have a reason for the same event. */
export type WhyNotCursor = { readonly atMs: number; readonly eventId: string; readonly endpointId: string }

const LIST = `
  SELECT at, endpoint_id, event_id, cause, reason, detail, advertiser_id, affiliate_id, click_id, conversion_id,
    conversion_revision
  FROM delivery_why_not
  WHERE ($1::text IS NULL OR advertiser_id = $1) AND ($2::text IS NULL OR affiliate_id = $2)
    AND ($3::text IS NULL OR endpoint_id = $3) AND ($4::uuid IS NULL OR click_id = $4)
    AND ($5::uuid IS NULL OR conversion_id = $5) AND ($6::text IS NULL OR cause = $6) AND ($7::text IS NULL OR reason = $7)
    AND ($8::timestamptz IS NULL OR at >= $8) AND ($9::timestamptz IS NULL OR at < $9)
    AND ($10::timestamptz IS NULL OR (at, event_id, endpoint_id) < ($10, $11::uuid, $12::text))
  ORDER BY at DESC, event_id DESC, endpoint_id DESC LIMIT $13`

/** What was not sent although an endpoint's scope and trigger fit, newest first, one more than the limit. */
export async function searchWhyNot(
  db: Tx | Pool,
  filter: WhyNotFilter,
  after: WhyNotCursor | undefined,
  limit: number,
): Promise<readonly WhyNotRow[]> {
  const { rows } = await db.query<WhyNotRow>(LIST, [
    filter.advertiser_id,
    filter.affiliate_id,
    filter.endpoint_id,
    filter.click_id,
    filter.conversion_id,
    filter.cause,
    filter.reason,
    filter.from,
    filter.to,
    after && new Date(after.atMs),
    after?.eventId,
    after?.endpointId,
    limit + 1,
  ])
  return rows
}
