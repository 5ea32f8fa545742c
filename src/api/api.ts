import type { Registry } from 'prom-client'

import type { HotState } from '#hot-state'
import type { FactsClient } from '#platform/clickhouse'
import type { Clock } from '#platform/clock'
import type { LogLines } from '#platform/log-lines'
import type { Pool } from '#platform/postgres'
import type { SnapshotFollower } from '#snapshots'

/** What the routes work with. */
export type Api = {
  readonly pool: Pool
  readonly facts: FactsClient
  readonly hotState: Pick<HotState, 'getClick'>
  readonly snapshots: Pick<SnapshotFollower, 'current' | 'isFresh'>
  readonly clock: Clock
  readonly logLines: LogLines
  readonly registry: Registry
  readonly edgePort: number
  readonly operations: Operations
  readonly metrics: readonly (() => string | Promise<string>)[]
}

/** Checks of the whole installation that the process behind the API can make. Each answers plain JSON. */
export type Operations = {
  readonly reconcile?: () => Promise<object>
  readonly doctor?: () => Promise<object>
}
