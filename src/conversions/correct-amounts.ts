import { inTransaction, type Pool } from '#platform/postgres'
import type { Snapshot } from '#routing'

import type { Conversion, Revision } from './conversion.ts'
import { recordRevisions } from './record-revisions.ts'
import { lockById, storeConversions } from './store.ts'

export type AmountCorrection =
  | { readonly kind: 'corrected'; readonly conversion: Conversion }
  | { readonly kind: 'not_found' }
  /** `duplicate`: it is worth that already; `rejected`: it is worth nothing; `no_affiliate`: there is nobody to pay. Nothing was changed. */
  | { readonly kind: 'refused'; readonly reason: 'duplicate' | 'rejected' | 'no_affiliate' }

/** Corrects what one conversion is worth, with its bookings and deliveries, in one transaction. The ledger gets the difference as a
 * transaction of its own; what was booked before stays. From then on what the partner says of the amount changes nothing.
 * @param change.payoutMicros owed to the affiliate, ≥ 0; left out: as it is
 * @param change.revenueMicros owed by the advertiser, ≥ 0; left out: as it is
 * @param change.reason why, for the record
 * @param change.by who asked, for the record
 * @param change.at milliseconds since the epoch
 */
export async function correctAmounts(
  pool: Pool,
  snapshot: Snapshot,
  change: {
    readonly conversionId: string
    readonly payoutMicros: bigint | undefined
    readonly revenueMicros: bigint | undefined
    readonly reason: string
    readonly by: string
    readonly at: number
  },
): Promise<AmountCorrection> {
  return inTransaction(pool, async (tx) => {
    const before = await lockById(tx, change.conversionId)
    if (before === undefined) return { kind: 'not_found' }
    const { payoutMicros = before.payoutMicros, revenueMicros = before.revenueMicros } = change
    const reason = refusalOf(before, payoutMicros, revenueMicros)
    if (reason !== undefined) return { kind: 'refused', reason }
    const after: Conversion = {
      ...before,
      payoutMicros,
      revenueMicros,
      isCorrected: true,
      revision: before.revision + 1,
      updatedAt: new Date(change.at),
    }
    const revision: Revision = { before, after, cause: 'correction', by: change.by, reason: change.reason }
    await storeConversions(tx, [revision])
    await recordRevisions(tx, [revision], snapshot)
    return { kind: 'corrected', conversion: after }
  })
}

function refusalOf(
  before: Conversion,
  payoutMicros: bigint,
  revenueMicros: bigint,
): 'duplicate' | 'rejected' | 'no_affiliate' | undefined {
  if (before.status === 'rejected') return 'rejected'
  if (before.affiliateId === undefined && payoutMicros !== 0n) return 'no_affiliate'
  const isSame = before.payoutMicros === payoutMicros && before.revenueMicros === revenueMicros
  return isSame ? 'duplicate' : undefined
}
