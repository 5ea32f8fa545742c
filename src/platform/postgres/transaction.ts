import type { Pool, Tx } from './pool.ts'

/** Runs the work in one transaction: committed when it resolves, rolled back when it rejects.
 * @throws what the work threw; an Error when the work swallowed a failed statement, which PostgreSQL turns into a rollback
 */
export async function inTransaction<T>(pool: Pool, work: (tx: Tx) => Promise<T>): Promise<T> {
  const tx = await pool.connect()
  let unusable: Error | undefined
  try {
    await tx.query('BEGIN')
    const result = await work(tx)
    const answer = await tx.query('COMMIT')
    if (answer.command !== 'COMMIT')
      throw new Error('The transaction was rolled back: one of its statements had failed.')
    return result
  } catch (error) {
    unusable = await rollBack(tx)
    throw error
  } finally {
    tx.release(unusable)
  }
}

/** @returns the error that makes the connection unusable: the pool then drops it instead of lending it again */
async function rollBack(tx: Tx): Promise<Error | undefined> {
  try {
    await tx.query('ROLLBACK')
    return undefined
  } catch (error) {
    return error instanceof Error ? error : new Error('rollback failed', { cause: error })
  }
}
