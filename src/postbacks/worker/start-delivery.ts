import { randomUUID } from 'node:crypto'
import type { Clock } from '#platform/clock'
import type { LogLines } from '#platform/log-lines'
import type { Pool } from '#platform/postgres'
import { createDatabaseClock, type DatabaseClock } from './database-clock.ts'
import { BreakerNotes } from './breaker-notes.ts'
import { createDeliveryCounters, type AttemptCounts } from '../metrics/delivery-metrics.ts'
import type { Workload } from '../metrics/delivery-series.ts'
import { openGate, type Gate } from '../gate/gate.ts'
import { expireOld, findWaitingEndpoints, promoteDue, retireRemoved } from '../queue/housekeeping.ts'
import { LEASE_MS, Membership } from './membership.ts'
import { listenForNotices } from '../queue/notices.ts'
import { shardOf } from '../queue/ownership.ts'
import { parseProxy } from '../sending/proxy-tunnel.ts'
import type { Completion } from '../queue/queue.ts'
import { createRecorder } from './record-tries.ts'
import { createHostResolver, type ResolveHost } from '../sending/resolve-host.ts'
import { createSender, type Sender } from '../sending/send-request.ts'
import { supervise, type Loop } from '../supervise.ts'
import { PER_HOST_MAX, Worker, type Configured } from './worker.ts'

/** Deferred deliveries become due this late at most. */
const PROMOTE_INTERVAL_MS = 250
const EXPIRE_INTERVAL_MS = 300_000
/** What was found to have expired is ended this late at most: the tables are read whole for it. */
const EXPIRE_FOUND_MS = 5_000
/** How often PostgreSQL is asked for the time: its clock may be set too. */
const CLOCK_INTERVAL_MS = 30_000
/** Endpoints are looked at even without a notice, which can be lost with its connection: a part of them each second. */
const LOOK_INTERVAL_MS = 1_000
const LOOK_PARTS = 5
/** From the very beginning, for what a transaction committed later than any look goes back. */
const WHOLE_LOOK_INTERVAL_MS = 60_000
/** Open breakers are written down for people this late at most. */
const BREAKERS_INTERVAL_MS = 1_000
/** Pause of the read loop where nothing is wanted; a notice ends it early. */
const IDLE_MS = 1_000
/** Endpoints that have something left to send wait so long for others to be read with. */
const READ_GATHER_MS = 20
/** What is held and not paused any more is found this late at most, where the end of its pause was not heard of. */
const HELD_INTERVAL_MS = 60_000
/** Rows moved by one housekeeping statement. */
const MOVE_MAX = 5_000
/** Under way in one process by default: bounds sockets and memory. */
export const CONCURRENCY_MAX = 512
const DRAIN_MS = 10_000

export type DeliveryOptions = {
  readonly pool: Pool
  /** The current configuration: which endpoints are active, their secrets and limits. Nothing is sent while there is none. */
  readonly snapshots: { readonly current: () => Configured | undefined }
  /** The time until PostgreSQL was asked for its own, which is then the only one. */
  readonly clock: Clock
  readonly logLines: LogLines
  /** Uniform in [0, 1), for the jitter; default Math.random. */
  readonly random?: () => number
  /** Default: DNS, remembered for a minute at most. */
  readonly resolveHost?: ResolveHost
  /** Through which postbacks go that do not say otherwise; default none. */
  readonly proxy?: URL | undefined
  /** Deliveries under way in this process, integer ≥ 1, default 512. One endpoint holds a quarter of them at most. */
  readonly concurrencyMax?: number
  /** Deliveries under way in this worker to one host and port, integer ≥ 1, default 64. */
  readonly perHostMax?: number
  /** How long stop() waits for answers before it breaks them off; default 10 000. */
  readonly drainMs?: number
  /** Without a sign of life for so long a worker is taken for dead and its endpoints go to others; default 6 000. */
  readonly leaseMs?: number
  /** False only in the fault run, which must turn red: then a worker that lost its lease decides all the same. */
  readonly isLeaseFenced?: boolean
  /** Awaited when this worker counts among the others, before it takes its part of the endpoints. */
  readonly afterEntering?: () => Promise<void>
  /** How often the health of endpoints is written down; default 2 000. */
  readonly healthIntervalMs?: number
  /** Called after each commit of outcomes. */
  readonly onRecorded?: (completions: readonly Completion[], lateCount: number) => void
}

export type Delivery = {
  /** Stops claiming, lets what is under way finish, writes the outcomes down. */
  readonly stop: () => Promise<void>
  /** The configuration is another: it is taken over now, and not at the next look. */
  readonly reconfigure: () => void
  /** Tries since the start. */
  readonly attempts: () => AttemptCounts
  /** What this process has to do at this moment, for /metrics. */
  readonly workload: () => Workload
}

