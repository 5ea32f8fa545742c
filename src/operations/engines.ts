import type { Config } from '#config'
import { openClickHouse, type FactsClient } from '#platform/clickhouse'
import type { LogLines } from '#platform/log-lines'
import { findRunningPostgres, startEmbeddedPostgres } from '#platform/postgres'

import { makeDataDirectory, readOrMakeSecrets, type DataPaths } from './data-directory.ts'
import { openSecretKeys } from './open-secret-keys.ts'

/** Something open, with its end. */
export type Opened<T> = { readonly value: T; readonly close: () => Promise<void> }

const nothingToClose = (): Promise<void> => Promise.resolve()

/** Statements that reports may run at the same time on the embedded facts. */
const REPORT_CONNECTIONS = 3

/** Clients of the same facts: neither a long report nor an archive may hold up the pipeline. */
export type Facts = { readonly writer: FactsClient; readonly reader: FactsClient; readonly archivist: FactsClient }

/** Opens the facts for writing and for reports.
 * @throws {Error} another process has them, or the server does not answer
 */
export async function openFacts(config: Config, paths: DataPaths): Promise<Opened<Facts>> {
  const place = config.clickhouseUrl === undefined ? { path: paths.clickhouse } : { url: config.clickhouseUrl }
  const writer = await openClickHouse(place)
  const reader = await openClickHouse({ ...place, connections: REPORT_CONNECTIONS })
  const archivist = await openClickHouse(place)
  return {
    value: { writer, reader, archivist },
    close: async () => {
      await Promise.all([writer.close(), reader.close(), archivist.close()])
    },
  }
}

/** The address of the installation's PostgreSQL for a short command: the operator's own, the one that a running Waypost has,
 * or the embedded one started for this command.
 */
export async function reachDatabase(config: Config, paths: DataPaths, logLines: LogLines): Promise<Opened<string>> {
  if (config.databaseUrl === undefined || config.secretKeys.length === 0) makeDataDirectory(paths)
  openSecretKeys(config, paths)
  if (config.databaseUrl !== undefined) return { value: config.databaseUrl, close: nothingToClose }
  const { postgresPassword } = readOrMakeSecrets(paths.secrets)
  const running = findRunningPostgres(paths.postgres, postgresPassword)
  if (running !== undefined) return { value: running.url, close: nothingToClose }
  const server = await startEmbeddedPostgres({ dataDir: paths.postgres, password: postgresPassword, logLines })
  return { value: server.url, close: () => server.stop() }
}
