import type { Tenant } from '#accounts'
import { formatAmount } from '#platform/money'
import type { Tx } from '#platform/postgres'

import { verdictJson } from './verdict-json.ts'
import type { Cursor } from './paging.ts'

/** Conversions and their bookings as the API shows them. All reads run as the tenant; the filters name it too, so that an
 * index leads to its rows.
 */
export type ConversionRow = {
  readonly conversion_id: string
  readonly advertiser_id: string
  readonly click_id: string
  readonly type: string
  readonly goal: string
  readonly txid: string
  readonly affiliate_id: string | null
  readonly campaign_id: string | null
  readonly offer_id: string
  readonly status: string
  readonly raw_status: string | null
  readonly hold_until: Date | null
  readonly is_hold_released: boolean
  readonly payout_micros: bigint
  readonly revenue_micros: bigint
  readonly sale_amount_micros: bigint
  readonly currency: string
  readonly revision: number
  readonly created_at: Date
  readonly updated_at: Date
  readonly fraud: string | null
}

const COLUMNS = `conversion_id, advertiser_id, click_id, type, goal, txid, affiliate_id, campaign_id, offer_id, status, raw_status,
  hold_until, is_hold_released, payout_micros, revenue_micros, sale_amount_micros, currency, revision, created_at, updated_at, fraud`

const LIST = `
  SELECT ${COLUMNS} FROM conversions
  WHERE ($1::text IS NULL OR advertiser_id = $1) AND ($2::text IS NULL OR affiliate_id = $2)
    AND ($3::text IS NULL OR campaign_id = $3) AND ($4::text IS NULL OR offer_id = $4)
    AND ($5::uuid IS NULL OR click_id = $5) AND ($6::text IS NULL OR status = $6) AND ($7::text IS NULL OR type = $7)
    AND ($8::timestamptz IS NULL OR created_at >= $8) AND ($9::timestamptz IS NULL OR created_at < $9)
    AND ($10::timestamptz IS NULL OR (created_at, conversion_id) < ($10, $11::uuid))
  ORDER BY created_at DESC, conversion_id DESC LIMIT $12`

export type ConversionFilter = {
  readonly advertiser_id?: string | undefined
  readonly affiliate_id?: string | undefined
  readonly campaign_id?: string | undefined
  readonly offer_id?: string | undefined
  readonly click_id?: string | undefined
  readonly status?: string | undefined
  readonly type?: string | undefined
  readonly from?: string | undefined
  readonly to?: string | undefined
}

/** Newest first, one more than the limit. */
export async function listConversions(
  tx: Tx,
  filter: ConversionFilter,
  after: Cursor | undefined,
  limit: number,
): Promise<readonly ConversionRow[]> {
  const { rows } = await tx.query<ConversionRow>(LIST, [
    filter.advertiser_id, filter.affiliate_id, filter.campaign_id, filter.offer_id, filter.click_id, filter.status, filter.type,
    filter.from, filter.to, after && new Date(after.atMs), after?.id, limit + 1,
  ]) // prettier-ignore
  return rows
}

export async function findConversion(tx: Tx, conversionId: string): Promise<ConversionRow | undefined> {
  const { rows } = await tx.query<ConversionRow>(`SELECT ${COLUMNS} FROM conversions WHERE conversion_id = $1`, [
    conversionId,
  ])
  return rows[0]
}

/** A conversion as JSON. What the advertiser pays is not shown to an affiliate. */
export function conversionJson(row: ConversionRow, { role }: Tenant): Record<string, unknown> {
  const { payout_micros, revenue_micros, sale_amount_micros, created_at, updated_at, hold_until, fraud, ...rest } = row
  return {
    ...rest,
    payout: formatAmount(payout_micros, 2),
    ...(role === 'affiliate' ? {} : { revenue: formatAmount(revenue_micros, 2), fraud: verdictJson(fraud) }),
    sale_amount: formatAmount(sale_amount_micros, 2),
    hold_until: hold_until?.toISOString() ?? null,
    created_at: created_at.toISOString(),
    updated_at: updated_at.toISOString(),
  }
}

