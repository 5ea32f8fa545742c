import { inTransaction, type Pool } from '#platform/postgres'
import { countMissed } from './missed.ts'
import { NOTIFY_GATE } from './pauses.ts'

export type Enabling =
  | {
      readonly kind: 'enabled'
      /** When it began to fail: recover what was missed since then. */
      readonly since: Date
      /** Deliveries that ended without success since then. */
      readonly missed: number
    }
  /** It neither failed nor was it disabled. */
  | { readonly kind: 'not_disabled' }

const ENABLE = 'DELETE FROM endpoint_states WHERE endpoint_id = $1 RETURNING failing_since AS since'

/** Puts a disabled endpoint into service again, and ends the count of its failing. What still waits goes out by itself.
 * @returns what it missed, which a replay by missedFilter sends once more
 */
export async function enableEndpoint(pool: Pool, endpointId: string): Promise<Enabling> {
  return inTransaction(pool, async (tx) => {
    const { rows } = await tx.query<{ since: Date }>(ENABLE, [endpointId])
    if (rows[0] === undefined) return { kind: 'not_disabled' }
    await tx.query(NOTIFY_GATE)
    const { since } = rows[0]
    return { kind: 'enabled', since, missed: await countMissed(tx, endpointId, since) }
  })
}
