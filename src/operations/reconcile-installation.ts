import { readFileSync } from 'node:fs'
import { resolve } from 'node:path'

import type { Config } from '#config'
import { openFileLog } from '#log'
import { migrateClickHouse, openClickHouse, type FactsClient } from '#platform/clickhouse'
import { createLogLines } from '#platform/log-lines'
import { createPool, migratePostgres } from '#platform/postgres'

import { askApi } from './ask-api.ts'
import { dataPaths } from './data-directory.ts'
import { reachDatabase } from './engines.ts'
import { parseAcknowledged, reconcile, type Acknowledged, type Check, type Reconciliation } from './reconcile/index.ts'

/** How long the pipeline of a running installation may take to catch up; one that is stopped does not move. */
export const RECONCILE_WAIT_MS = 60_000

/** `waypost reconcile`: prints every comparison with both numbers, the differences with examples.
 * A running installation is asked through its API, because the embedded facts belong to its process; one that is stopped is
 * opened for the time of the check.
 * @param options.acknowledgedFile what clients were promised, one JSON object per line; only for a stopped installation
 * @returns exit code: 0 everything agrees, 1 it does not, or the pipeline has not reached the end of the log
 */
export async function reconcileInstallation(
  config: Config,
  options: { readonly acknowledgedFile?: string },
): Promise<number> {
  const file = options.acknowledgedFile
  const acknowledged =
    file === undefined ? undefined : parseAcknowledged(readFileSync(resolve(config.callDir, file), 'utf8'))
  const paths = dataPaths(config.dataDir)
  const place = config.clickhouseUrl === undefined ? { path: paths.clickhouse } : { url: config.clickhouseUrl }
  const opened = await openClickHouse(place).catch((cause: unknown) => ({ inUse: cause }))
  const reconciliation =
    'inUse' in opened
      ? await askRunning(config, acknowledged, opened.inUse)
      : await reconcileOpened(config, opened, acknowledged)
  process.stdout.write(printReconciliation(reconciliation))
  return reconciliation.verdict === 'balanced' ? 0 : 1
}

/** The facts are in use: whoever uses them can make the comparison. */
async function askRunning(
  config: Config,
  acknowledged: readonly Acknowledged[] | undefined,
  cause: unknown,
): Promise<Reconciliation> {
  if (config.clickhouseUrl !== undefined) throw cause
  if (acknowledged !== undefined)
    throw new Error('Stop Waypost first: a file of acknowledged records is compared by the command itself.', { cause })
  return (await askApi(config, '/v1/reconcile')) as Reconciliation
}

async function reconcileOpened(
  config: Config,
  facts: FactsClient,
  acknowledged: readonly Acknowledged[] | undefined,
): Promise<Reconciliation> {
  const paths = dataPaths(config.dataDir)
  const logLines = createLogLines('reconcile', config.logLevel)
  try {
    const database = await reachDatabase(config, paths, logLines)
    const pool = createPool(database.value, { max: 2, applicationName: 'waypost reconcile', statementTimeoutMs: 0 })
    const log = await openFileLog({ directory: paths.log, logLines })
    try {
      await Promise.all([migratePostgres(pool), migrateClickHouse(facts)])
      const waitMsMax = config.clickhouseUrl === undefined ? 0 : RECONCILE_WAIT_MS
      const caps = { directory: paths.caps }
      return await reconcile({ log, pool, facts, waitMsMax, caps, ...(acknowledged && { acknowledged }) })
    } finally {
      await Promise.all([log.close(), pool.end()])
      await database.close()
    }
  } finally {
    await facts.close()
  }
}

const VERDICTS: Readonly<Record<Reconciliation['verdict'], string>> = {
  balanced: 'Everything agrees.',
  different: 'There are differences.',
  behind:
    'What was compared agrees, but the pipeline has not reached the end of the log. Start Waypost, or try again later.',
}

/** For a person: one line per comparison, differences and examples below. */
export function printReconciliation({ verdict, checks }: Reconciliation): string {
  return `${checks.map(printCheck).join('\n')}\n${VERDICTS[verdict]}\n`
}

function printCheck({ check, what, expected, found, isBalanced, examples }: Check): string {
  if (isBalanced) return `ok    ${check}: ${what}: ${expected}`
  const difference = BigInt(found) - BigInt(expected)
  const line = `DIFF  ${check}: ${what}: expected ${expected}, found ${found}, difference ${difference}`
  return [line, ...examples.map((example) => `        ${example}`)].join('\n')
}
