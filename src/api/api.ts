import type { Registry } from 'prom-client'

import type { CapCounters } from '#caps'
import type { Enricher } from '#enrichment'
import type { HotState } from '#hot-state'
import type { FactsClient } from '#platform/clickhouse'
import type { Clock } from '#platform/clock'
import type { LogLines } from '#platform/log-lines'
import type { Pool } from '#platform/postgres'
import type { QueueLengths } from '#postbacks'
import type { ReadableLog } from '#simulation'
import type { ArchivePlaces, RetentionPolicy } from '#retention'
import type { SnapshotFollower } from '#snapshots'

/** What the routes work with. */
export type Api = {
  readonly pool: Pool
  readonly facts: FactsClient
  readonly hotState: Pick<HotState, 'getClick' | 'isClaimed'>
  readonly log: ReadableLog
  readonly snapshots: Pick<SnapshotFollower, 'current' | 'isFresh'>
  readonly clock: Clock
  readonly logLines: LogLines
  readonly registry: Registry
  readonly edgePort: number
  /** Keys of a sub2 that the edge keeps; empty: every one. */
  readonly sub2AllowedKeys: ReadonlySet<string>
  /** The files that tell place and device of a visitor, opened when first asked for and kept. */
  readonly openEnricher: () => Enricher
  /** Where the files of exports are; undefined: this process makes none. */
  readonly exportsDirectory: string | undefined
  /** Counts of caps, for looking only; undefined: this process has none. */
  readonly caps: Pick<CapCounters, 'peek' | 'list'> | undefined
  /** What waits for each endpoint, as it was counted last; undefined: nobody counts here, or not yet. */
  readonly queueLengths: () => QueueLengths | undefined
  /** Where archives of raw facts are, and how long those are kept unless an advertiser says otherwise. */
  readonly retention: { readonly places: ArchivePlaces; readonly byDefault: RetentionPolicy }
  readonly operations: Operations
  readonly metrics: readonly (() => string | Promise<string>)[]
}

/** Checks of the whole installation that the process behind the API can make. Each answers plain JSON. */
export type Operations = {
  readonly reconcile?: () => Promise<object>
  readonly doctor?: () => Promise<object>
}
