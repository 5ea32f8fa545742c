import type { PostbackBatch, PostbackEndpoint } from '#routing'
import { FROM_THE_BEGINNING, type Claimed, type Reading, type ReadPosition } from '../queue/queue.ts'
import type { Receiver } from '../scheduler/scheduler.ts'

/** Read by one statement at most: rows, and endpoints. */
const ROWS_MAX = 512
const LINES_MAX = 64
/** So many endpoints, or one that has next to nothing left, are worth a statement at once; fewer wait for others for some milliseconds. */
const LINES_WORTH_READING = 32
/** Read ahead for one endpoint at least and at most. */
const AHEAD_MIN = 16
const AHEAD_MAX = 128
/** Characters of messages in memory at most; from here on nothing more is read ahead, and who cannot be sent to gives its place up. */
const CHARACTERS_MAX = 32_000_000
/** What a transaction commits may have become due so long before: read again after a notice, at each look, and at the long look. */
const AGAIN_SECONDS = { notice: 1, look: 10 } as const

export type Look = keyof typeof AGAIN_SECONDS | 'whole'

type Mutable<T> = { -readonly [Key in keyof T]: T[Key] }

export type KnownReceiver = Receiver & { readonly endpoint: PostbackEndpoint }

/** An endpoint that this worker owns, and what is read ahead for it. */
export type Line = Mutable<KnownReceiver> & {
  readonly shard: number
  /** Deliveries up to this one are marked before they are sent. */
  readonly suspectTo: number
  /** Read, not yet sent; `head` is the first of them. */
  waiting: Claimed[]
  head: number
  /** Of an endpoint with `batch`: when each of `waiting` was read, on performance.now(), and how many bytes there are. */
  readAt: number[]
  bytes: number
  /** Read and not on record, with the characters of each: a second reading of the same rows adds nothing. */
  readonly known: Map<number, number>
  /** Ended while a reading was under way, which may still have seen their rows. */
  readonly lately: Set<number>
  position: ReadPosition
  /** Why it is to be read; undefined: nothing new is expected. */
  wanted: Look | 'more' | undefined
  isReading: boolean
  /** No longer this worker's, or not to be sent to: what comes of a reading is thrown away. */
  isClosed: boolean
}

export const countOf = (line: Line): number => line.waiting.length - line.head

/** What is read ahead of the queue, endpoint by endpoint. It reads nothing itself. */
export class Backlog {
  readonly #lines = new Map<string, Line>()
  /** Lines that want to be read, who wanted first at the front. */
  readonly #needy = new Set<Line>()
  /** Those of them with nothing left to send, or little beside what they send in the meantime. */
  readonly #urgent = new Set<Line>()
  #characters = 0

  get lines(): Iterable<Line> {
    return this.#lines.values()
  }

  /** Something is to be read: at once, or when more has gathered. */
  get wants(): 'nothing' | 'soon' | 'now' {
    if (this.#needy.size === 0) return 'nothing'
    return this.#urgent.size > 0 || this.#needy.size >= LINES_WORTH_READING ? 'now' : 'soon'
  }

  get isFull(): boolean {
    return this.#characters >= CHARACTERS_MAX
  }

  lineOf(endpointId: string): Line | undefined {
    return this.#lines.get(endpointId)
  }

  /** Begins with an endpoint, or takes its changed configuration over. */
  open(receiver: KnownReceiver, shard: number, suspectTo: number): Line {
    const known = this.#lines.get(receiver.endpointId)
    if (known !== undefined) {
      return Object.assign(known, receiver)
    }
    const line: Line = {
      ...receiver, shard, suspectTo, waiting: [], head: 0, readAt: [], bytes: 0, known: new Map(), lately: new Set(), position: FROM_THE_BEGINNING,
      wanted: undefined, isReading: false, isClosed: false,
    } // prettier-ignore
    this.#lines.set(receiver.endpointId, line)
    this.want(line, 'whole')
    return line
  }

  /** Forgets what waits for an endpoint; its rows stay in the queue, and the next look reads them again. */
  shed(line: Line): void {
    for (const { deliveryId } of line.waiting.slice(line.head)) this.forget(line, deliveryId)
    line.waiting = []
    line.head = 0
    line.readAt = []
    line.bytes = 0
    line.position = FROM_THE_BEGINNING
    line.wanted = undefined
    this.#needy.delete(line)
    this.#urgent.delete(line)
  }

  /** Forgets an endpoint. */
  close(line: Line): void {
    line.isClosed = true
    this.shed(line)
    this.#lines.delete(line.endpointId)
  }

  /** Something may have become due. */
  want(line: Line, why: Look): void {
    // What comes behind is read anyway, and what came late is found by a look when there is no more.
    if (line.wanted === 'more' && why !== 'whole') return
    if (line.wanted !== 'whole') line.wanted = line.wanted === 'look' && why === 'notice' ? 'look' : why
    this.#need(line)
  }

  #need(line: Line): void {
    const count = countOf(line)
    const ahead = aheadOf(line)
    if (count > ahead / 2) return
    this.#needy.add(line)
    if (count === 0 || (ahead > AHEAD_MIN && count <= ahead / 4)) this.#urgent.add(line)
  }

