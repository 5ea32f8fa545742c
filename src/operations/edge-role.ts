import { startEdge } from '#edge'
import { openEnricher, prepareGeoFiles } from '#enrichment'
import type { Config } from '#config'
import { openLmdbHotState } from '#hot-state'
import { openFileLog } from '#log'
import { systemClock } from '#platform/clock'
import { createLogLines } from '#platform/log-lines'
import { followSnapshots } from '#snapshots'

import { dataPaths } from './data-directory.ts'
import type { EdgeMessage, MainMessage } from './edge-process.ts'
import { withFreePort } from './ports.ts'
import { onStopRequest } from './signals.ts'

/** Partition of the log that the first edge of a machine writes. */
const PARTITION = 'edge-0'

/** Runs the edge in this process until it is asked to stop.
 * @throws {Error} it cannot start
 */
export async function runEdge(config: Config): Promise<void> {
  process.title = 'waypost edge'
  if (process.send !== undefined) return runForMain(config)
  const stopAsked = Promise.withResolvers<void>()
  onStopRequest(stopAsked.resolve, () => process.exit(1))
  const edge = await openEdge(config)
  process.stdout.write(`The edge listens on port ${edge.port}. Ctrl-C stops it.\n`)
  await stopAsked.promise
  await edge.stop()
}

/** Forked by a main process, which hears how the start went and says when to stop. Ctrl-C in a terminal reaches both; the main
 * process decides.
 */
async function runForMain(config: Config): Promise<void> {
  const stopAsked = Promise.withResolvers<void>()
  process.on('SIGINT', () => undefined)
  process.on('SIGTERM', () => stopAsked.resolve())
  process.on('disconnect', () => stopAsked.resolve())
  process.on('message', (message: MainMessage) => void (message.kind === 'stop' && stopAsked.resolve()))
  let edge: Awaited<ReturnType<typeof openEdge>>
  try {
    edge = await openEdge(config)
  } catch (error) {
    await tellMain({ kind: 'failed', message: (error as Error).message })
    return
  }
  await tellMain({ kind: 'listening', port: edge.port })
  await stopAsked.promise
  await edge.stop()
}

/** Resolves once the message is on its way: the process may end right after. */
function tellMain(message: EdgeMessage): Promise<void> {
  return new Promise((resolve) => {
    if (process.connected) process.send!(message, () => resolve())
    else resolve()
  })
}

async function openEdge(config: Config): Promise<{ readonly port: number; stop(): Promise<void> }> {
  const paths = dataPaths(config.dataDir)
  const logLines = createLogLines('edge', config.logLevel)
  // First, because it keeps the thread for a second or two: connections opened before it would time out.
  const enricher = openEnricher(prepareGeoFiles(paths.geo))
  const snapshots = followSnapshots({
    ...(config.databaseUrl === undefined ? {} : { databaseUrl: config.databaseUrl }),
    cacheFile: paths.snapshot,
    logLines,
    clock: systemClock,
  })
  const log = await openFileLog({ directory: paths.log, logLines, isFlushed: !config.faultGuardsOff.has('flush') })
  const hotState = openLmdbHotState({ directory: paths.hotState, readOnly: true })
  const options = { config, log, partition: PARTITION, hotState, snapshots, enricher, clock: systemClock, logLines }
  const edge = await withFreePort('WAYPOST_EDGE_PORT', config.edgePort, () => startEdge(options))
  return {
    port: edge.port,
    stop: async () => {
      await edge.stop()
      await Promise.all([snapshots.stop(), log.close(), hotState.close()])
    },
  }
}
