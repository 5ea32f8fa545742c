import type { Pool, Tx } from '#platform/postgres'
import type { NoticeKind } from '../reasons.ts'

/** What an operator should know of an endpoint. */
export type Notice = {
  readonly notice_id: bigint
  readonly at: Date
  readonly kind: NoticeKind
  readonly endpoint_id: string | null
  readonly advertiser_id: string | null
  readonly affiliate_id: string | null
  readonly details: Readonly<Record<string, unknown>>
}

export type NoticeToRecord = Readonly<{
  kind: NoticeKind
  endpointId: string
  details: Readonly<Record<string, unknown>>
}>

/** The endpoint may be gone from the configuration by now. */
const RECORD = `
  INSERT INTO notices (kind, endpoint_id, advertiser_id, affiliate_id, details)
  SELECT g.kind, g.endpoint_id, e.advertiser_id, e.scope ->> 'affiliate_id', g.details
  FROM unnest($1::text[], $2::text[], $3::jsonb[]) AS g(kind, endpoint_id, details)
  LEFT JOIN postback_endpoints AS e USING (endpoint_id)`

export async function recordNotices(tx: Tx, notices: readonly NoticeToRecord[]): Promise<void> {
  await tx.query(RECORD, [
    notices.map(({ kind }) => kind),
    notices.map(({ endpointId }) => endpointId),
    notices.map(({ details }) => JSON.stringify(details)),
  ])
}

const RECORD_FOR_TENANT = 'INSERT INTO notices (kind, advertiser_id, affiliate_id, details) VALUES ($1, $2, $3, $4)'

/** A notice that is about no endpoint: told to the endpoints of the tenant that listen to notices.
 * @param notice.details plain JSON that the tenant may read
 */
export async function recordTenantNotice(
  tx: Tx,
  notice: {
    readonly kind: NoticeKind
    readonly advertiserId: string | null
    readonly affiliateId: string | null
    readonly details: Readonly<Record<string, unknown>>
  },
): Promise<void> {
  const { kind, advertiserId, affiliateId, details } = notice
  await tx.query(RECORD_FOR_TENANT, [kind, advertiserId, affiliateId, JSON.stringify(details)])
}

const LIST = `
  SELECT notice_id, at, kind, endpoint_id, advertiser_id, affiliate_id, details FROM notices
  WHERE ($1::text IS NULL OR endpoint_id = $1) AND ($2::text IS NULL OR kind = $2)
    AND ($3::timestamptz IS NULL OR (at, notice_id) < ($3, $4::bigint))
  ORDER BY at DESC, notice_id DESC LIMIT $5`

export type NoticeFilter = { readonly endpoint_id?: string | undefined; readonly kind?: NoticeKind | undefined }

/** Notices, newest first, one more than the limit so that the caller knows whether a page follows. */
export async function listNotices(
  db: Tx | Pool,
  filter: NoticeFilter,
  after: { readonly atMs: number; readonly id: string } | undefined,
  limit: number,
): Promise<readonly Notice[]> {
  const { rows } = await db.query<Notice>(LIST, [
    filter.endpoint_id,
    filter.kind,
    after && new Date(after.atMs),
    after?.id,
    limit + 1,
  ])
  return rows
}