  /** What to read next, and for whom; empty where nothing is wanted or no more fits into memory. */
  nextReadings(): { readonly lines: readonly Line[]; readonly readings: readonly Reading[] } {
    const lines: Line[] = []
    if (!this.isFull)
      for (const line of this.#needy) {
        if (line.isReading) continue
        lines.push(line)
        if (lines.length === LINES_MAX) break
      }
    const share = Math.max(1, Math.floor(ROWS_MAX / Math.max(1, lines.length)))
    return { lines, readings: lines.map((line) => this.#beginReading(line, share)) }
  }

  #beginReading(line: Line, share: number): Reading {
    this.#needy.delete(line)
    this.#urgent.delete(line)
    line.isReading = true
    const { wanted } = line
    line.wanted = undefined
    const count = Math.min(share, aheadOf(line))
    const { endpointId } = line
    if (wanted === 'more') return { endpointId, count, after: line.position, againSeconds: 0 }
    if (wanted === 'whole')
      return { endpointId, count: count + line.known.size, after: FROM_THE_BEGINNING, againSeconds: 0 }
    const againSeconds = AGAIN_SECONDS[wanted ?? 'look']
    return { endpointId, count: count + line.known.size, after: line.position, againSeconds }
  }

  /** Takes what was read.
   * @param underWay deliveries that are being tried: their rows go when their outcome is on record
   * @param admitted those of endpoints with an order whose turn it is
   * @returns the lines that have something to send
   */
  endReadings(
    lines: readonly Line[],
    readings: readonly Reading[],
    rows: readonly Claimed[],
    underWay: { readonly has: (deliveryId: number) => boolean },
    admitted: ReadonlySet<number>,
  ): readonly Line[] {
    const counts = new Map<string, number>()
    const filled = new Set<Line>()
    for (const delivery of rows) {
      counts.set(delivery.endpointId, (counts.get(delivery.endpointId) ?? 0) + 1)
      const line = this.#lines.get(delivery.endpointId)
      if (line === undefined || !line.isReading) continue
      const { deliveryId } = delivery
      const isNew = !line.known.has(deliveryId) && !line.lately.has(deliveryId) && !underWay.has(deliveryId)
      if (isNew && (line.endpoint.ordered !== true || admitted.has(deliveryId))) {
        this.#add(line, delivery)
        filled.add(line)
      }
      if (isBehind(line.position, delivery)) line.position = delivery
    }
    for (const [index, line] of lines.entries()) {
      line.isReading = false
      line.lately.clear()
      if (line.isClosed) continue
      const isMore = (counts.get(line.endpointId) ?? 0) >= readings[index]!.count
      if (isMore) line.wanted ??= 'more'
      if (line.wanted !== undefined) this.#need(line)
    }
    return [...filled]
  }

  /** A reading failed: it is wanted again. */
  failReadings(lines: readonly Line[]): void {
    for (const line of lines) {
      line.isReading = false
      line.lately.clear()
      if (!line.isClosed) this.want(line, 'whole')
    }
  }

  /** Takes the next delivery of a line to send it. */
  take(line: Line): Claimed {
    const delivery = line.waiting[line.head]!
    line.head += 1
    if (isForMany(line)) line.bytes -= bytesOf(delivery)
    if (line.head * 2 >= line.waiting.length) {
      line.waiting = line.waiting.slice(line.head)
      if (isForMany(line)) line.readAt = line.readAt.slice(line.head)
      line.head = 0
    }
    if (line.wanted !== undefined && !line.isReading) this.#need(line)
    return delivery
  }

  /** A delivery has its outcome on record, or will be tried by another. */
  forget(line: Line, deliveryId: number): void {
    this.#characters -= line.known.get(deliveryId) ?? 0
    line.known.delete(deliveryId)
    const current = line.isClosed ? this.#lines.get(line.endpointId) : line
    if (current?.isReading === true) current.lately.add(deliveryId)
  }

  #add(line: Line, delivery: Claimed): void {
    const characters = charactersOf(delivery)
    line.known.set(delivery.deliveryId, characters)
    line.waiting.push(delivery)
    if (isForMany(line)) {
      line.readAt.push(performance.now())
      line.bytes += bytesOf(delivery)
    }
    this.#characters += characters
  }
}

const charactersOf = ({ url, body }: Claimed): number => url.length + (body?.length ?? 0)

const bytesOf = ({ body }: Claimed): number => Buffer.byteLength(body ?? '')

/** Whether many messages go in one request. */
export const isForMany = ({ endpoint }: KnownReceiver): boolean => endpoint.batch !== undefined

/** How many requests the messages of such a line are enough for, at least one. */
export const requestsOf = (line: Line, { max_events, max_bytes }: PostbackBatch): number =>
  Math.max(1, Math.floor(countOf(line) / max_events), Math.floor(line.bytes / max_bytes))

/** When they may go: at once where they fill a request, else when the first has waited. On performance.now(). */
export const ripeAt = (line: Line, { max_events, max_bytes, max_wait_ms }: PostbackBatch): number =>
  countOf(line) >= max_events || line.bytes >= max_bytes
    ? Number.NEGATIVE_INFINITY
    : line.readAt[line.head]! + max_wait_ms

/** Twice what may be under way at once: while one half is sent the other is read. Of those that go together, two requests. */
const aheadOf = ({ concurrencyMax, endpoint: { batch } }: Line): number =>
  batch === undefined
    ? Math.min(AHEAD_MAX, Math.max(AHEAD_MIN, 2 * concurrencyMax))
    : Math.max(AHEAD_MIN, 2 * batch.max_events)

const isBehind = (position: ReadPosition, { runAtMicros, deliveryId }: Claimed): boolean =>
  position.runAtMicros < runAtMicros || (position.runAtMicros === runAtMicros && position.deliveryId < deliveryId)
