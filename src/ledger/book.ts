import type { Tx } from '#platform/postgres'

import type { Entry } from './target.ts'

/** One transaction of the ledger. */
export type Booking = {
  /** What it is for, e.g. `conversion:<id>:<revision>`; a key that was booked before is left as it stands. */
  readonly key: string
  readonly advertiserId: string
  /** Whose the affiliate accounts are; needed where an entry names one. */
  readonly affiliateId: string | undefined
  readonly conversionId: string | undefined
  /** ISO 4217. */
  readonly currency: string
  readonly description: string
  /** Milliseconds since the epoch. */
  readonly at: number
  /** Sum to zero. */
  readonly entries: readonly Entry[]
}

type AccountColumns = { advertiser_id: string; owner: string; affiliate_id: string; kind: string; currency: string }

// Existing accounts are skipped before the insert: a conflict would use up a number of the identity for every booking.
const OPEN_ACCOUNTS = `
  INSERT INTO ledger_accounts (advertiser_id, owner, affiliate_id, kind, currency)
  SELECT DISTINCT x.advertiser_id, x.owner, x.affiliate_id, x.kind, x.currency
  FROM json_to_recordset($1) AS x(advertiser_id text, owner text, affiliate_id text, kind text, currency text)
  WHERE NOT EXISTS (
    SELECT FROM ledger_accounts a WHERE (a.advertiser_id, a.owner, a.affiliate_id, a.kind, a.currency)
      = (x.advertiser_id, x.owner, x.affiliate_id, x.kind, x.currency))
  ORDER BY 1, 2, 3, 4, 5
  ON CONFLICT DO NOTHING`

// All entries go in by one statement, because the database checks the balance of each transaction per statement.
const BOOK = `
  WITH given AS MATERIALIZED (
    SELECT * FROM json_to_recordset($1) AS x(
      key text, advertiser_id text, conversion_id uuid, description text, booked_at timestamptz)
  ), given_entries AS MATERIALIZED (
    SELECT * FROM json_to_recordset($2) AS x(
      key text, advertiser_id text, owner text, affiliate_id text, kind text, currency text, amount_micros bigint)
  ), booked AS (
    INSERT INTO ledger_transactions (booking_key, advertiser_id, conversion_id, description, booked_at)
    SELECT key, advertiser_id, conversion_id, description, booked_at FROM given
    ON CONFLICT (booking_key) DO NOTHING
    RETURNING transaction_id, booking_key
  ), entered AS (
    INSERT INTO ledger_entries (transaction_id, account_id, advertiser_id, amount_micros, currency)
    SELECT b.transaction_id, a.account_id, e.advertiser_id, e.amount_micros, e.currency
    FROM booked b
    JOIN given_entries e ON e.key = b.booking_key
    JOIN ledger_accounts a ON (a.advertiser_id, a.owner, a.affiliate_id, a.kind, a.currency)
      = (e.advertiser_id, e.owner, e.affiliate_id, e.kind, e.currency)
  )
  SELECT booking_key FROM booked`

/** Books transactions, each wholly or, where its key was booked before, not at all. Those without entries are left out.
 * @returns keys that were booked by this call
 * @throws {Error} check_violation where entries do not sum to zero (programmer error); the transaction is then lost
 */
export async function book(tx: Tx, bookings: readonly Booking[]): Promise<readonly string[]> {
  const used = bookings.filter(({ entries }) => entries.length > 0)
  if (used.length === 0) return []
  const entries = used.flatMap((booking) =>
    booking.entries.map((entry) => ({
      key: booking.key,
      ...accountColumns(booking, entry),
      amount_micros: String(entry.amountMicros),
    })),
  )
  await tx.query(OPEN_ACCOUNTS, [JSON.stringify(distinctAccounts(entries))])
  const answer = await tx.query<{ booking_key: string }>(BOOK, [
    JSON.stringify(used.map(transactionColumns)),
    JSON.stringify(entries),
  ])
  return answer.rows.map(({ booking_key }) => booking_key)
}

const transactionColumns = (booking: Booking) => ({
  key: booking.key,
  advertiser_id: booking.advertiserId,
  conversion_id: booking.conversionId,
  description: booking.description,
  booked_at: new Date(booking.at),
})

function accountColumns(booking: Booking, entry: Entry): AccountColumns {
  const [owner, kind] = entry.account.split('/') as [string, string]
  return {
    advertiser_id: booking.advertiserId,
    owner,
    affiliate_id: owner === 'affiliate' ? (booking.affiliateId ?? '') : '',
    kind,
    currency: booking.currency,
  }
}

const distinctAccounts = (entries: readonly AccountColumns[]): readonly AccountColumns[] => [
  ...new Map(
    entries.map(({ advertiser_id, owner, affiliate_id, kind, currency }) => [
      `${advertiser_id}\n${owner}\n${affiliate_id}\n${kind}\n${currency}`,
      { advertiser_id, owner, affiliate_id, kind, currency },
    ]),
  ).values(),
]
