import { inTransaction, type Pool, type Tx } from '#platform/postgres'

import { book } from './book.ts'

/** A payment of approved payouts to an affiliate. */
export type Settlement = {
  readonly affiliateId: string
  readonly advertiserId: string
  readonly currency: string
  /** Over 0. */
  readonly amountMicros: bigint
  /** The payment's own id; a settlement with the same key is made once. */
  readonly key: string
  /** Milliseconds since the epoch. */
  readonly at: number
}

export type SettlementResult =
  | { readonly kind: 'settled' }
  /** The same settlement was made before; nothing was booked. */
  | { readonly kind: 'repeated' }
  /** The key was used for another amount, affiliate, advertiser or currency; nothing was booked. */
  | { readonly kind: 'key_taken' }
  | { readonly kind: 'not_enough'; readonly approvedMicros: bigint }

// Every booking to an account takes a key-share lock on its row (by the foreign key), which FOR UPDATE excludes: between
// reading the balance and committing the payment nobody can reject what is being paid.
const LOCK_APPROVED = `
  SELECT account_id FROM ledger_accounts
  WHERE advertiser_id = $1 AND owner = 'affiliate' AND affiliate_id = $2 AND kind = 'approved' AND currency = $3
  FOR UPDATE`
const BALANCE = `SELECT -coalesce(sum(amount_micros), 0)::bigint AS approved FROM ledger_entries WHERE account_id = $1`
const EARLIER = `
  SELECT a.advertiser_id, a.affiliate_id, a.currency, e.amount_micros
  FROM ledger_transactions t JOIN ledger_entries e USING (transaction_id) JOIN ledger_accounts a USING (account_id)
  WHERE t.booking_key = $1 AND a.kind = 'approved'`

/** Moves approved payouts of an affiliate to paid, never more than there are.
 * @throws {RangeError} amount not over 0 (programmer error)
 */
export async function settle(pool: Pool, settlement: Settlement): Promise<SettlementResult> {
  if (settlement.amountMicros <= 0n) throw new RangeError('a settlement is over 0')
  return inTransaction(pool, (tx) => settleIn(tx, settlement))
}

async function settleIn(tx: Tx, settlement: Settlement): Promise<SettlementResult> {
  const { advertiserId, affiliateId, currency, amountMicros } = settlement
  const locked = await tx.query<{ account_id: bigint }>(LOCK_APPROVED, [advertiserId, affiliateId, currency])
  const earlier = await findEarlier(tx, settlement)
  if (earlier !== undefined) return { kind: earlier }
  const accountId = locked.rows[0]?.account_id
  if (accountId === undefined) return { kind: 'not_enough', approvedMicros: 0n }
  const approvedMicros = (await tx.query<{ approved: bigint }>(BALANCE, [accountId])).rows[0]!.approved
  if (approvedMicros < amountMicros) return { kind: 'not_enough', approvedMicros }
  const booked = await book(tx, [
    {
      key: bookingKey(settlement),
      advertiserId,
      affiliateId,
      conversionId: undefined,
      currency,
      description: `settlement ${settlement.key}`,
      at: settlement.at,
      entries: [
        { account: 'affiliate/approved', amountMicros },
        { account: 'affiliate/paid', amountMicros: -amountMicros },
      ],
    },
  ])
  // Another affiliate's settlement with the same key was committed in between.
  return { kind: booked.length === 0 ? 'key_taken' : 'settled' }
}

const bookingKey = ({ key }: Settlement): string => `settlement:${key}`

async function findEarlier(tx: Tx, settlement: Settlement): Promise<'repeated' | 'key_taken' | undefined> {
  const answer = await tx.query<{
    advertiser_id: string
    affiliate_id: string
    currency: string
    amount_micros: bigint
  }>(EARLIER, [bookingKey(settlement)])
  const [earlier] = answer.rows
  if (earlier === undefined) return undefined
  const isSame =
    earlier.advertiser_id === settlement.advertiserId &&
    earlier.affiliate_id === settlement.affiliateId &&
    earlier.currency === settlement.currency &&
    earlier.amount_micros === settlement.amountMicros
  return isSame ? 'repeated' : 'key_taken'
}
