import type { ArmState, LearnedWeights } from '#bandit'
import { inTransaction, type Pool, type Tx } from '#platform/postgres'
import type { LearnedOverlay, OptimizedWeights } from '#routing'

import type { ArmRoom } from './arm-rooms.ts'
import type { PlaceProblem } from './places.ts'

/** A place as it stands, for a person to see. Plain JSON. */
export type PlaceState = Omit<LearnedWeights['state'], 'arms'> & {
  readonly arms: readonly (Omit<ArmState, 'share_max'> & {
    /** Why it gets less than was learned. */
    readonly cap?: ArmRoom
  })[]
  readonly place: string
  readonly weights: OptimizedWeights
  readonly advertiser_id: string
  readonly campaign_id: string
  readonly flow_id?: string
  readonly offer_id?: string
  readonly currency: string
  /** Where learned weights are used: since when, and the version that they came with. */
  readonly since?: string
  readonly weights_version?: number
  readonly problem?: PlaceProblem
}

/** One version of the learned weights. */
export type Learned = {
  readonly version: number
  readonly weights: LearnedOverlay['weights']
  readonly state: readonly PlaceState[]
  readonly createdAt: Date
  /** The last run that came to these weights. */
  readonly learnedAt: Date
}

type Queryable = Pick<Pool | Tx, 'query'>

const FIND = `
  SELECT version, weights, state, created_at AS "createdAt", learned_at AS "learnedAt" FROM learned_weights
  WHERE $1::integer IS NULL OR version = $1 ORDER BY version DESC LIMIT 1`

/** @param version left out: the newest
 * @returns undefined: there is none, or none any more
 */
export async function findLearned(database: Queryable, version?: number): Promise<Learned | undefined> {
  const { rows } = await database.query<Learned>(FIND, [version ?? null])
  return rows[0]
}

/** A version that another process made meanwhile stays: the next run compares with it. */
const INSERT = `
  INSERT INTO learned_weights (version, weights, state, created_at, learned_at) VALUES ($1, $2, $3, $4, $4)
  ON CONFLICT (version) DO NOTHING`
const CONFIRM = 'UPDATE learned_weights SET state = $2, learned_at = $3 WHERE version = $1'
const FORGET = 'DELETE FROM learned_weights WHERE version < $1 AND created_at < $2'

/** Stores new weights and tells the edges; they hear it when the transaction commits.
 * @param keptFromMs older versions go
 */
export async function storeLearned(pool: Pool, learned: Omit<Learned, 'learnedAt'>, keptFromMs: number): Promise<void> {
  const { version, weights, state, createdAt } = learned
  await inTransaction(pool, async (tx) => {
    await tx.query(INSERT, [version, JSON.stringify(weights), JSON.stringify(state), createdAt])
    await tx.query(FORGET, [version, new Date(keptFromMs)])
    await tx.query("SELECT pg_notify('waypost_config', '')")
  })
}

/** The same weights were learned again: only what is known of the arms is new. */
export async function confirmLearned(
  pool: Pool,
  version: number,
  state: readonly PlaceState[],
  learnedAt: Date,
): Promise<void> {
  await pool.query(CONFIRM, [version, JSON.stringify(state), learnedAt])
}
