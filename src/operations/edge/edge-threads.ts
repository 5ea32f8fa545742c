/** The threads of an edge: each a whole edge of its own, with its own partition of the log, on one port together.
 * Another process on the same data directory is an edge of its own, on the same port or another, see shared-port.ts.
 *
 *   first thread ──▶ geo files (shared memory), port, configuration, signatures seen
 *        │ posts: snapshot, freshness, answers about signatures, stop
 *        ▼
 *   further threads ── ask: was this signature seen?
 *
 * The kernel deals out connections (SO_REUSEPORT). A thread that dies takes the process with it: it is started again as a whole.
 */
import { once } from 'node:events'
import { Worker } from 'node:worker_threads'

import { createMetricsBoard, createSignatureMemory, newRateBoard, type MetricsBoard, type RunningEdge } from '#edge'
import { shareGeoFiles, type PlaceSources } from '#enrichment'
import type { Config } from '#config'
import type { RateBoard } from '#fraud'
import type { LogLines } from '#platform/log-lines'
import type { Snapshot } from '#routing'
import type { SnapshotFollower } from '#snapshots'

import { openEdgeThread } from './edge-thread.ts'
import { onSharedPort, type ListeningEdge } from './shared-port.ts'

/** What a thread starts with. */
export type ThreadStart = {
  readonly config: Config
  /** From 0; 0 is the first thread. */
  readonly thread: number
  readonly board: MetricsBoard
  readonly rates: RateBoard
  readonly geo: PlaceSources
  readonly snapshot: Snapshot | undefined
}

/** What the first thread tells another. */
export type ToThread =
  | { readonly kind: 'snapshot'; readonly snapshot: Snapshot }
  | { readonly kind: 'freshness'; readonly isFresh: boolean }
  | { readonly kind: 'remembered'; readonly question: number; readonly isNew: boolean }
  | { readonly kind: 'stop' }

/** What it hears. */
export type FromThread =
  | { readonly kind: 'listening' }
  | { readonly kind: 'stopped' }
  | { readonly kind: 'remember'; readonly question: number; readonly digest: string; readonly nowMs: number }
  | { readonly kind: 'forget'; readonly digest: string }

const FRESHNESS_EVERY_MS = 500

export type EdgeThreadsOptions = {
  readonly config: Config
  readonly geo: PlaceSources & { readonly asnFile: string }
  readonly snapshots: SnapshotFollower
  readonly logLines: LogLines
}

/** Starts the threads, this one as the first of them.
 * @throws {Error} one cannot start; EADDRINUSE and the like
 */
export const startEdgeThreads = (options: EdgeThreadsOptions): Promise<ListeningEdge> =>
  onSharedPort(options.config, (config) => startThreads({ ...options, config }))

async function startThreads(options: EdgeThreadsOptions): Promise<ListeningEdge> {
  const { config, snapshots, logLines } = options
  const board = createMetricsBoard(config.edgeThreads)
  const rates = newRateBoard()
  const geo = shareGeoFiles(options.geo)
  const signatures = createSignatureMemory()
  const startOf = (thread: number): ThreadStart => ({
    // A URL cannot be handed to a thread, and the edge sends nothing through the proxy.
    config: { ...config, postbackProxy: undefined },
    thread,
    board,
    rates,
    geo,
    snapshot: snapshots.current(),
  })

  const further = Array.from({ length: config.edgeThreads - 1 }, (_, index) =>
    startWorker(startOf(index + 1), logLines),
  )
  for (const worker of further) worker.on('message', (message: FromThread) => answer(worker, message))
  const stopTelling = snapshots.onChange((snapshot) => tellAll({ kind: 'snapshot', snapshot }))
  const freshness = setInterval(
    () => tellAll({ kind: 'freshness', isFresh: snapshots.isFresh() }),
    FRESHNESS_EVERY_MS,
  ).unref()

  async function openAll(): Promise<RunningEdge> {
    const own = openEdgeThread({ ...startOf(0), snapshots, signatures, logLines })
    const all = [own, ...further.map((worker) => untilSaid(worker, 'listening'))] as const
    await Promise.allSettled(all)
    try {
      await Promise.all(all)
      return await own
    } catch (error) {
      // What did start would keep the process alive.
      await own.then((edge) => edge.stop()).catch(() => undefined)
      await Promise.all(further.map((worker) => worker.terminate()))
      throw error
    }
  }

  function tellAll(message: ToThread): void {
    for (const worker of further) worker.postMessage(message)
  }

  function answer(worker: Worker, message: FromThread): void {
    if (message.kind === 'forget') signatures.forget(message.digest)
    if (message.kind !== 'remember') return
    const isNew = signatures.remember(message.digest, message.nowMs)
    worker.postMessage({ kind: 'remembered', question: message.question, isNew } satisfies ToThread)
  }

  const first = await openAll()
  let isStopping = false
  for (const worker of further) worker.once('exit', () => void (isStopping || endProcess(logLines)))

  return {
    port: first.port,
    stop: async () => {
      isStopping = true
      stopTelling()
      clearInterval(freshness)
      const stopped = further.map((worker) => untilSaid(worker, 'stopped'))
      tellAll({ kind: 'stop' })
      // The first thread answers the others about signatures until they have stopped.
      await Promise.all([first.stop(), ...stopped])
    },
  }
}

function startWorker(start: ThreadStart, logLines: LogLines): Worker {
  const worker = new Worker(new URL('edge-thread-main.ts', import.meta.url), { workerData: start })
  worker.on('error', (error) => logLines.error({ err: error, thread: start.thread }, 'A thread of the edge failed.'))
  return worker
}

/** @throws {Error} of the thread, when it fails first */
async function untilSaid(worker: Worker, kind: FromThread['kind']): Promise<void> {
  const ended = new AbortController()
  const exit = once(worker, 'exit', { signal: ended.signal }).then(() => {
    throw new Error('A thread of the edge ended.')
  })
  const said = (async () => {
    for (;;) {
      const [message] = (await once(worker, 'message', { signal: ended.signal })) as [FromThread]
      if (message.kind === kind) return
    }
  })()
  try {
    await Promise.race([said, exit])
  } finally {
    ended.abort()
    await Promise.allSettled([said, exit])
  }
}

/** What a dead thread had accepted and not answered is known to its senders by the broken connection. */
function endProcess(logLines: LogLines): void {
  logLines.fatal({}, 'A thread of the edge ended by itself; the process ends with it.')
  process.exit(1)
}
