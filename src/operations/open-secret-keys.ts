import type { Config } from '#config'
import { givenSecretKeys, keptSecretKeys, useSecretKeys, type KeptSecretKeys } from '#secrets'

import type { DataPaths } from './data-directory.ts'

/** Gives this process the keys that secrets in the database are sealed with: those of WAYPOST_SECRET_KEY, else those of the data
 * directory, made at the first start.
 * @returns the keys of the data directory; undefined where the environment has them
 * @throws {Error} the file is damaged
 */
export function openSecretKeys(config: Config, { secretKeys: file }: DataPaths): KeptSecretKeys | undefined {
  const kept = config.secretKeys.length > 0 ? undefined : keptSecretKeys(file)
  useSecretKeys(kept ?? givenSecretKeys(config.secretKeys))
  return kept
}
