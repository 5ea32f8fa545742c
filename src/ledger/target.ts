/** What the books say about one conversion in each of its states.
 *
 *   state                      advertiser            affiliate              platform
 *   none, rejected             0                     0                      0
 *   pending                    hold   +revenue       hold     −payout       revenue −revenue, payout_cost +payout
 *   approved, in hold          spend  +revenue       hold     −payout       revenue −revenue, payout_cost +payout
 *   approved, hold released    spend  +revenue       approved −payout       revenue −revenue, payout_cost +payout
 *
 * Debit is positive, credit negative: what an advertiser owes is a debit, what an affiliate is owed a credit. A revision
 * books the difference between two rows of this table, so any sequence of revisions ends where the last one says.
 */

/** What the books depend on. */
export type BookedState = {
  readonly status: 'pending' | 'approved' | 'rejected'
  readonly isHoldReleased: boolean
  /** Owed to the affiliate; 0 where there is none. */
  readonly payoutMicros: bigint
  /** Earned from the advertiser. */
  readonly revenueMicros: bigint
}

export type AccountName =
  | 'advertiser/hold'
  | 'advertiser/spend'
  | 'affiliate/hold'
  | 'affiliate/approved'
  | 'affiliate/paid'
  | 'platform/revenue'
  | 'platform/payout_cost'

/** Debit positive, credit negative; never 0. */
export type Entry = { readonly account: AccountName; readonly amountMicros: bigint }

type Balances = Partial<Record<AccountName, bigint>>

function balancesOf(state: BookedState | undefined): Balances {
  if (state === undefined || state.status === 'rejected') return {}
  const { payoutMicros, revenueMicros } = state
  const isSpent = state.status === 'approved'
  const isPayable = isSpent && state.isHoldReleased
  return {
    [isSpent ? 'advertiser/spend' : 'advertiser/hold']: revenueMicros,
    'platform/revenue': -revenueMicros,
    [isPayable ? 'affiliate/approved' : 'affiliate/hold']: -payoutMicros,
    'platform/payout_cost': payoutMicros,
  }
}

/** Balances that a conversion in this state must have, without those that are 0.
 * @param state undefined: there is no conversion yet
 */
export const target = (state: BookedState | undefined): readonly Entry[] => entriesBetween(undefined, state)

/** Entries that lead from the balances of one state to those of another; they sum to zero.
 * @param before undefined for a new conversion
 */
export function entriesBetween(before: BookedState | undefined, after: BookedState | undefined): readonly Entry[] {
  const from = balancesOf(before)
  const to = balancesOf(after)
  const accounts = new Set([...Object.keys(from), ...Object.keys(to)] as AccountName[])
  return [...accounts]
    .map((account) => ({ account, amountMicros: (to[account] ?? 0n) - (from[account] ?? 0n) }))
    .filter(({ amountMicros }) => amountMicros !== 0n)
}
