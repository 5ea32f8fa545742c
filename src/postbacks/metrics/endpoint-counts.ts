import type { Completion } from '../queue/queue.ts'
import { emptyLatencyCounts, latencyStep } from './latency-counts.ts'

/** What is counted of a try. */
export type CountedTry = Pick<Completion, 'outcome' | 'totalMs' | 'error'>

/** Tries of one endpoint. */
export type TryCounts = {
  delivered: number
  retry: number
  gave_up: number
  readonly latencies: number[]
}

export const emptyTryCounts = (): TryCounts => ({
  delivered: 0,
  retry: 0,
  gave_up: 0,
  latencies: emptyLatencyCounts(),
})

/** Counts one try; a try that was not made, since its address may not be requested, has no latency. */
export function countTry(counts: TryCounts, { outcome, totalMs, error }: CountedTry): void {
  counts[outcome] += 1
  if (error !== 'destination_refused') counts.latencies[latencyStep(totalMs)]! += 1
}

/** Adds the counts of a part to those of the whole. */
export function addCounts(whole: TryCounts, part: TryCounts): void {
  whole.delivered += part.delivered
  whole.retry += part.retry
  whole.gave_up += part.gave_up
  for (const [step, count] of part.latencies.entries()) whole.latencies[step]! += count
}

/** The series of several counters, each of a part of the endpoints. */
export function joinSeries(parts: readonly ReadonlyMap<string, TryCounts>[]): ReadonlyMap<string, TryCounts> {
  const joined = new Map<string, TryCounts>()
  for (const [endpointId, counts] of parts.flatMap((part) => [...part])) {
    if (!joined.has(endpointId)) joined.set(endpointId, emptyTryCounts())
    addCounts(joined.get(endpointId)!, counts)
  }
  return joined
}

export const triesOf = ({ delivered, retry, gave_up }: TryCounts): number => delivered + retry + gave_up

/** Endpoints with series of their own in /metrics; all others together are `other`. */
export const SERIES_MAX = 200
/** Endpoints whose activity is watched, so that one of them may get a series. */
const WATCHED_MAX = 10_000
export const OTHER = 'other'

/** Tries by endpoint for as many endpoints as there are series, and all others together.
 *
 * The most active ones have series of their own. Where another one was more than twice as active between two calls of review(),
 * it takes the place of the least active; what comes of that one afterwards counts under `other`. So every count only grows,
 * or begins again at 0, as Prometheus expects.
 */
export class EndpointCounts {
  readonly #seriesMax: number
  readonly #series = new Map<string, TryCounts>([[OTHER, emptyTryCounts()]])
  readonly #recent = new Map<string, number>()

  constructor(seriesMax = SERIES_MAX) {
    this.#seriesMax = seriesMax
  }

  count(completion: CountedTry & { readonly claimed: { readonly endpointId: string } }): void {
    const { endpointId } = completion.claimed
    countTry(this.#countsFor(endpointId), completion)
    const recent = this.#recent.get(endpointId)
    if (recent !== undefined || this.#recent.size < WATCHED_MAX) this.#recent.set(endpointId, (recent ?? 0) + 1)
  }

  /** Gives series to those that became more active. To be called about once a minute. */
  review(): void {
    const recentOf = (endpointId: string): number => this.#recent.get(endpointId) ?? 0
    const without = [...this.#recent.keys()].filter((endpointId) => !this.#series.has(endpointId))
    const waiting = without.toSorted((a, b) => recentOf(b) - recentOf(a)).slice(0, this.#seriesMax)
    const idle = [...this.#series.keys()].filter((endpointId) => endpointId !== OTHER)
    idle.sort((a, b) => recentOf(a) - recentOf(b))
    for (const [index, endpointId] of waiting.entries()) {
      const leaving = idle[index]
      if (leaving === undefined || recentOf(endpointId) <= 2 * recentOf(leaving)) break
      this.#series.delete(leaving)
      this.#series.set(endpointId, emptyTryCounts())
    }
    this.#recent.clear()
  }

  /** By endpoint, `other` among them. */
  get series(): ReadonlyMap<string, TryCounts> {
    return this.#series
  }

  #countsFor(endpointId: string): TryCounts {
    const known = this.#series.get(endpointId)
    // An endpoint may be called like the series of all others.
    if (known !== undefined && endpointId !== OTHER) return known
    if (this.#series.size > this.#seriesMax || endpointId === OTHER) return this.#series.get(OTHER)!
    const fresh = emptyTryCounts()
    this.#series.set(endpointId, fresh)
    return fresh
  }
}
