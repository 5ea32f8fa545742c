import type { Enricher } from '#enrichment'
import type { RateCounters } from '#fraud'
import type { HotState } from '#hot-state'
import type { EventLog } from '#log'
import type { Clock } from '#platform/clock'
import type { LogLines } from '#platform/log-lines'
import type { EdgeCaps } from './caps.ts'
import type { ClientOrigin } from './client-address.ts'
import type { EdgeLimits } from './limits.ts'
import type { LiveConfigHolder } from './live-config.ts'
import type { EdgeMetrics } from './metrics.ts'
import type { Recorder } from './recorder.ts'
import type { SignatureMemory } from './signature.ts'
import type { IncomingMessage } from 'node:http'

/** What the routes work with. */
export type Edge = {
  readonly limits: EdgeLimits
  readonly sub2AllowedKeys: ReadonlySet<string>
  readonly live: LiveConfigHolder
  readonly recorder: Recorder
  readonly enricher: Enricher
  readonly hotState: Pick<HotState, 'getClick' | 'indexPosition' | 'isClaimed'>
  readonly caps: EdgeCaps
  readonly rates: RateCounters
  readonly log: Pick<EventLog, 'partitions' | 'bounds'>
  readonly clock: Clock
  readonly logLines: LogLines
  readonly metrics: EdgeMetrics
  readonly signatures: SignatureMemory
  readonly originOf: (request: IncomingMessage) => ClientOrigin
}
