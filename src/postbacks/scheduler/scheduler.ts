import { allowedBy, closedBreaker, noteSign, noteSilence, noteStart, type Breaker, type Sign } from './breaker.ts'
import { fullBucket, take, tokensAt, waitForToken, type Bucket, type Rate } from './rate.ts'

/** What a scheduler needs to know of an endpoint. */
export type Receiver = {
  readonly endpointId: string
  /** Host and port that it is on. */
  readonly host: string
  readonly concurrencyMax: number
  /** Undefined: as fast as it answers. */
  readonly rate: Rate | undefined
}

export type SchedulerOptions = {
  /** Deliveries under way at most, in all. */
  readonly slots: number
  /** Deliveries under way to one host at most, whatever the endpoints on it may have. */
  readonly perHostMax: number
}

export type Plan<R extends Receiver> = {
  readonly shares: readonly { readonly receiver: R; readonly count: number }[]
  /** Those that can take nothing now, however many slots are free: a breaker, a rate or their own limit stands in the way. */
  readonly blocked: readonly R[]
  /** When another look is worth it although nothing happens; undefined: only then. */
  readonly nextAt: number | undefined
}

/** How a try ended. */
export type Ending = {
  /** Undefined: it says nothing of the receiver. */
  readonly sign: Sign | undefined
  /** Undefined: it was not made. */
  readonly tookMs: number | undefined
}

/** Of all slots one endpoint holds this part at most, and all the slow ones together. */
const SHARE_MAX = 1 / 4
/** From here on, as an average of the last tries, an endpoint is slow. */
const SLOW_MS = 2_000
/** How much the last try counts in that average. */
const LAST_TRY = 0.2

type Standing = {
  breaker: Breaker
  bucket: Bucket | undefined
  running: number
  averageMs: number
}

/** Decides who is sent to next: a function of what it was told, in which order and at which times, and of the randomness given to it.
 * It reads no clock and does nothing itself, so that the same events always give the same decisions.
 *
 * Fair by turns: each endpoint that waits gets an equal share of the free slots first, within its rate, its own concurrency, that of
 * its host and what its breaker allows; what is left goes to those that can take more. Slow endpoints share a quarter of the
 * slots, so that they never hold the others up.
 */
export class Scheduler {
  readonly #options: SchedulerOptions
  readonly #standings = new Map<string, Standing>()
  readonly #runningOnHost = new Map<string, number>()
  #occupied = 0
  #slow = 0

  constructor(options: SchedulerOptions) {
    this.#options = options
  }

  /** How many more may be under way. */
  get free(): number {
    return this.#options.slots - this.#occupied
  }

  /** How many more may be under way to a host, as far as it alone is concerned. */
  roomOn(host: string): number {
    return this.#options.perHostMax - (this.#runningOnHost.get(host) ?? 0)
  }

  breakerOf(endpointId: string): Breaker | undefined {
    return this.#standings.get(endpointId)?.breaker
  }

  /** When each receiver that is left alone is asked again; where that is happening now, since when it may be. */
  get probes(): ReadonlyMap<string, number> {
    const probes = new Map<string, number>()
    for (const [endpointId, { breaker }] of this.#standings) {
      if (breaker.kind === 'open') probes.set(endpointId, breaker.probeAt)
      if (breaker.kind === 'probing') probes.set(endpointId, 0)
    }
    return probes
  }

