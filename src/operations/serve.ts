/** `waypost serve`: one main process with the engines, the pipeline, the delivery and the API, and the edge beside it.
 *
 * Start: the edge at once, with the configuration of the disk, while the engines come up; so redirects wait for nothing.
 * Stop: edge (nothing new comes in) → pipeline → delivery → API → facts → PostgreSQL, each after what feeds it.
 */
import { once } from 'node:events'

import type { Config } from '#config'
import { WaypostError } from '#platform/errors'
import { createLogLines, type LogLines } from '#platform/log-lines'

import { dataPaths, makeDataDirectory } from './data-directory.ts'
import type { Main } from './main-process.ts'
import { roles, type Role } from './roles.ts'
import { onStopRequest } from './signals.ts'
import { describeStart } from './start-report.ts'

/** Longest that an orderly end may take; after it the process ends as if it had been killed, which loses nothing either. */
const STOP_MS_MAX = 60_000

/** Runs the given roles until the process is asked to stop.
 * @param wanted every role for a whole installation on one machine; fewer for several processes with a database outside
 * @param program file and arguments that start the edge's own process
 * @throws {WaypostError} environment_invalid: the roles need a database that is not configured
 * @throws {Error} something did not start, with one clear sentence; everything is stopped again by then
 */
export async function serve(
  config: Config,
  wanted: readonly Role[],
  program: readonly [file: string, ...args: string[]],
): Promise<void> {
  checkDatabase(config, wanted)
  makeDataDirectory(dataPaths(config.dataDir))
  // Each process loads what its roles need: the edge lives without the engines' libraries.
  if (wanted.length === 1 && wanted[0] === 'edge') return (await import('./edge/edge-role.ts')).runEdge(config)
  await serveMain(config, wanted, program)
}

async function serveMain(
  config: Config,
  wanted: readonly Role[],
  program: readonly [string, ...string[]],
): Promise<void> {
  process.title = 'waypost main'
  const logLines = createLogLines('main', config.logLevel)
  const stopAsked = new AbortController()
  onStopRequest(
    () => stopAsked.abort(),
    () => process.exit(1),
  )
  for (const warning of config.warnings) say(`Warning: ${warning}`)
  say(`Waypost starts; its data is in ${config.dataDir}`)
  const startedAt = performance.now()
  const { startMain } = await import('./main-process.ts')
  const onProgress = (step: string): void => say(`  ${step}`)
  const main = await startMain({ config, roles: wanted, program, logLines, onProgress, stopSignal: stopAsked.signal })
  say(describeStart(config, main, performance.now() - startedAt))
  if (!stopAsked.signal.aborted) await once(stopAsked.signal, 'abort')
  say('Stopping: no new requests are taken, what was accepted is finished …')
  await endWithin(STOP_MS_MAX, main, logLines)
  say('Stopped.')
}

const say = (text: string): void => void process.stdout.write(`${text}\n`)

async function endWithin(ms: number, main: Main, logLines: LogLines): Promise<void> {
  const deadline = setTimeout(() => {
    logLines.fatal({}, 'Stopping took too long; the process ends as it is')
    process.exit(1)
  }, ms)
  await main.stop()
  clearTimeout(deadline)
}

function checkDatabase(config: Config, wanted: readonly Role[]): void {
  const isWhole = roles.every((role) => wanted.includes(role))
  if (isWhole || config.databaseUrl !== undefined) return
  throw new WaypostError('environment_invalid', 'With --role the processes share a database: set DATABASE_URL.')
}
