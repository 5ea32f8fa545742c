import { openSqliteCapState, type CapState } from '#caps'
import type { Config } from '#config'
import { openLmdbHotState, type HotState } from '#hot-state'
import { openFileLog, type EventLog } from '#log'
import type { LogLines } from '#platform/log-lines'

import { dataPaths } from '../data-directory.ts'

/** What one thread of the edge has open. */
export type EdgeStores = {
  readonly log: EventLog
  readonly hotState: HotState
  readonly caps: CapState
  close(): Promise<void>
}

export async function openEdgeStores(config: Config, logLines: LogLines): Promise<EdgeStores> {
  const paths = dataPaths(config.dataDir)
  const log = await openFileLog({ directory: paths.log, logLines, isFlushed: !config.faultGuardsOff.has('flush') })
  const hotState = openLmdbHotState({ directory: paths.hotState, readOnly: true })
  const caps = openSqliteCapState({ directory: paths.caps })
  return {
    log,
    hotState,
    caps,
    close: async () => {
      await Promise.all([log.close(), hotState.close(), caps.close()])
    },
  }
}
