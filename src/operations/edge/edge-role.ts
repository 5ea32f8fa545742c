import { startEdge } from '#edge'
import { openEnricher, prepareGeoFiles } from '#enrichment'
import { canSharePort, type Config } from '#config'
import { systemClock } from '#platform/clock'
import { createLogLines } from '#platform/log-lines'
import { followSnapshots } from '#snapshots'

import { dataPaths } from '../data-directory.ts'
import { openSecretKeys } from '../open-secret-keys.ts'
import { withFreePort } from '../ports.ts'
import { onStopRequest } from '../signals.ts'
import type { EdgeMessage, MainMessage } from './edge-process.ts'
import { openEdgeStores } from './edge-stores.ts'
import { startEdgeThreads } from './edge-threads.ts'
import { onSharedPort, type ListeningEdge } from './shared-port.ts'

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
  let edge: ListeningEdge
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

async function openEdge(config: Config): Promise<ListeningEdge> {
  const paths = dataPaths(config.dataDir)
  const logLines = createLogLines('edge', config.logLevel)
  openSecretKeys(config, paths)
  const snapshots = followSnapshots({
    ...(config.databaseUrl === undefined ? {} : { databaseUrl: config.databaseUrl }),
    cacheFile: paths.snapshot,
    logLines,
    clock: systemClock,
  })
  const geo = prepareGeoFiles(paths.geo)
  const edge = await withFreePort('WAYPOST_EDGE_PORT', config.edgePort, () =>
    config.edgeThreads > 1 ? startEdgeThreads({ config, geo, snapshots, logLines }) : onSharedPort(config, openAlone),
  )
  return {
    port: edge.port,
    stop: async () => {
      await edge.stop()
      await snapshots.stop()
    },
  }

  async function openAlone(alone: Config): Promise<ListeningEdge> {
    // First, because it keeps the thread for a second or two: connections opened before it would time out.
    const enricher = openEnricher(geo)
    const stores = await openEdgeStores(config, logLines)
    const edge = await startEdge({
      config: alone,
      ...stores,
      snapshots,
      enricher,
      clock: systemClock,
      logLines,
      isPortShared: canSharePort,
    })
    return {
      port: edge.port,
      stop: async () => {
        await edge.stop()
        await stores.close()
      },
    }
  }
}