type RevisionRow = {
  readonly conversion_id: string
  readonly revision: number
  readonly status: string
  readonly raw_status: string | null
  readonly payout_micros: bigint
  readonly revenue_micros: bigint
  readonly is_hold_released: boolean
  readonly cause: string
  readonly revised_by: string
  readonly reason: string
  readonly revised_at: Date
}

const REVISIONS = `
  SELECT conversion_id, revision, status, raw_status, payout_micros, revenue_micros, is_hold_released, cause, revised_by, reason,
    revised_at
  FROM conversion_revisions WHERE conversion_id = ANY($1) ORDER BY conversion_id, revision LIMIT 1000`

/** Every state that the conversions had, oldest first. */
export async function listRevisions(
  tx: Tx,
  conversionIds: readonly string[],
  { role }: Tenant,
): Promise<readonly Record<string, unknown>[]> {
  const { rows } = await tx.query<RevisionRow>(REVISIONS, [conversionIds])
  return rows.map(({ payout_micros, revenue_micros, revised_by, reason, revised_at, ...rest }) => ({
    ...rest,
    payout: formatAmount(payout_micros, 2),
    ...(role === 'affiliate' ? {} : { revenue: formatAmount(revenue_micros, 2), revised_by, reason }),
    revised_at: revised_at.toISOString(),
  }))
}

type BookingRow = {
  readonly transaction_id: bigint
  readonly conversion_id: string
  readonly description: string
  readonly booked_at: Date
  readonly owner: string
  readonly kind: string
  readonly affiliate_id: string
  readonly amount_micros: bigint
  readonly currency: string
}

const BOOKINGS = `
  SELECT t.transaction_id, t.conversion_id, t.description, t.booked_at, a.owner, a.kind, a.affiliate_id, e.amount_micros, e.currency
  FROM ledger_transactions t JOIN ledger_entries e USING (transaction_id) JOIN ledger_accounts a USING (account_id)
  WHERE t.conversion_id = ANY($1) ORDER BY t.transaction_id, a.owner, a.kind LIMIT 1000`

/** What was booked for the conversions, entry by entry. Debit is positive, credit negative. */
export async function listBookings(
  tx: Tx,
  conversionIds: readonly string[],
): Promise<readonly Record<string, unknown>[]> {
  const { rows } = await tx.query<BookingRow>(BOOKINGS, [conversionIds])
  return rows.map(({ transaction_id, booked_at, owner, kind, amount_micros, affiliate_id, ...rest }) => ({
    transaction_id: String(transaction_id),
    ...rest,
    booked_at: booked_at.toISOString(),
    account: `${owner}/${kind}`,
    ...(affiliate_id === '' ? {} : { affiliate_id }),
    amount: formatAmount(amount_micros, 2),
  }))
}

type BalanceRow = {
  readonly advertiser_id: string
  readonly owner: string
  readonly affiliate_id: string
  readonly kind: string
  readonly currency: string
  readonly balance_micros: string
  readonly entries: bigint
}

const BALANCES = `
  SELECT a.advertiser_id, a.owner, a.affiliate_id, a.kind, a.currency, coalesce(sum(e.amount_micros), 0)::text AS balance_micros,
    count(e.amount_micros) AS entries
  FROM ledger_accounts a LEFT JOIN ledger_entries e USING (account_id)
  WHERE ($1::text IS NULL OR a.advertiser_id = $1) AND ($2::text IS NULL OR a.affiliate_id = $2)
  GROUP BY a.account_id ORDER BY a.advertiser_id, a.owner, a.affiliate_id, a.kind, a.currency LIMIT $3`

/** Accounts with the sums of their entries. Debit is positive, credit negative: an affiliate is owed what its account is
 * below zero. */
export async function listBalances(
  tx: Tx,
  filter: { readonly advertiser_id?: string | undefined; readonly affiliate_id?: string | undefined },
  limit: number,
): Promise<readonly Record<string, unknown>[]> {
  const { rows } = await tx.query<BalanceRow>(BALANCES, [filter.advertiser_id, filter.affiliate_id, limit])
  return rows.map(({ owner, kind, affiliate_id, balance_micros, entries, ...rest }) => ({
    ...rest,
    account: `${owner}/${kind}`,
    ...(affiliate_id === '' ? {} : { affiliate_id }),
    balance: formatAmount(BigInt(balance_micros), 2),
    entries: Number(entries),
  }))
}
