import type { Pool } from '#platform/postgres'
import type { PostbackEndpoint, Snapshot } from '#routing'
import { planClaim, type Slots } from './plan-claim.ts'
import { claimDue, findWaitingEndpoints, retireRemoved, type Claimed, type Quota } from './queue.ts'
import type { Recorder } from './record-tries.ts'
import { judgeTry, sendDelivery, type Surroundings } from './send-delivery.ts'
import type { Sender } from './send-request.ts'

/** Pause of the claim loop when there is nothing to claim; a notice or a freed slot ends it early. */
export const IDLE_MS = 1_000
/** Rows retired by one statement. */
const RETIRE_MAX = 5_000

export type WorkerOptions = {
  readonly pool: Pool
  readonly workerId: string
  readonly snapshots: { readonly current: () => Snapshot | undefined }
  readonly sender: Sender
  readonly recorder: Recorder
  readonly surroundings: Surroundings
  /** Deliveries under way at most. */
  readonly concurrencyMax: number
  /** Called when a slot was freed and something may wait for it. */
  readonly onFreed: () => void
}

/** Takes deliveries as slots allow and sees each through: send, judge, record. */
export class Worker {
  readonly #options: WorkerOptions
  /** Requests that were sent and not answered, by endpoint. */
  readonly #running = new Map<string, number>()
  /** Everything whose outcome is not on record; its size bounds memory while the database is away. */
  readonly #underWay = new Set<Promise<void>>()
  /** Endpoints known to have something due, those served last at the end. */
  readonly #waiting = new Set<string>()
  #mustLook = true

  constructor(options: WorkerOptions) {
    this.#options = options
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
    const endpoints = await this.#activeEndpoints(snapshot)
    const quotas = planClaim([...endpoints.values()], this.#slots())
    if (quotas.length === 0) return IDLE_MS
    const claimed = await claimDue(this.#options.pool, quotas, this.#options.workerId)
    this.#rememberWhoWaits(quotas, claimed)
    for (const delivery of claimed) this.#start(delivery, endpoints.get(delivery.endpointId)!)
    return claimed.length === 0 && !this.#mustLook ? IDLE_MS : 0
  }

  /** Resolves when everything under way is on record. */
  async drain(): Promise<void> {
    await Promise.all(this.#underWay)
  }

  #slots(): Slots {
    const { concurrencyMax } = this.#options
    return {
      free: concurrencyMax - this.#underWay.size,
      perEndpointMax: Math.max(1, Math.floor(concurrencyMax / 4)),
      running: (endpointId) => this.#running.get(endpointId) ?? 0,
    }
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
  async #activeEndpoints(snapshot: Snapshot): Promise<ReadonlyMap<string, PostbackEndpoint>> {
    const byId = endpointsById(snapshot)
    const removed = [...this.#waiting].filter((endpointId) => !byId.has(endpointId))
    if (removed.length > 0) {
      await retireRemoved(this.#options.pool, removed, snapshot.version, RETIRE_MAX)
      for (const endpointId of removed) this.#waiting.delete(endpointId)
    }
    const waiting = [...this.#waiting].map((endpointId) => byId.get(endpointId)!)
    return new Map(
      waiting.filter(({ status }) => status === 'active').map((endpoint) => [endpoint.endpoint_id, endpoint]),
    )
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

  #start(delivery: Claimed, endpoint: PostbackEndpoint): void {
    const work = this.#deliver(delivery, endpoint).finally(() => {
      this.#underWay.delete(work)
      if (this.#waiting.size > 0) this.#options.onFreed()
    })
    this.#underWay.add(work)
  }

  async #deliver(delivery: Claimed, endpoint: PostbackEndpoint): Promise<void> {
    const { sender, recorder, surroundings } = this.#options
    this.#countRunning(endpoint.endpoint_id, 1)
    const exchange = await sendDelivery(sender, delivery, endpoint, surroundings)
    // The endpoint's slot is free as soon as it answered; the worker's slot only when the outcome is on record.
    this.#countRunning(endpoint.endpoint_id, -1)
    if (this.#waiting.has(endpoint.endpoint_id)) this.#options.onFreed()
    await recorder.record(judgeTry(delivery, endpoint, exchange, surroundings))
  }

  #countRunning(endpointId: string, change: 1 | -1): void {
    const count = (this.#running.get(endpointId) ?? 0) + change
    if (count === 0) this.#running.delete(endpointId)
    else this.#running.set(endpointId, count)
  }
}

const endpointsOfSnapshot = new WeakMap<Snapshot, ReadonlyMap<string, PostbackEndpoint>>()

function endpointsById(snapshot: Snapshot): ReadonlyMap<string, PostbackEndpoint> {
  const known = endpointsOfSnapshot.get(snapshot)
  if (known !== undefined) return known
  const byId = new Map(snapshot.endpoints.map((endpoint) => [endpoint.endpoint_id, endpoint]))
  endpointsOfSnapshot.set(snapshot, byId)
  return byId
}
