import type { Pool } from '#platform/postgres'
import type { PostbackEndpoint, Snapshot } from '#routing'
import { claimDue, findWaitingEndpoints, retireRemoved, type Claimed, type Quota } from './queue.ts'
import type { Recorder } from './record-tries.ts'
import type { Gate } from './gate/gate.ts'
import { signOf } from './scheduler/sign-of.ts'
import type { Rate } from './scheduler/rate.ts'
import { Scheduler, type Receiver } from './scheduler/scheduler.ts'
import { judgeTry, sendDelivery, type Surroundings } from './send-delivery.ts'
import type { Sender } from './send-request.ts'

/** Pause of the claim loop when there is nothing to claim; a notice or a freed slot ends it early. */
export const IDLE_MS = 1_000
/** Rows retired by one statement. */
const RETIRE_MAX = 5_000
/** Deliveries under way to one host at most, so that many endpoints on a small server do not overrun it together. */
const PER_HOST_MAX = 128
/** Added to an endpoint's deadline for its lease: time to write the outcome down, also after a stall of some seconds. A lease
 * that ended before the attempt did would make a second sender start.
 */
export const LEASE_MARGIN_MS = 15_000

export type WorkerOptions = {
  readonly pool: Pool
  readonly workerId: string
  readonly snapshots: { readonly current: () => Snapshot | undefined }
  readonly sender: Sender
  readonly recorder: Recorder
  readonly surroundings: Surroundings
  readonly gate: Gate
  /** Deliveries under way at most. */
  readonly concurrencyMax: number
  /** Called when a slot was freed and something may wait for it. */
  readonly onFreed: () => void
}

/** Takes deliveries as slots allow and sees each through: send, judge, record. */
export class Worker {
  readonly #options: WorkerOptions
  readonly #scheduler: Scheduler
  /** Everything whose outcome is not on record; its size bounds memory while the database is away. */
  readonly #underWay = new Set<Promise<void>>()
  /** Endpoints known to have something due, those served last at the end. */
  readonly #waiting = new Set<string>()
  #mustLook = true

  constructor(options: WorkerOptions) {
    this.#options = options
    this.#scheduler = new Scheduler({ slots: options.concurrencyMax, perHostMax: PER_HOST_MAX })
  }

  /** The queue may hold more than is known here. */
  lookAgain(): void {
    this.#mustLook = true
  }

