import { formatAmount } from '#platform/money'
import type { Tx } from '#platform/postgres'

import type { Cursor } from './paging.ts'

export type InboundRow = {
  readonly postback_id: string
  readonly received_at: Date
  readonly via: string
  readonly advertiser_id: string | null
  readonly offer_id: string | null
  readonly click_id: string | null
  readonly raw_click_id: string | null
  readonly raw_status: string | null
  readonly raw_goal: string | null
  readonly txid: string | null
  readonly amount_micros: bigint | null
  readonly sale_amount_micros: bigint | null
  readonly currency: string | null
  readonly ip: string | null
  readonly raw: string
  readonly outcome: string
  readonly reason: string | null
  readonly conversion_id: string | null
}

const COLUMNS = `postback_id, received_at, via, advertiser_id, offer_id, click_id, raw_click_id, raw_status, raw_goal, txid, amount_micros,
  sale_amount_micros, currency, host(ip) AS ip, raw, outcome, reason, conversion_id`

/** Which rows come first. */
export type ListOrder = 'newest' | 'oldest'

const listSql = (order: ListOrder): string => `
  SELECT ${COLUMNS} FROM inbound_postbacks
  WHERE ($1::text IS NULL OR advertiser_id = $1) AND ($2::text IS NULL OR offer_id = $2) AND ($3::uuid IS NULL OR click_id = $3)
    AND ($4::text IS NULL OR outcome = $4) AND ($5::text IS NULL OR reason = $5)
    AND ($6::timestamptz IS NULL OR received_at >= $6) AND ($7::timestamptz IS NULL OR received_at < $7)
    AND ($8::timestamptz IS NULL OR (received_at, postback_id) ${order === 'newest' ? '<' : '>'} ($8, $9::uuid))
  ORDER BY received_at ${order === 'newest' ? 'DESC' : 'ASC'}, postback_id ${order === 'newest' ? 'DESC' : 'ASC'} LIMIT $10`

export type InboundFilter = {
  readonly advertiser_id?: string | undefined
  readonly offer_id?: string | undefined
  readonly click_id?: string | undefined
  readonly outcome?: string | undefined
  readonly reason?: string | undefined
  readonly from?: string | undefined
  readonly to?: string | undefined
}

/** One more than the limit. */
export async function listInbound(
  tx: Tx,
  filter: InboundFilter,
  after: Cursor | undefined,
  limit: number,
  order: ListOrder = 'newest',
): Promise<readonly InboundRow[]> {
  const { rows } = await tx.query<InboundRow>(listSql(order), [
    filter.advertiser_id, filter.offer_id, filter.click_id, filter.outcome, filter.reason, filter.from, filter.to,
    after && new Date(after.atMs), after?.id, limit + 1,
  ]) // prettier-ignore
  return rows
}

export function inboundJson({
  received_at,
  amount_micros,
  sale_amount_micros,
  ...rest
}: InboundRow): Record<string, unknown> {
  const amount = (value: bigint | null): string | null => (value === null ? null : formatAmount(value, 2))
  return {
    ...rest,
    received_at: received_at.toISOString(),
    amount: amount(amount_micros),
    sale_amount: amount(sale_amount_micros),
  }
}