  /** Whom to send how much.
   * @param waiting those that have something due, who waited longest first
   * @param countOf how much that is; without it as much as they can take
   */
  plan<R extends Receiver>(
    waiting: readonly R[],
    now: number,
    countOf: (receiver: R) => number = () => Infinity,
  ): Plan<R> {
    const room = this.#room()
    const limits = waiting.map((receiver) => this.#limitOf(receiver, now))
    const counts = new Array<number>(waiting.length).fill(0)
    const ready = limits.filter((limit) => limit > 0).length
    const share = Math.max(1, Math.floor(room.free / Math.max(1, ready)))
    for (const most of [share, Number.POSITIVE_INFINITY]) {
      if (room.free === 0) break
      waiting.forEach((receiver, index) => {
        const wanted = Math.min(limits[index]!, countOf(receiver)) - counts[index]!
        counts[index]! += this.#give(receiver, Math.min(most, wanted), room)
      })
    }
    const shares: { readonly receiver: R; readonly count: number }[] = []
    waiting.forEach((receiver, index) => {
      if (counts[index]! > 0) shares.push({ receiver, count: counts[index]! })
    })
    const blocked = waiting.filter((_, index) => limits[index] === 0)
    return { shares, blocked, nextAt: this.#earliest(blocked, now) }
  }

  /** A delivery was taken and is on its way.
   * @returns whether it asks if the receiver is back
   */
  start({ endpointId, host, rate }: Receiver, now: number): { readonly isProbe: boolean } {
    const standing = this.#standingOf(endpointId, now)
    if (isSlow(standing)) this.#slow += 1
    standing.running += 1
    standing.breaker = noteStart(standing.breaker, now)
    if (rate !== undefined) standing.bucket = take(standing.bucket ?? fullBucket(rate, now), rate, now, 1)
    this.#runningOnHost.set(host, (this.#runningOnHost.get(host) ?? 0) + 1)
    this.#occupied += 1
    return { isProbe: standing.breaker.kind === 'probing' }
  }

  /** The receiver has answered, or never will: another delivery may go there.
   * @param random uniform in [0, 1)
   */
  end(
    { endpointId, host }: Pick<Receiver, 'endpointId' | 'host'>,
    { sign, tookMs }: Ending,
    now: number,
    random: () => number,
  ): void {
    const standing = this.#standingOf(endpointId, now)
    const wasSlow = isSlow(standing)
    standing.running -= 1
    if (tookMs !== undefined) standing.averageMs += (tookMs - standing.averageMs) * LAST_TRY
    const isSlowNow = isSlow(standing)
    this.#slow += (isSlowNow ? standing.running : 0) - (wasSlow ? standing.running + 1 : 0)
    standing.breaker =
      sign === undefined ? noteSilence(standing.breaker) : noteSign(standing.breaker, sign, now, random)
    this.#occupied -= 1
    const onHost = this.#runningOnHost.get(host)! - 1
    if (onHost === 0) this.#runningOnHost.delete(host)
    else this.#runningOnHost.set(host, onHost)
  }

  /** Forgets endpoints that are no longer configured and have nothing under way. */
  keepOnly(isKnown: (endpointId: string) => boolean): void {
    for (const [endpointId, { running }] of this.#standings)
      if (running === 0 && !isKnown(endpointId)) this.#standings.delete(endpointId)
  }

  #room(): Room {
    return {
      free: this.free,
      slow: Math.max(1, Math.floor(this.#options.slots * SHARE_MAX)) - this.#slow,
      givenToHosts: new Map(),
    }
  }

  #limitOf({ endpointId, concurrencyMax, rate }: Receiver, now: number): number {
    const { running, breaker, bucket } = this.#standings.get(endpointId) ?? newStanding(now)
    const most = Math.min(concurrencyMax, Math.max(1, Math.floor(this.#options.slots * SHARE_MAX)))
    const tokens = rate === undefined ? most : Math.floor(tokensAt(bucket ?? fullBucket(rate, now), rate, now))
    return Math.max(0, Math.min(allowedBy(breaker, now, most) - running, tokens))
  }

  #give({ endpointId, host }: Receiver, wanted: number, room: Room): number {
    const given = room.givenToHosts.get(host) ?? 0
    const onHost = given + (this.#runningOnHost.get(host) ?? 0)
    const standing = this.#standings.get(endpointId)
    const slow = standing !== undefined && isSlow(standing)
    const most = Math.min(wanted, room.free, this.#options.perHostMax - onHost, slow ? room.slow : wanted)
    const count = Math.max(0, most)
    room.free -= count
    if (slow) room.slow -= count
    if (count > 0) room.givenToHosts.set(host, given + count)
    return count
  }

  /** When time alone lets one of them have something; what waits for a slot is told when one is free. */
  #earliest(blocked: readonly Receiver[], now: number): number | undefined {
    let first: number | undefined
    for (const { endpointId, rate } of blocked) {
      const standing = this.#standings.get(endpointId)
      if (standing === undefined) continue
      const { breaker, bucket } = standing
      const tokenAt = rate === undefined || bucket === undefined ? now : now + waitForToken(bucket, rate, now)
      const at = breaker.kind === 'open' ? Math.max(breaker.probeAt, tokenAt) : tokenAt
      if (at > now) first = Math.min(first ?? at, at)
    }
    return first
  }

  #standingOf(endpointId: string, now: number): Standing {
    const known = this.#standings.get(endpointId)
    if (known !== undefined) return known
    const made = newStanding(now)
    this.#standings.set(endpointId, made)
    return made
  }
}

type Room = { free: number; slow: number; readonly givenToHosts: Map<string, number> }

const newStanding = (now: number): Standing => ({
  breaker: closedBreaker(now),
  bucket: undefined,
  running: 0,
  averageMs: 0,
})

const isSlow = ({ averageMs }: Standing): boolean => averageMs > SLOW_MS
