import type { Pool } from '#platform/postgres'
import { holdAhead, holdRead, releaseFree, type PausedSubjects } from '../queue/held.ts'
import type { Claimed } from '../queue/queue.ts'

export type HoldsOptions = {
  readonly pool: Pool
  readonly workerId: string
  /** Affiliates and advertisers that are paused by hand, as far as the gate knows. */
  readonly paused: () => PausedSubjects
  /** Something may be sent that might not before, and stands before what was read. */
  readonly onReleased: () => void
}

/** From so many rows on, all of them held, the next thousands are held without reading them. */
const ROWS_WORTH_LOOKING_AHEAD = 16

/** What one worker keeps back, because the affiliate or advertiser that it is about is paused. While none is it asks nothing.
 *
 * A pause holds from when the gate has heard of it. Its end holds from when everything that was held for it is due again: nothing
 * that came later is sent before.
 */
export class Holds {
  readonly #options: HoldsOptions
  #subjects: PausedSubjects
  /** Endpoints of which is known that a worker before left nothing to be released. */
  readonly #opened = new Set<string>()

  constructor(options: HoldsOptions) {
    this.#options = options
    this.#subjects = options.paused()
  }

  /** Whether anything is kept back. */
  get isHolding(): boolean {
    return this.#subjects.affiliate.size + this.#subjects.advertiser.size > 0
  }

  /** Takes over what the gate has heard. @returns whether more is paused than was */
  note(): boolean {
    const before = this.#subjects
    this.#subjects = union(before, this.#options.paused())
    return isMore(this.#subjects, before)
  }

  /** Releases what a worker before left of these endpoints, once.
   * @throws what the database throws
   */
  async open(endpointIds: readonly string[]): Promise<void> {
    const closed = endpointIds.filter((endpointId) => !this.#opened.has(endpointId))
    if (closed.length === 0) return
    await releaseFree(this.#options.pool, closed)
    for (const endpointId of closed) this.#opened.add(endpointId)
  }

  /** The endpoint is another worker's, or was configured anew. */
  close(endpointId: string): void {
    this.#opened.delete(endpointId)
  }

  /** Of what was read and is not under way: what may not be sent.
   * @param mayLookAhead of an endpoint
   * @param underWay deliveries that are being tried, at the moment of the call
   * @throws what the database throws
   */
  async keep(
    rows: readonly Claimed[],
    mayLookAhead: (endpointId: string) => boolean,
    underWay: () => readonly number[],
  ): Promise<ReadonlySet<number>> {
    if (rows.length === 0) return new Set()
    const { pool, workerId } = this.#options
    const kept = await holdRead(pool, workerId, this.#subjects, rows)
    const isAllKept = (own: readonly Claimed[]): boolean =>
      own.length >= ROWS_WORTH_LOOKING_AHEAD && own.every(({ deliveryId }) => kept.has(deliveryId))
    const ahead = [...Map.groupBy(rows, ({ endpointId }) => endpointId)]
      .filter(([endpointId, own]) => mayLookAhead(endpointId) && isAllKept(own))
      .map(([endpointId]) => endpointId)
    if (ahead.length > 0) await holdAhead(pool, workerId, this.#subjects, ahead, underWay())
    return kept
  }

  /** Ends what has ended.
   * @param endpointIds of this worker
   * @throws what the database throws; what is kept back stays so
   */
  async release(endpointIds: readonly string[]): Promise<void> {
    const { pool, paused, onReleased } = this.#options
    const known = paused()
    const released = await releaseFree(pool, endpointIds)
    const before = this.#subjects
    // What was paused meanwhile is not released by what was looked for before.
    this.#subjects = union(known, paused())
    if (released > 0 || isMore(before, this.#subjects)) onReleased()
  }
}

const union = (a: PausedSubjects, b: PausedSubjects): PausedSubjects => ({
  affiliate: a.affiliate.union(b.affiliate),
  advertiser: a.advertiser.union(b.advertiser),
})

const isMore = (a: PausedSubjects, b: PausedSubjects): boolean =>
  !a.affiliate.isSubsetOf(b.affiliate) || !a.advertiser.isSubsetOf(b.advertiser)
