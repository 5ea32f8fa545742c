import { Agent, request, type IncomingHttpHeaders } from 'node:http'
import { join } from 'node:path'
import type { TestContext } from 'node:test'

import { createMemoryCaps, type CapCounters } from '#caps'
import { openEnricher } from '#enrichment'
import { openLmdbHotState, type HotState } from '#hot-state'
import { openFileLog, type EventLog, type LogWriter } from '#log'
import type { Clock } from '#platform/clock'
import { createLogLines } from '#platform/log-lines'
import { decodeRecord, encodeRecord, type ClickRecord, type LoggedRecord } from '#records'
import type { Snapshot } from '#routing'
import { relayedSnapshots, type RelayedSnapshots } from '#snapshots'
import { withTempDir } from '#test-kit'
import type { EdgeLimits } from './limits.ts'
import { startEdge, type EdgeConfig, type RunningEdge } from './start-edge.ts'

export type Answer = { readonly status: number; readonly headers: IncomingHttpHeaders; readonly body: string }

export type Ask = {
  readonly method?: string
  readonly headers?: Readonly<Record<string, string>>
  readonly body?: string
}

/** An edge over real HTTP with a real log and hot state in a directory of its own. */
export type TestEdge = {
  readonly edge: RunningEdge
  readonly log: EventLog
  readonly hotState: HotState
  readonly snapshots: RelayedSnapshots
  readonly directory: string
  readonly ask: (path: string, options?: Ask) => Promise<Answer>
  /** Everything that is durable in the log. */
  readonly records: () => Promise<readonly LoggedRecord[]>
  /** Puts clicks into the index, as the pipeline does, and says that it has read the whole log. */
  readonly indexClicks: (clicks: readonly ClickRecord[]) => Promise<void>
}

export type TestEdgeOptions = {
  readonly config?: Partial<EdgeConfig>
  readonly limits?: Partial<EdgeLimits>
  readonly caps?: CapCounters
  /** Takes the place of appends, to see what the edge does while the log is slow or refuses. */
  readonly append?: (append: LogWriter['append']) => LogWriter['append']
}

const PARTITION = 'edge-0'
const logLines = createLogLines('test', 'silent')
const enricher = openEnricher({ geoFiles: [] })

/** A clock of a test can be set; by default it is the system's. */
export const testClock = (): Clock & { offsetMs: number } => {
  const clock = { offsetMs: 0, now: () => Date.now() + clock.offsetMs }
  return clock
}

export async function withEdge(
  t: TestContext,
  snapshot: Snapshot | undefined,
  options: TestEdgeOptions & { readonly clock?: Clock } = {},
): Promise<TestEdge> {
  const directory = withTempDir(t)
  const log = await openFileLog({ directory: join(directory, 'log'), logLines })
  const hotState = openLmdbHotState({ directory: join(directory, 'hot-state') })
  const snapshots = relayedSnapshots(snapshot)
  const edge = await startEdge({
    config: { edgeHost: '127.0.0.1', edgePort: 0, sub2AllowedKeys: [], trustedProxies: [], ...options.config },
    log: options.append === undefined ? log : withAppend(log, options.append),
    hotState,
    caps: options.caps ?? createMemoryCaps(),
    snapshots,
    enricher,
    clock: options.clock ?? testClock(),
    logLines,
    ...(options.limits && { limits: options.limits }),
  })
  t.after(async () => {
    await edge.stop()
    await hotState.close()
    await log.close()
  })
  return {
    edge,
    log,
    hotState,
    snapshots,
    directory,
    ask: (path, ask = {}) => send(edge.port, path, ask),
    records: () => readRecords(log),
    indexClicks: (clicks) => indexClicks(log, hotState, clicks),
  }
}

const withAppend = (log: EventLog, replace: (append: LogWriter['append']) => LogWriter['append']): EventLog => ({
  partitions: () => log.partitions(),
  bounds: (partition) => log.bounds(partition),
  read: (partition, fromOffset, limits) => log.read(partition, fromOffset, limits),
  readRange: (partition, firstOffset, nextOffset) => log.readRange(partition, firstOffset, nextOffset),
  waitForAppend: (timeoutMs) => log.waitForAppend(timeoutMs),
  commitPosition: (consumer, partition, position) => log.commitPosition(consumer, partition, position),
  enforceRetention: (policy, nowMs) => log.enforceRetention(policy, nowMs),
  close: () => log.close(),
  openWriter: (partition) => log.openWriter(partition),
  async openFreeWriter(group) {
    const writer = await log.openFreeWriter(group)
    return {
      partition: writer.partition,
      append: replace((payload) => writer.append(payload)),
      pendingCount: () => writer.pendingCount(),
      close: () => writer.close(),
    }
  },
})

/** One request on a connection of its own. */
export function send(port: number, path: string, { method = 'GET', headers = {}, body }: Ask = {}): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const agent = new Agent({ keepAlive: false })
    const outgoing = request({ host: '127.0.0.1', port, path, method, headers, agent }, (response) => {
      const chunks: Buffer[] = []
      response.on('data', (chunk: Buffer) => chunks.push(chunk))
      response.on('error', reject)
      response.on('end', () =>
        resolve({ status: response.statusCode!, headers: response.headers, body: Buffer.concat(chunks).toString() }),
      )
    })
    outgoing.on('error', reject)
    outgoing.end(body)
  })
}

async function readRecords(log: EventLog): Promise<readonly LoggedRecord[]> {
  const batch = await log.read(PARTITION, 0, { maxRecords: 1_000, maxBytes: 10_000_000 })
  return batch.records.map(({ payload }) => decodeRecord(payload)!)
}

async function indexClicks(log: EventLog, hotState: HotState, clicks: readonly ClickRecord[]): Promise<void> {
  const { nextOffset } = await log.bounds(PARTITION)
  const indexed = clicks.map((click) => ({ clickId: click.click_id, payload: encodeRecord(click) }))
  await hotState.indexClicks(indexed, { partition: PARTITION, nextOffset, appendedAt: Date.now() })
}

/** Appends that wait until they are released, to see what the edge does meanwhile. */
export function heldAppends(): {
  readonly append: NonNullable<TestEdgeOptions['append']>
  /** Resolves when the first record came. */
  readonly asked: Promise<void>
  readonly release: () => void
} {
  const asked = Promise.withResolvers<void>()
  const released = Promise.withResolvers<void>()
  return {
    append: (append) => async (payload) => {
      asked.resolve()
      await released.promise
      return append(payload)
    },
    asked: asked.promise,
    release: released.resolve,
  }
}
