import { readFileSync } from 'node:fs'
import { userInfo } from 'node:os'
import { resolve } from 'node:path'

import type { Config } from '#config'
import { applyConfiguration, printApplication } from '#configuration'
import { createLogLines } from '#platform/log-lines'
import { createPool, migratePostgres } from '#platform/postgres'

import { dataPaths } from './data-directory.ts'
import { reachDatabase } from './engines.ts'

/** `waypost apply`: prints the differences or the mistakes.
 * @param file path, relative to where the command was called
 * @returns exit code: 0 applied or nothing to do, 1 refused
 * @throws {Error} the file cannot be read, the database cannot be reached
 */
export async function applyFile(config: Config, file: string, { isDryRun }: { isDryRun: boolean }): Promise<number> {
  const yamlText = readText(resolve(config.callDir, file))
  const logLines = createLogLines('apply', config.logLevel)
  const database = await reachDatabase(config, dataPaths(config.dataDir), logLines)
  const pool = createPool(database.value, { max: 1, applicationName: 'waypost apply' })
  try {
    await migratePostgres(pool)
    const application = await applyConfiguration(pool, yamlText, {
      by: `apply by ${callerName()}`,
      dryRun: isDryRun,
    })
    process.stdout.write(`${printApplication(application, file)}\n`)
    return application.kind === 'refused' ? 1 : 0
  } finally {
    await pool.end()
    await database.close()
  }
}

/** @throws {Error} with the path and why it cannot be read */
export function readText(path: string): string {
  try {
    return readFileSync(path, 'utf8')
  } catch (cause) {
    throw new Error(`${path} cannot be read (${(cause as NodeJS.ErrnoException).code}).`, { cause })
  }
}

/** The user of the operating system. In a container the process may run as an id that has no name. */
export function callerName(): string {
  try {
    return userInfo().username
  } catch {
    return `user ${process.getuid?.() ?? 'unknown'}`
  }
}
