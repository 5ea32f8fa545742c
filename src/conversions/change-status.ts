import { inTransaction, type Pool } from '#platform/postgres'
import type { ConversionStatus, Snapshot } from '#routing'

import type { Conversion, Revision } from './conversion.ts'
import { withStatus } from './decide-conversions.ts'
import { recordRevisions } from './record-revisions.ts'
import { lockById, lockHoldEnded, storeConversions } from './store.ts'
import { judgeTransition } from './transitions.ts'

export type StatusChange =
  | { readonly kind: 'changed'; readonly conversion: Conversion }
  | { readonly kind: 'not_found' }
  /** `duplicate`: it has that status; nothing was changed. */
  | { readonly kind: 'refused'; readonly reason: 'duplicate' | 'transition_illegal' }

/** Changes the status of a conversion by hand, with its bookings and deliveries, in one transaction.
 * @param change.by who asked, for the record
 * @param change.at milliseconds since the epoch
 * @param change.advertiserId a conversion of another advertiser is not found
 */
export async function changeStatus(
  pool: Pool,
  snapshot: Snapshot,
  change: {
    readonly conversionId: string
    readonly status: ConversionStatus
    readonly by: string
    readonly at: number
    readonly advertiserId?: string | undefined
  },
): Promise<StatusChange> {
  return inTransaction(pool, async (tx) => {
    const before = await lockById(tx, change.conversionId)
    if (before === undefined || (change.advertiserId ?? before.advertiserId) !== before.advertiserId)
      return { kind: 'not_found' }
    const verdict = judgeTransition(before.status, change.status)
    if (verdict !== 'legal') return { kind: 'refused', reason: verdict }
    const holdDays = snapshot.offers.find((offer) => offer.offer_id === before.offerId)?.hold_days ?? 0
    const after = withStatus(before, change.status, change.at, holdDays)
    const revision: Revision = { before, after, cause: 'api', by: change.by }
    await storeConversions(tx, [revision])
    await recordRevisions(tx, [revision], snapshot)
    return { kind: 'changed', conversion: after }
  })
}

const HOLDS_PER_TRANSACTION = 500

/** Releases approved payouts whose hold is over. Several processes may do it at once: each takes rows that no other has.
 * @returns conversions released; as many as fit one transaction at most, call again until 0
 */
export async function releaseHolds(pool: Pool, snapshot: Snapshot, nowMs: number): Promise<number> {
  return inTransaction(pool, async (tx) => {
    const ended = await lockHoldEnded(tx, nowMs, HOLDS_PER_TRANSACTION)
    const revisions = ended.map(
      (before) => ({ before, after: released(before, nowMs), cause: 'hold_released', by: '' }) as const,
    )
    await storeConversions(tx, revisions)
    await recordRevisions(tx, revisions, snapshot)
    return revisions.length
  })
}

const released = (before: Conversion, nowMs: number): Conversion => ({
  ...before,
  isHoldReleased: true,
  revision: before.revision + 1,
  updatedAt: new Date(nowMs),
})
