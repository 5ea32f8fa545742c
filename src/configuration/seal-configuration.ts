import { openSnapshot, sealSnapshot, secretKeys } from '#secrets'
import { inTransaction, type Pool, type Tx } from '#platform/postgres'
import type { Snapshot } from '#routing'
import { lockConfiguration, readState, resealState } from './store.ts'

/** Secrets of the configuration under the present key: those of earlier ones, and those from before there was a key. */

/** What was sealed anew. */
type Sealing = { readonly keyId: string; readonly versions: number }

/** Seals what was stored before there was a key; a start does it, and mostly finds nothing.
 * @throws {WaypostError} secret_key_missing: what is stored is sealed with a key that this process does not have
 */
export async function ensureSealed(pool: Pool): Promise<void> {
  await inTransaction(pool, async (tx) => {
    await lockConfiguration(tx)
    // Opening them all finds a missing key at the start, and not when the first postback has to be signed.
    await readState(tx)
    const { rowCount } = await tx.query(PLAIN)
    if (rowCount !== 0) await sealAll(tx, 'secret_key_id IS NULL')
  })
}

/** The key of redirects is the one secret that the database makes by itself. */
const PLAIN = `
  SELECT FROM config_versions WHERE secret_key_id IS NULL
  UNION ALL SELECT FROM settings WHERE redirect_key NOT LIKE 'sealed:%'
  LIMIT 1`

/** Seals everything that is sealed with an earlier key with the newest one, in one transaction: all of it or nothing.
 * @throws {WaypostError} secret_key_missing: one of the earlier keys is gone; nothing was changed
 */
export async function resealConfiguration(pool: Pool): Promise<Sealing> {
  return inTransaction(pool, async (tx) => {
    await lockConfiguration(tx)
    return sealAll(tx, 'secret_key_id IS DISTINCT FROM $2')
  })
}

/** How many versions of the configuration each key seals, the most first; null: they are not sealed. */
export async function findSealing(
  pool: Pool,
): Promise<readonly { readonly keyId: string | null; readonly versions: number }[]> {
  const { rows } = await pool.query<{ keyId: string | null; versions: number }>(
    'SELECT secret_key_id AS "keyId", count(*)::integer AS versions FROM config_versions GROUP BY 1 ORDER BY 2 DESC, 1',
  )
  return rows
}

/** One version at a time: each may be megabytes. */
async function sealAll(tx: Tx, which: string): Promise<Sealing> {
  const keyId = secretKeys().currentId()
  await resealState(tx, await readState(tx))
  const next = `
    SELECT version, snapshot FROM config_versions WHERE version > $1 AND ${which} AND $2::text IS NOT NULL ORDER BY version LIMIT 1`
  let versions = 0
  for (let after = 0; ; versions++) {
    const { rows } = await tx.query<{ version: number; snapshot: Snapshot }>(next, [after, keyId])
    const [row] = rows
    if (row === undefined) return { keyId, versions }
    const sealed = JSON.stringify(sealSnapshot(openSnapshot(row.snapshot)))
    const values = [row.version, sealed, keyId]
    await tx.query('UPDATE config_versions SET snapshot = $2, secret_key_id = $3 WHERE version = $1', values)
    after = row.version
  }
}
