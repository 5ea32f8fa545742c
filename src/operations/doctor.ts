import type { Config } from '#config'
import { openFileLog } from '#log'
import { migrateClickHouse, openClickHouse, type FactsClient } from '#platform/clickhouse'
import { systemClock } from '#platform/clock'
import { createLogLines } from '#platform/log-lines'
import { createPool, migratePostgres } from '#platform/postgres'

import { askApi } from './ask-api.ts'
import { dataPaths, makeDataDirectory } from './data-directory.ts'
import { reachDatabase } from './engines.ts'
import { examine, type Finding } from './examine.ts'

/** `waypost doctor`: prints each finding with what to do.
 * A running installation is asked through its API, because the embedded facts belong to its process; one that is not running
 * is opened for the time of the check.
 * @returns exit code: 0 nothing failed, 1 something did
 */
export async function doctor(config: Config): Promise<number> {
  const findings = await gatherFindings(config)
  for (const finding of findings) process.stdout.write(`${printFinding(finding)}\n`)
  const count = (result: Finding['result']): number => findings.filter((finding) => finding.result === result).length
  process.stdout.write(`${count('ok')} ok, ${count('warn')} to look at, ${count('fail')} failed\n`)
  return count('fail') === 0 ? 0 : 1
}

function printFinding({ check, result, detail, todo }: Finding): string {
  const line = `${result.padEnd(4)}  ${check}: ${detail}`
  return todo === undefined ? line : `${line}\n        → ${todo}`
}

async function gatherFindings(config: Config): Promise<readonly Finding[]> {
  const paths = dataPaths(config.dataDir)
  makeDataDirectory(paths)
  const place = config.clickhouseUrl === undefined ? { path: paths.clickhouse } : { url: config.clickhouseUrl }
  const facts = await openClickHouse(place).catch((cause: unknown) => ({ inUse: cause }))
  if (!('inUse' in facts)) return examineOpened(config, facts)
  if (config.clickhouseUrl !== undefined) throw facts.inUse
  // The facts are in use: whoever uses them can look.
  return ((await askApi(config, '/v1/doctor')) as { findings: readonly Finding[] }).findings
}

async function examineOpened(config: Config, facts: FactsClient): Promise<readonly Finding[]> {
  const paths = dataPaths(config.dataDir)
  const logLines = createLogLines('doctor', config.logLevel)
  const database = await reachDatabase(config, paths, logLines)
  const pool = createPool(database.value, { max: 2, applicationName: 'waypost doctor' })
  const log = await openFileLog({ directory: paths.log, logLines })
  try {
    await Promise.all([migratePostgres(pool), migrateClickHouse(facts)])
    return await examine({ config, pool, facts, log, clock: systemClock })
  } finally {
    await Promise.all([log.close(), facts.close(), pool.end()])
    await database.close()
  }
}
