import type { Pool } from '#platform/postgres'
import type { LogLines } from '#platform/log-lines'
import {
  buryDeadWorkers,
  enterWorker,
  giveShards,
  leave,
  renewLease,
  setAsideMarked,
  SHARDS,
  takeShards,
} from '../queue/ownership.ts'
import type { Worker } from './worker.ts'

/** Without a renewal for so long a worker is taken for dead. */
export const LEASE_MS = 6_000
/** Workers that die with a delivery in a row, after the one whose death made it suspect. */
export const CRASHES_MAX = 4

export type MembershipOptions = {
  readonly pool: Pool
  readonly workerId: string
  readonly worker: Worker
  readonly leaseMs: number
  readonly logLines: LogLines
}

/** A worker among the others: it stays on record, takes its part of the shards, and gives some back where more workers came. */
export class Membership {
  readonly #options: MembershipOptions
  #isEntered = false

  constructor(options: MembershipOptions) {
    this.#options = options
  }

  /** Counts among the workers from now on, and owns nothing yet. */
  async enter(): Promise<void> {
    if (this.#isEntered) return
    const { pool, workerId, leaseMs } = this.#options
    await enterWorker(pool, workerId, leaseMs)
    this.#isEntered = true
  }

  /** One round.
   * @returns false: others have taken this worker for dead, and it may decide nothing any more
   * @throws what the database throws
   */
  async keep(): Promise<boolean> {
    const { pool, workerId, leaseMs } = this.#options
    await this.enter()
    const workers = await renewLease(pool, workerId, leaseMs)
    if (workers === undefined) return false
    await this.#bury()
    await this.#balance(workers)
    return true
  }

  async leave(): Promise<void> {
    await leave(this.#options.pool, this.#options.workerId)
  }

  async #bury(): Promise<void> {
    const { pool, leaseMs, logLines } = this.#options
    const dead = await buryDeadWorkers(pool, leaseMs)
    if (dead > 0) logLines.warn({ workers: dead }, 'endpoints taken over from workers that are gone')
    const { quarantined, unknown } = await setAsideMarked(pool, CRASHES_MAX)
    if (quarantined + unknown > 0) logLines.warn({ quarantined, unknown }, 'deliveries set aside after a crash')
  }

  async #balance(workers: number): Promise<void> {
    const { pool, workerId, worker } = this.#options
    const left = worker.leftShards
    if (left.length > 0) {
      await giveShards(pool, workerId, left)
      worker.forgetLeft(left)
    }
    const part = Math.ceil(SHARDS / workers)
    const owned = worker.shards.toSorted((a, b) => a - b)
    if (owned.length > part) return worker.disown(owned.slice(part))
    if (owned.length < part) worker.own(await takeShards(pool, workerId, part - owned.length))
  }
}
