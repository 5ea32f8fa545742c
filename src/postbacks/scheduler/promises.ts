import type { PostbackEndpoint } from '#routing'

/** What an endpoint promises beyond at least once: an order per click, or at most once. */
export type Promised = Pick<PostbackEndpoint, 'ordered' | 'at_most_once'>

/** Whether a delivery is written down before it is sent: what may arrive once at most, and what a dead worker may have had under way.
 * @param suspectTo deliveries up to this one were there when the last owner died
 */
export const needsMark = ({ at_most_once }: Promised, deliveryId: number, suspectTo: number): boolean =>
  at_most_once === true || deliveryId <= suspectTo

/** Whether an attempt that got no answer must be the last one. */
export const mustNotRepeat = ({ at_most_once }: Promised, { wasSent }: { readonly wasSent: boolean }): boolean =>
  at_most_once === true && wasSent

/** Whether the next message of the click may go: one that is tried again keeps its turn. */
export const endsTurn = (outcome: 'delivered' | 'gave_up' | 'retry'): boolean => outcome !== 'retry'
