import { startEdge, type RunningEdge, type SignatureMemory } from '#edge'
import { openEnricher } from '#enrichment'
import { systemClock } from '#platform/clock'
import type { LogLines } from '#platform/log-lines'
import type { SnapshotFollower } from '#snapshots'

import { openEdgeStores } from './edge-stores.ts'
import type { ThreadStart } from './edge-threads.ts'

/** Opens what a thread of the edge needs and starts it.
 * @throws {Error} it cannot start
 */
export async function openEdgeThread(
  options: Omit<ThreadStart, 'snapshot'> & {
    readonly snapshots: SnapshotFollower
    readonly signatures: SignatureMemory
    readonly logLines: LogLines
  },
): Promise<RunningEdge> {
  const { config, thread, board, rates, geo, snapshots, signatures, logLines } = options
  // First, because it keeps the thread for a while: connections opened before it would time out.
  const enricher = openEnricher(geo)
  const stores = await openEdgeStores(config, logLines)
  const edge = await startEdge({
    config,
    ...stores,
    snapshots,
    enricher,
    clock: systemClock,
    logLines,
    isPortShared: true,
    team: { thread, threads: config.edgeThreads, board, rates, signatures },
  })
  return {
    port: edge.port,
    stop: async () => {
      await edge.stop()
      await stores.close()
    },
  }
}
