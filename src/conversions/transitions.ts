import type { ConversionStatus } from '#routing'

/** The whole of the state machine; docs/states/conversion.md shows it.
 *
 *   (none) ──▶ pending ──▶ approved ──▶ (hold ends)
 *     │           │            │
 *     │           └──▶ rejected ◀┘
 *     └──▶ approved, rejected
 *
 * rejected is final: money that was taken back never comes again under the same transaction id.
 */
const LEGAL: Readonly<Record<ConversionStatus, readonly ConversionStatus[]>> = {
  pending: ['approved', 'rejected'],
  approved: ['rejected'],
  rejected: [],
}

export type Transition = 'legal' | 'duplicate' | 'transition_illegal'

/** Whether a conversion may go from a status to another; the same status again is a duplicate. */
export function judgeTransition(from: ConversionStatus, to: ConversionStatus): Transition {
  if (from === to) return 'duplicate'
  return LEGAL[from].includes(to) ? 'legal' : 'transition_illegal'
}
