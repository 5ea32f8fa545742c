import { book, entriesBetween, type Booking } from '#ledger'
import type { Tx } from '#platform/postgres'
import { causesOfRevision, enqueueDeliveries } from '#postbacks'
import type { Snapshot } from '#routing'

import type { Revision } from './conversion.ts'
import { appendRevisions } from './store.ts'

/** What every change of a conversion entails, whoever made it: the revision, its bookings and what partners are told. The rows
 * of `conversions` must be stored already, in the same transaction.
 * @param enqueue how deliveries get into the queue; only the fault run replaces it
 */
export async function recordRevisions(
  tx: Tx,
  revisions: readonly Revision[],
  snapshot: Snapshot,
  enqueue: typeof enqueueDeliveries = enqueueDeliveries,
): Promise<void> {
  if (revisions.length === 0) return
  await appendRevisions(tx, revisions)
  await book(tx, revisions.map(bookingOf))
  const causes = revisions.flatMap(({ before, after }) =>
    causesOfRevision(before, after, after.click, after.updatedAt.getTime()),
  )
  await enqueue(tx, causes, snapshot)
}

function bookingOf({ before, after, cause }: Revision): Booking {
  return {
    key: `conversion:${after.conversionId}:${after.revision}`,
    advertiserId: after.advertiserId,
    affiliateId: after.affiliateId,
    conversionId: after.conversionId,
    currency: after.currency,
    description: `${after.type} ${after.isHoldReleased && after.status === 'approved' ? 'payable' : after.status} by ${cause}`,
    at: after.updatedAt.getTime(),
    entries: entriesBetween(before, after),
  }
}
