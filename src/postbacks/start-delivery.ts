import { randomUUID } from 'node:crypto'
import type { Clock } from '#platform/clock'
import type { LogLines } from '#platform/log-lines'
import type { Pool } from '#platform/postgres'
import type { Snapshot } from '#routing'
import { createDatabaseClock } from './database-clock.ts'
import { createDeliveryCounters, type AttemptCounts } from './delivery-metrics.ts'
import { listenForDeliveries } from './listen.ts'
import { expireOld, promoteDue, reapLostLeases, type Completion } from './queue.ts'
import { createRecorder } from './record-tries.ts'
import { createHostResolver, type ResolveHost } from './resolve-host.ts'
import { createSender } from './send-request.ts'
import { supervise, type Loop } from './supervise.ts'
import { IDLE_MS, Worker } from './worker.ts'

/** Deferred deliveries become due this late at most. */
const PROMOTE_INTERVAL_MS = 250
const REAP_INTERVAL_MS = 5_000
const EXPIRE_INTERVAL_MS = 300_000
/** How often PostgreSQL is asked for the time: its clock may be set too. */
const CLOCK_INTERVAL_MS = 30_000
/** Rows moved by one housekeeping statement. */
const MOVE_MAX = 5_000
/** A delivery whose worker died five times in a row is set aside. Fewer would hit innocent ones in a bad hour of restarts. */
export const CRASHES_MAX = 5
/** Under way in one process by default: bounds sockets and memory. */
const CONCURRENCY_MAX = 512
const DRAIN_MS = 10_000

export type DeliveryOptions = {
  readonly pool: Pool
  /** The current configuration: which endpoints are active, their secrets and limits. Nothing is sent while there is none. */
  readonly snapshots: { readonly current: () => Snapshot | undefined }
  /** The time until PostgreSQL was asked for its own, which is then the only one. */
  readonly clock: Clock
  readonly logLines: LogLines
  /** Uniform in [0, 1), for the jitter; default Math.random. */
  readonly random?: () => number
  /** Default: DNS, remembered for a minute at most. */
  readonly resolveHost?: ResolveHost
  /** Deliveries under way in this process, integer ≥ 1, default 512. One endpoint holds a quarter of them at most. */
  readonly concurrencyMax?: number
  /** How long stop() waits for answers before it breaks them off; default 10 000. */
  readonly drainMs?: number
  /** How often lost leases are looked for; default 5 000. */
  readonly reapIntervalMs?: number
  /** False only in the fault run, which must turn red: then a worker that lost its lease decides all the same. */
  readonly isLeaseFenced?: boolean
  /** Called after each commit of outcomes. */
  readonly onRecorded?: (completions: readonly Completion[], lateCount: number) => void
}

export type Delivery = {
  /** Stops claiming, lets what is under way finish, writes the outcomes down. */
  readonly stop: () => Promise<void>
  /** Tries of this process, for /metrics. */
  readonly attempts: () => AttemptCounts
}

/** Starts to deliver what is queued: claims fairly by endpoint, signs, sends, records one row per try, puts off or gives up.
 *
 * At least once, with the same `webhook-id` in every try; no order is promised. Several workers may run at once. While
 * PostgreSQL is away nothing is claimed, what is under way finishes, and outcomes wait in memory; it never exits.
 */
export async function startDelivery(options: DeliveryOptions): Promise<Delivery> {
  const { pool, logLines } = options
  const drainMs = options.drainMs ?? DRAIN_MS
  const workerId = randomUUID()
  const clock = createDatabaseClock(pool, options.clock)
  const counters = createDeliveryCounters()
  const sender = createSender({ resolveHost: options.resolveHost ?? createHostResolver() })
  const recorder = createRecorder({
    pool,
    workerId,
    logLines,
    isFenced: options.isLeaseFenced ?? true,
    onRecorded: (completions, lateCount) => {
      counters.count(completions, lateCount)
      options.onRecorded?.(completions, lateCount)
    },
  })
  const worker = new Worker({
    pool,
    workerId,
    sender,
    recorder,
    snapshots: options.snapshots,
    surroundings: { nowMs: clock.now, random: options.random ?? Math.random },
    concurrencyMax: options.concurrencyMax ?? CONCURRENCY_MAX,
    onFreed: () => claiming.wake(),
  })
  const claiming = supervise('claim', logLines, async () => {
    if (!clock.isSet()) await clock.synchronize()
    return worker.claim()
  })
  const look = (): void => {
    worker.lookAgain()
    claiming.wake()
  }
  const keepTime = supervise('clock', logLines, async () => {
    await clock.synchronize()
    return CLOCK_INTERVAL_MS
  })
  const loops = [claiming, keepTime, ...keepHouse(options, look), listen(pool, logLines, look)]
  return {
    attempts: counters.attempts,
    stop: async () => {
      await Promise.all(loops.map((loop) => loop.stop()))
      const interrupting = setTimeout(sender.interrupt, drainMs)
      // What cannot be written by then keeps its lease, and another worker tries again when that ends.
      const abandoning = setTimeout(recorder.abandon, drainMs * 1.5)
      await worker.drain()
      clearTimeout(interrupting)
      clearTimeout(abandoning)
      await sender.close()
    },
  }
}

/** Moves deferred deliveries that are due, takes lost leases back, and looks at the queue even without a notice, because a
 * notice can be lost with its connection.
 */
function keepHouse(options: DeliveryOptions, look: () => void): readonly Loop[] {
  const { pool, logLines } = options
  return [
    supervise('promote', logLines, async () => {
      const moved = await promoteDue(pool, MOVE_MAX)
      if (moved > 0) look()
      return moved === MOVE_MAX ? 0 : PROMOTE_INTERVAL_MS
    }),
    supervise('reap', logLines, async () => {
      const lost = await reapLostLeases(pool, { countMax: MOVE_MAX, crashesMax: CRASHES_MAX })
      if (lost.requeued + lost.quarantined > 0) logLines.warn(lost, 'deliveries taken back from a lost worker')
      if (lost.requeued > 0) look()
      return options.reapIntervalMs ?? REAP_INTERVAL_MS
    }),
    supervise('expire', logLines, async () => {
      const expired = await expireOld(pool, options.snapshots.current()?.endpoints ?? [], MOVE_MAX)
      if (expired > 0) logLines.warn({ expired }, 'deliveries given up, since they could not be delivered in time')
      return expired >= MOVE_MAX ? 0 : EXPIRE_INTERVAL_MS
    }),
    supervise('look', logLines, () => {
      look()
      return Promise.resolve(IDLE_MS)
    }),
  ]
}

function listen(pool: Pool, logLines: LogLines, look: () => void): Loop {
  let current: Awaited<ReturnType<typeof listenForDeliveries>> | undefined
  let isStopping = false
  const loop = supervise('listen', logLines, async () => {
    if (isStopping) return 0
    current = await listenForDeliveries(pool, look)
    if (isStopping) current.stop()
    await current.broken
    return PROMOTE_INTERVAL_MS
  })
  return {
    wake: loop.wake,
    stop: () => {
      isStopping = true
      current?.stop()
      return loop.stop()
    },
  }
}