/** Starts to deliver what is queued: reads ahead fairly by endpoint, signs, sends, records one row per try, puts off or gives up.
 *
 * At least once, with the same `webhook-id` in every try, in no order; an endpoint may ask for at most once, and for order per click.
 * Several workers may run at once: each endpoint is served by one of them. While PostgreSQL is away nothing is read, what is under
 * way finishes, and outcomes wait in memory; it never exits.
 */
export function startDelivery(options: DeliveryOptions): Delivery {
  const delivering = new Delivering(options)
  const { attempts, workload } = delivering
  return { attempts, workload, reconfigure: () => delivering.reconfigure(), stop: () => delivering.stop() }
}

/** A worker and its place among the others. Where it was taken for dead another life begins. */
type Life = {
  readonly worker: Worker
  readonly membership: Membership
  readonly breakers: BreakerNotes
  readonly abandon: () => void
}

class Delivering {
  readonly #options: DeliveryOptions
  readonly #sender: Sender
  readonly #clock: DatabaseClock
  readonly #gate: Gate
  readonly #counters = createDeliveryCounters()
  readonly #loops: readonly Loop[]
  readonly #reading: Loop
  readonly #releasing: Loop
  readonly #looking: Loop
  readonly #expiring: Loop
  /** The last one is at work; those before were taken for dead and end what they have under way, without effect. */
  readonly #lives: Life[] = []
  #gathering: NodeJS.Timeout | undefined
  #expireTimer: NodeJS.Timeout | undefined
  #part = 0
  #hasEntered = false
  #wholeLookAt = 0
  #lookedAt: { readonly snapshot: Configured | undefined; readonly shards: number } = { snapshot: undefined, shards: 0 }

