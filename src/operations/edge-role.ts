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

/** Runs the edge in this process until it is asked to stop: by the main process that forked it, or by a signal.
 * @throws {Error} it cannot start; a main process is told as well
 */
export async function runEdge(config: Config): Promise<void> {
  process.title = 'waypost edge'
  const stopAsked = Promise.withResolvers<void>()
  // Forked by a main process, its channel says when to stop. Ctrl-C in the terminal reaches both; the main process decides.
  if (process.send !== undefined) {
    process.on('SIGINT', () => undefined)
    process.on('message', (message: MainMessage) => void (message.kind === 'stop' && stopAsked.resolve()))
    process.on('disconnect', stopAsked.resolve)
    process.on('SIGTERM', () => stopAsked.resolve())
  } else
    onStopRequest(
      () => stopAsked.resolve(),
      () => process.exit(1),
    )
  try {
    const edge = await openEdge(config)
    tellMain({ kind: 'listening', port: edge.port })
    await stopAsked.promise
    await edge.stop()
    if (process.connected) process.disconnect()
  } catch (error) {
    tellMain({ kind: 'failed', message: (error as Error).message })
    throw error
  }
}

function tellMain(message: EdgeMessage): void {
  if (process.connected) process.send?.(message)
}

async function openEdge(config: Config): Promise<{ readonly port: number; stop(): Promise<void> }> {
  const paths = dataPaths(config.dataDir)
  const logLines = createLogLines('edge', config.logLevel)
  const snapshots = followSnapshots({
    ...(config.databaseUrl === undefined ? {} : { databaseUrl: config.databaseUrl }),
    cacheFile: paths.snapshot,
    logLines,
    clock: systemClock,
  })
  const log = await openFileLog({ directory: paths.log, logLines, isFlushed: !config.faultGuardsOff.has('flush') })
  const hotState = openLmdbHotState({ directory: paths.hotState, readOnly: true })
  const enricher = openEnricher(prepareGeoFiles(paths.geo))
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
