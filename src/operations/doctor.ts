import { existsSync } from 'node:fs'

import type { Config } from '#config'
import { openFileLog } from '#log'
import { openClickHouse, migrateClickHouse } from '#platform/clickhouse'
import { systemClock } from '#platform/clock'
import { createLogLines } from '#platform/log-lines'
import { createPool, findRunningPostgres, migratePostgres } from '#platform/postgres'

import { askApi } from './ask-api.ts'
import { dataPaths, makeDataDirectory, readOrMakeSecrets } from './data-directory.ts'
import { reachDatabase } from './engines.ts'
import { examine, type Finding } from './examine.ts'

/** `waypost doctor`: prints each finding with what to do.
 * A running installation is asked through its API, because the embedded facts belong to its process; one that is not running
 * is opened for the time of the check.
 * @returns exit code: 0 nothing failed, 1 something did
 */
export async function doctor(config: Config): Promise<number> {
  const findings = isRunningHere(config) ? await askRunning(config) : await examineStopped(config)
  for (const finding of findings) process.stdout.write(`${printFinding(finding)}\n`)
  const count = (result: Finding['result']): number => findings.filter((finding) => finding.result === result).length
  process.stdout.write(`${count('ok')} ok, ${count('warn')} to look at, ${count('fail')} failed\n`)
  return count('fail') === 0 ? 0 : 1
}

export function printFinding({ check, result, detail, todo }: Finding): string {
  const line = `${result.padEnd(4)}  ${check}: ${detail}`
  return todo === undefined ? line : `${line}\n        → ${todo}`
}

function isRunningHere(config: Config): boolean {
  const paths = dataPaths(config.dataDir)
  if (config.databaseUrl !== undefined || !existsSync(paths.secrets)) return false
  return findRunningPostgres(paths.postgres, readOrMakeSecrets(paths.secrets).postgresPassword) !== undefined
}

const askRunning = async (config: Config): Promise<readonly Finding[]> =>
  ((await askApi(config, '/v1/doctor')) as { findings: readonly Finding[] }).findings

async function examineStopped(config: Config): Promise<readonly Finding[]> {
  const paths = dataPaths(config.dataDir)
  makeDataDirectory(paths)
  const logLines = createLogLines('doctor', config.logLevel)
  const database = await reachDatabase(config, paths, logLines)
  const pool = createPool(database.value, { max: 2, applicationName: 'waypost doctor' })
  const facts = await openClickHouse(config.clickhouseUrl === undefined ? { path: paths.clickhouse } : { url: config.clickhouseUrl }) // prettier-ignore
  const log = await openFileLog({ directory: paths.log, logLines })
  try {
    await Promise.all([migratePostgres(pool), migrateClickHouse(facts)])
    return await examine({ config, pool, facts, log, clock: systemClock })
  } finally {
    await Promise.all([log.close(), facts.close(), pool.end()])
    await database.close()
  }
}