  constructor(options: DeliveryOptions) {
    this.#options = options
    this.#clock = createDatabaseClock(options.pool, options.clock)
    this.#sender = createSender({
      resolveHost: options.resolveHost ?? createHostResolver(),
      proxy: options.proxy && parseProxy(options.proxy),
    })
    const { pool, logLines, healthIntervalMs } = options
    this.#gate = openGate({
      ...{ pool, logLines, nowMs: this.#clock.now, onChange: () => this.#reconsider() },
      ...(healthIntervalMs !== undefined && { healthIntervalMs }),
    })
    this.#lives.push(this.#beginLife())
    const leaseMs = options.leaseMs ?? LEASE_MS
    this.#reading = supervise('read', logLines, () => this.#read())
    this.#releasing = supervise('held', logLines, async () => {
      await this.#life.worker.releaseHeld()
      return HELD_INTERVAL_MS
    })
    this.#looking = supervise('look', logLines, () => this.#look())
    this.#expiring = supervise('expire', logLines, () => this.#expire())
    this.#loops = [
      this.#reading,
      this.#releasing,
      supervise('clock', logLines, async () => {
        await this.#clock.synchronize()
        return CLOCK_INTERVAL_MS
      }),
      supervise('membership', logLines, async () => {
        await this.#keepMembership()
        return leaseMs / 4
      }),
      supervise('promote', logLines, async () => {
        const moved = await promoteDue(pool, MOVE_MAX)
        return moved >= MOVE_MAX ? 0 : PROMOTE_INTERVAL_MS
      }),
      this.#expiring,
      supervise('breakers', logLines, async () => {
        await this.#life.breakers.write(this.#life.worker.probes)
        return BREAKERS_INTERVAL_MS
      }),
      this.#looking,
      listenForNotices({
        ...{ name: 'listen', pool, logLines },
        onNotice: (endpointIds) => this.#life.worker.look(endpointIds, 'notice'),
      }),
    ]
  }

  reconfigure(): void {
    this.#looking.wake()
  }

  readonly attempts = (): AttemptCounts => this.#counters.attempts()

  readonly workload = (): Workload => {
    const { shards, underWay } = this.#life.worker
    return { shards: shards.length, underWay: underWay.length }
  }

  /** What cannot be written down in time is another worker's when the lease ends. */
  async stop(): Promise<void> {
    await Promise.all(this.#loops.map((loop) => loop.stop()))
    const drainMs = this.#options.drainMs ?? DRAIN_MS
    const interrupting = setTimeout(this.#sender.interrupt, drainMs)
    const abandoning = setTimeout(() => this.#lives.forEach((life) => life.abandon()), drainMs * 1.5)
    await Promise.all(this.#lives.map((life) => life.worker.drain()))
    clearTimeout(interrupting)
    clearTimeout(abandoning)
    clearTimeout(this.#expireTimer)
    await this.#gate.stop()
    await this.#sender.close()
    await this.#life.membership.leave().catch((error: unknown) => {
      this.#options.logLines.warn({ error }, 'others take over only when the lease of this worker has run out')
    })
  }

  get #life(): Life {
    return this.#lives.at(-1)!
  }

  #beginLife(): Life {
    const { pool, logLines, random, concurrencyMax, perHostMax } = this.#options
    const workerId = randomUUID()
    const recorder = createRecorder({
      pool,
      workerId,
      logLines,
      isFenced: this.#options.isLeaseFenced ?? true,
      onRecorded: (completions, lateCount) => {
        this.#counters.count(completions, lateCount)
        this.#gate.noteEnds(completions)
        this.#options.onRecorded?.(completions, lateCount)
      },
      onSettled: (completions) => worker.settle(completions),
    })
    const worker = new Worker({
      pool,
      workerId,
      sender: this.#sender,
      recorder,
      surroundings: { nowMs: this.#clock.now, random: random ?? Math.random },
      gate: this.#gate,
      logLines,
      concurrencyMax: concurrencyMax ?? CONCURRENCY_MAX,
      perHostMax: perHostMax ?? PER_HOST_MAX,
      onWanted: (when) => this.#readSoon(when),
      onExpired: () => this.#expireSoon(),
    })
    const leaseMs = this.#options.leaseMs ?? LEASE_MS
    const membership = new Membership({ pool, workerId, worker, leaseMs, logLines })
    const breakers = new BreakerNotes({ pool, workerId })
    return { worker, membership, breakers, abandon: recorder.abandon }
  }

  #reconsider(): void {
    this.#life.worker.reconsider()
    this.#releasing.wake()
  }

  /** Once: whoever comes later finds the others at work. */
  async #entering(): Promise<void> {
    if (this.#hasEntered) return
    await this.#life.membership.enter()
    await this.#options.afterEntering?.()
    this.#hasEntered = true
  }

  async #keepMembership(): Promise<void> {
    await this.#entering()
    if (await this.#life.membership.keep()) return
    this.#options.logLines.warn({}, 'this worker was taken for dead: what it has under way decides nothing')
    const { worker } = this.#life
    this.#lives.push(this.#beginLife())
    void worker.drain().then(() =>
      this.#lives.splice(
        this.#lives.findIndex((life) => life.worker === worker),
        1,
      ),
    )
    await this.#life.membership.keep()
  }

  async #read(): Promise<number> {
    if (!this.#clock.isSet()) await this.#clock.synchronize()
    const { worker } = this.#life
    const snapshot = this.#options.snapshots.current()
    if (snapshot !== undefined) worker.configure(snapshot)
    const wants = await worker.read()
    return wants === 'now' ? 0 : wants === 'soon' ? READ_GATHER_MS : IDLE_MS
  }

  #readSoon(when: 'soon' | 'now'): void {
    if (when === 'now') return this.#reading.wake()
    if (this.#gathering !== undefined) return
    this.#gathering = setTimeout(() => {
      this.#gathering = undefined
      this.#reading.wake()
    }, READ_GATHER_MS)
  }

  #expireSoon(): void {
    this.#expireTimer ??= setTimeout(() => {
      this.#expireTimer = undefined
      this.#expiring.wake()
    }, EXPIRE_FOUND_MS)
  }

  /** Also takes a new configuration over, and ends what waits for endpoints that it no longer has. */
  async #look(): Promise<number> {
    const { worker } = this.#life
    const snapshot = this.#options.snapshots.current()
    if (snapshot === undefined) return LOOK_INTERVAL_MS
    worker.configure(snapshot)
    const shards = worker.shards.length
    const isNew = snapshot !== this.#lookedAt.snapshot || shards !== this.#lookedAt.shards
    const isWhole = isNew || performance.now() >= this.#wholeLookAt
    this.#lookedAt = { snapshot, shards }
    const { endpointIds } = worker
    this.#part = (this.#part + 1) % LOOK_PARTS
    const part = endpointIds.filter((_, index) => index % LOOK_PARTS === this.#part)
    worker.look(isWhole ? endpointIds : part, isWhole ? 'whole' : 'look')
    if (isWhole) {
      this.#wholeLookAt = performance.now() + WHOLE_LOOK_INTERVAL_MS
      await this.#retire(snapshot)
      await worker.sweepOrder()
    }
    return LOOK_INTERVAL_MS
  }

  async #retire(snapshot: Configured): Promise<void> {
    const { pool } = this.#options
    const shards = new Set(this.#life.worker.shards)
    const known = new Set(snapshot.endpoints.map((endpoint) => endpoint.endpoint_id))
    const waiting = await findWaitingEndpoints(pool)
    const removed = waiting.filter((endpointId) => !known.has(endpointId) && shards.has(shardOf(endpointId)))
    if (removed.length > 0) await retireRemoved(pool, removed, snapshot.version, MOVE_MAX)
  }

  async #expire(): Promise<number> {
    const { pool, snapshots, logLines } = this.#options
    const { shards, underWay } = this.#life.worker
    const own = new Set(shards)
    const endpoints = (snapshots.current()?.endpoints ?? []).filter((one) => own.has(shardOf(one.endpoint_id)))
    const expired = await expireOld(pool, endpoints, MOVE_MAX, underWay)
    if (expired > 0) logLines.warn({ expired }, 'deliveries given up, since they could not be delivered in time')
    return expired >= MOVE_MAX ? 0 : EXPIRE_INTERVAL_MS
  }
}