  /** One round of the claim loop.
   * @returns milliseconds until the next, unless something wakes it
   * @throws what the database throws; the round is then simply repeated
   */
  async claim(): Promise<number> {
    const snapshot = this.#options.snapshots.current()
    if (snapshot === undefined) return IDLE_MS
    if (this.#mustLook) await this.#look()
    const active = await this.#activeReceivers(snapshot)
    const { receivers, room, opensAt } = this.#admit(active)
    const plan = this.#scheduler.plan([...receivers.values()], performance.now())
    const shares = plan.shares.map((share) => ({
      ...share,
      count: Math.min(share.count, room.get(share.receiver.endpointId)!),
    }))
    const nextAt = earlier(plan.nextAt, opensAt)
    if (shares.length === 0) return this.#pauseUntil(nextAt)
    const quotas = shares.map(({ receiver, count }) => ({
      endpointId: receiver.endpointId,
      count,
      leaseMs: receiver.endpoint.timeout_ms + LEASE_MARGIN_MS,
    }))
    const claimed = await claimDue(this.#options.pool, quotas, this.#options.workerId)
    this.#rememberWhoWaits(quotas, claimed)
    for (const delivery of claimed) this.#start(delivery, receivers.get(delivery.endpointId)!)
    return claimed.length === 0 && !this.#mustLook ? this.#pauseUntil(nextAt) : 0
  }

  /** Those of the waiting that the gate lets through, and how much for each. */
  #admit(active: ReadonlyMap<string, KnownReceiver>): Admitted {
    const receivers = new Map<string, KnownReceiver>()
    const room = new Map<string, number>()
    let opensAt: number | undefined
    for (const [endpointId, receiver] of active) {
      const admission = this.#options.gate.admit(receiver.endpoint)
      if (admission.kind === 'open') {
        receivers.set(endpointId, receiver)
        room.set(endpointId, admission.countMax)
      } else if (admission.untilMs !== undefined)
        opensAt = earlier(opensAt, performance.now() + admission.untilMs - this.#options.surroundings.nowMs())
    }
    return { receivers, room, opensAt }
  }

  #pauseUntil(nextAt: number | undefined): number {
    return nextAt === undefined ? IDLE_MS : Math.min(IDLE_MS, Math.max(1, nextAt - performance.now()))
  }

  /** Resolves when everything under way is on record. */
  async drain(): Promise<void> {
    await Promise.all(this.#underWay)
  }

  async #look(): Promise<void> {
    // Cleared first: a notice that comes during the query asks for another one.
    this.#mustLook = false
    try {
      for (const endpointId of await findWaitingEndpoints(this.#options.pool)) this.#waiting.add(endpointId)
    } catch (error) {
      this.#mustLook = true
      throw error
    }
  }

  /** The waiting endpoints that are active. Deliveries to removed ones are ended; paused ones keep theirs. */
  async #activeReceivers(snapshot: Snapshot): Promise<ReadonlyMap<string, KnownReceiver>> {
    const byId = receiversOf(snapshot)
    const removed = [...this.#waiting].filter((endpointId) => !byId.has(endpointId))
    if (removed.length > 0) {
      await retireRemoved(this.#options.pool, removed, snapshot.version, RETIRE_MAX)
      for (const endpointId of removed) this.#waiting.delete(endpointId)
      this.#scheduler.keepOnly((endpointId) => byId.has(endpointId))
    }
    const active = new Map<string, KnownReceiver>()
    for (const endpointId of this.#waiting) {
      const receiver = byId.get(endpointId)!
      if (receiver.endpoint.status === 'active') active.set(endpointId, receiver)
    }
    return active
  }

  /** Who got its whole quota may have more, and moves to the end of the row; who got less has no more. */
  #rememberWhoWaits(quotas: readonly Quota[], claimed: readonly Claimed[]): void {
    const counts = new Map<string, number>()
    for (const { endpointId } of claimed) counts.set(endpointId, (counts.get(endpointId) ?? 0) + 1)
    for (const { endpointId, count } of quotas) {
      this.#waiting.delete(endpointId)
      if (counts.get(endpointId) === count) this.#waiting.add(endpointId)
    }
  }

  #start(delivery: Claimed, receiver: KnownReceiver): void {
    const work = this.#deliver(delivery, receiver).finally(() => {
      this.#underWay.delete(work)
      this.#scheduler.release()
      if (this.#waiting.size > 0) this.#options.onFreed()
    })
    this.#underWay.add(work)
  }

  async #deliver(delivery: Claimed, receiver: KnownReceiver): Promise<void> {
    const { sender, recorder, surroundings, gate } = this.#options
    const { endpoint } = receiver
    const asksReceiver = this.#scheduler.start(receiver, performance.now()).isProbe
    const isProbe = gate.start(endpoint).isProbe || asksReceiver
    const exchange = await sendDelivery(sender, delivery, endpoint, surroundings)
    // The endpoint's slot is free as soon as it answered; the worker's slot only when the outcome is on record.
    const ending = { sign: signOf(exchange), tookMs: exchange.totalMs }
    this.#scheduler.end(receiver, ending, performance.now(), surroundings.random)
    if (this.#waiting.has(endpoint.endpoint_id)) this.#options.onFreed()
    await recorder.record(judgeTry(delivery, endpoint, exchange, surroundings, isProbe))
  }
}

type Admitted = {
  readonly receivers: ReadonlyMap<string, KnownReceiver>
  readonly room: ReadonlyMap<string, number>
  /** On performance.now(). */
  readonly opensAt: number | undefined
}

const earlier = (one: number | undefined, other: number | undefined): number | undefined =>
  one === undefined || (other !== undefined && other < one) ? other : one

type KnownReceiver = Receiver & { readonly endpoint: PostbackEndpoint }

const receiversOfSnapshot = new WeakMap<Snapshot, ReadonlyMap<string, KnownReceiver>>()

function receiversOf(snapshot: Snapshot): ReadonlyMap<string, KnownReceiver> {
  const known = receiversOfSnapshot.get(snapshot)
  if (known !== undefined) return known
  const byId = new Map(snapshot.endpoints.map((endpoint) => [endpoint.endpoint_id, receiverOf(endpoint)]))
  receiversOfSnapshot.set(snapshot, byId)
  return byId
}

/** Host and port stand in the URL as it is written: no macro may choose them. */
const receiverOf = (endpoint: PostbackEndpoint): KnownReceiver => ({
  endpointId: endpoint.endpoint_id,
  host: /^[a-z]+:\/\/([^/?#]*)/i.exec(endpoint.url)?.[1]?.toLowerCase() ?? endpoint.endpoint_id,
  concurrencyMax: endpoint.max_concurrency,
  rate: rateOf(endpoint),
  endpoint,
})

/** Evenly over the minute: those of a second come at once at most. */
const rateOf = ({ max_per_minute }: PostbackEndpoint): Rate | undefined =>
  max_per_minute === undefined
    ? undefined
    : { perSecond: max_per_minute / 60, burst: Math.max(1, Math.ceil(max_per_minute / 60)) }
