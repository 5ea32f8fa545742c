import { existsSync } from 'node:fs'
import { setTimeout } from 'node:timers/promises'

import { findSealing, resealConfiguration } from '#configuration'
import type { Config } from '#config'
import { createLogLines } from '#platform/log-lines'
import { createPool, migratePostgres, type Pool } from '#platform/postgres'
import { resealHeaders } from '#postbacks'
import { secretKeys } from '#secrets'
import { resealSnapshotFile } from '#snapshots'

import { dataPaths, type DataPaths } from './data-directory.ts'
import { reachDatabase } from './engines.ts'
import { openSecretKeys } from './open-secret-keys.ts'

/** More than stored headers take to be sealed with a new key, and a transaction that holds some to end. */
const NEW_KEY_SEEN_MS = 2_000

/** What `waypost secrets` is asked for. */
export type SecretsQuestion =
  | { readonly verb: 'status' }
  /** `forgetsOld`: takes the earlier keys out of the data directory afterwards. */
  | { readonly verb: 'rotate'; readonly forgetsOld: boolean }

/** `waypost secrets`: which keys seal the secrets in the database, and how to replace them.
 * @returns exit code 0
 * @throws {WaypostError} secret_key_missing: what is stored cannot be opened; nothing was changed
 * @throws {Error} the database cannot be reached
 */
export async function runSecretsCommand(config: Config, question: SecretsQuestion): Promise<number> {
  const paths = dataPaths(config.dataDir)
  const database = await reachDatabase(config, paths, createLogLines('secrets', config.logLevel))
  const pool = createPool(database.value, { max: 1, applicationName: 'waypost secrets', statementTimeoutMs: 0 })
  try {
    await migratePostgres(pool)
    const lines = question.verb === 'status' ? await describeKeys(config, paths, pool) : await rotate(config, paths, pool, question.forgetsOld) // prettier-ignore
    process.stdout.write(`${lines.join('\n')}\n`)
    return 0
  } finally {
    await pool.end()
    await database.close()
  }
}

async function describeKeys(config: Config, paths: DataPaths, pool: Pool): Promise<readonly string[]> {
  const [current, ...earlier] = secretKeys().ids()
  const place = config.secretKeys.length > 0 ? 'WAYPOST_SECRET_KEY' : paths.secretKeys
  const sealings = await findSealing(pool)
  return [
    `Key ${current} seals; ${earlier.length === 0 ? 'there is no other' : `${earlier.join(', ')} can open`} (${place}).`,
    ...sealings.map(({ keyId, versions }) => `Key ${keyId ?? 'none'}: ${versions} versions of the configuration`),
  ]
}

async function rotate(config: Config, paths: DataPaths, pool: Pool, forgetsOld: boolean): Promise<readonly string[]> {
  const kept = openSecretKeys(config, paths)
  kept?.add()
  const { keyId, versions } = await resealConfiguration(pool)
  if (existsSync(paths.snapshot)) await resealSnapshotFile(paths.snapshot)
  // Processes that run look for a new key once a second; what they sealed until then is sealed anew as well.
  if (forgetsOld) await setTimeout(NEW_KEY_SEEN_MS)
  await resealHeaders(pool)
  const done = `Key ${keyId} seals everything now, ${versions} versions of the configuration among it.`
  if (kept === undefined) return [done, 'Once all processes were started with it, the earlier key can leave WAYPOST_SECRET_KEY.'] // prettier-ignore
  if (!forgetsOld) return [done, `Earlier keys stay in ${paths.secretKeys}, since backups need them; --forget-old takes them away.`] // prettier-ignore
  kept.forgetOld()
  return [done, `Earlier keys are gone from ${paths.secretKeys}: backups made before today need theirs from a copy of it.`] // prettier-ignore
}
