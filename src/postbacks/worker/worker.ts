import type { LogLines } from '#platform/log-lines'
import type { Pool } from '#platform/postgres'
import type { PostbackEndpoint, Snapshot } from '#routing'
import type { Gate } from '../gate/gate.ts'
import { Backlog, countOf, isForMany, requestsOf, ripeAt, type KnownReceiver, type Line, type Look } from './backlog.ts'
import { countForRequest, isPart, putTogether } from './batches.ts'
import { Holds } from './holds.ts'
import { markUnderWay, shardOf, SHARDS } from '../queue/ownership.ts'
import { readDue, type Claimed, type Completion } from '../queue/queue.ts'
import type { Recorder } from './record-tries.ts'
import { endsTurn, needsMark } from '../scheduler/promises.ts'
import type { Rate } from '../scheduler/rate.ts'
import { RunQueue } from '../scheduler/run-queue.ts'
import { Scheduler, type Ending } from '../scheduler/scheduler.ts'
import { signOf } from '../scheduler/sign-of.ts'
import { judgeTogether, judgeTry, sendDelivery, type Surroundings } from '../sending/send-delivery.ts'
import type { Sender } from '../sending/send-request.ts'
import { Turns } from './turns.ts'

/** Deliveries under way to one host at most by default, so that many endpoints on a small server do not overrun it together. */
export const PER_HOST_MAX = 64
/** Endpoints that the scheduler is asked about at once. */
const CANDIDATES_MAX = 256
/** Who could not be sent to is asked about again after this long, whatever happens. */
const ASIDE_MS_MAX = 1_000
/** From here on an answer may have freed a place among the slow endpoints. */
const SLOW_MS = 1_000

/** What a worker needs of a configuration. */
export type Configured = Pick<Snapshot, 'version' | 'endpoints'>

export type WorkerOptions = {
  readonly pool: Pool
  readonly workerId: string
  readonly sender: Sender
  readonly recorder: Recorder
  readonly surroundings: Surroundings
  readonly gate: Pick<Gate, 'admit' | 'start' | 'paused'>
  readonly logLines: LogLines
  /** Deliveries under way at most. */
  readonly concurrencyMax: number
  /** Of them to one host. */
  readonly perHostMax: number
  /** Called when something is to be read. */
  readonly onWanted: (when: 'soon' | 'now') => void
  /** Called when something was found that may not be sent any more because it has expired: somebody is to end it. */
  readonly onExpired: () => void
}

/** A delivery that was given to the sender. */
type Started = {
  readonly line: Line
  /** As they were then: the configuration may change meanwhile. */
  readonly host: string
  readonly endpoint: PostbackEndpoint
  readonly delivery: Claimed
  /** Those that go in the same request; undefined: it has one of its own. */
  readonly others: readonly Claimed[] | undefined
  readonly isProbe: boolean
  readonly isMarked: boolean
}

/** Sends what its endpoints have due: reads ahead, sends as the scheduler allows, judges, records. It decides nothing about which
 * endpoints are its own.
 */
export class Worker {
  readonly #options: WorkerOptions
  readonly #scheduler: Scheduler
  readonly #backlog = new Backlog()
  readonly #turns: Turns
  readonly #holds: Holds
  /** Lines that are being read and must be read anew, because what is paused has changed meanwhile. */
  readonly #stale = new Set<Line>()
  /** Lines with something to send. */
  readonly #queue = new RunQueue<Line>((host) => this.#scheduler.roomOn(host))
  /** Lines with something to send that were not given anything: the gate, a breaker, a rate or a limit of their own stands in the way. */
  readonly #aside = new Set<Line>()
  /** How much the gate lets through to those that it limits, as it said last. */
  readonly #room = new WeakMap<Line, number>()
  /** When the gate opens for the first of those that it stopped, on performance.now(). */
  #opensAt = Number.POSITIVE_INFINITY
  readonly #suspectTo = new Map<number, number>()
  /** Sent and not on record. */
  readonly #unsettled = new Map<number, Line>()
  /** They may be marked for this worker and were not sent. */
  readonly #unsureMarks = new Set<number>()
  /** How much is under way of each shard. */
  readonly #heldShards = new Int32Array(SHARDS)
  readonly #leaving = new Set<number>()
  #snapshot: Configured | undefined
  #isSendingSoon = false
  #isStopping = false
  #tries = 0
  #onDrained: (() => void) | undefined
  #timer: NodeJS.Timeout | undefined
  /** When the timer asks about those that were set aside, on performance.now(). */
  #retryAt = Number.POSITIVE_INFINITY

  constructor(options: WorkerOptions) {
    this.#options = options
    this.#scheduler = new Scheduler({ slots: options.concurrencyMax, perHostMax: options.perHostMax })
    const { pool, workerId, logLines, gate } = options
    this.#holds = new Holds({ pool, workerId, paused: gate.paused, onReleased: () => this.#readAnew() })
    this.#turns = new Turns({ pool, workerId, logLines, onReleased: (ids) => this.look(ids, 'notice') })
  }

  get shards(): readonly number[] {
    return [...this.#suspectTo.keys()]
  }

  /** Shards that it was told to leave and that have nothing under way any more. */
  get leftShards(): readonly number[] {
    return [...this.#leaving].filter((shard) => this.#heldShards[shard] === 0)
  }

  /** Deliveries whose try has begun and is not on record. */
  get underWay(): readonly number[] {
    return [...this.#unsettled.keys()]
  }

  /** Receivers that are left alone, and when each is asked again, on performance.now(). */
  get probes(): ReadonlyMap<string, number> {
    return this.#scheduler.probes
  }

  /** Endpoints that it sends to. */
  get endpointIds(): readonly string[] {
    return [...this.#backlog.lines].map((line) => line.endpointId)
  }

  own(shards: readonly { readonly shard: number; readonly suspectTo: number }[]): void {
    for (const { shard, suspectTo } of shards) this.#suspectTo.set(shard, suspectTo)
    this.#openLines()
  }

  /** Nothing more of these is sent; what is under way ends. */
  disown(shards: readonly number[]): void {
    for (const shard of shards) {
      this.#suspectTo.delete(shard)
      this.#leaving.add(shard)
    }
    this.#openLines()
  }

  forgetLeft(shards: readonly number[]): void {
    for (const shard of shards) this.#leaving.delete(shard)
  }

  configure(snapshot: Configured): void {
    if (this.#snapshot === snapshot) return
    this.#snapshot = snapshot
    this.#openLines()
    this.#scheduler.keepOnly((endpointId) => receiversOf(snapshot).has(endpointId))
  }

  /** These endpoints, or any, may have something new. */
  look(endpointIds: readonly string[] | undefined, why: Look): void {
    for (const endpointId of endpointIds ?? this.endpointIds) {
      const line = this.#backlog.lineOf(endpointId)
      if (line !== undefined) this.#backlog.want(line, why)
    }
    this.#askToRead()
  }

  /** The gate was opened or closed. */
  reconsider(): void {
    if (this.#holds.note()) this.#readAnew()
    this.#enlistAside()
  }

  /** What was held because of a pause that has ended is due again.
   * @throws what the database throws
   */
  async releaseHeld(): Promise<void> {
    await this.#holds.release(this.endpointIds)
  }

  /** What is read ahead may be about somebody who was paused, or come after what was released. */
  #readAnew(): void {
    for (const line of this.#backlog.lines) {
      this.#backlog.shed(line)
      this.#backlog.want(line, 'whole')
      if (line.isReading) this.#stale.add(line)
    }
    this.#askToRead()
  }

  #endStale(lines: readonly Line[]): void {
    for (const line of lines) {
      if (!this.#stale.delete(line) || line.isClosed) continue
      this.#backlog.shed(line)
      this.#backlog.want(line, 'whole')
    }
  }

  #askToRead(): void {
    const { wants } = this.#backlog
    if (wants !== 'nothing') this.#options.onWanted(wants)
  }

  /** Reads ahead once.
   * @returns whether more is to be read
   * @throws what the database throws; the same is then read again
   */
  async read(): Promise<Backlog['wants']> {
    if (this.#backlog.isFull) this.#shedAside()
    const { lines, readings } = this.#backlog.nextReadings()
    if (lines.length === 0) return 'nothing'
    // A shard is given back only when nothing of this worker can park or hold a message of it any more.
    const { isHolding } = this.#holds
    const held = lines.filter((line) => isHolding || isOrdered(line)).map((line) => line.shard)
    for (const shard of held) this.#hold(shard, 1)
    try {
      await this.#holds.open(lines.map((line) => line.endpointId))
      const rows = await readDue(this.#options.pool, readings)
      const admitted = await this.#admitToOrder(lines, rows)
      const kept = isHolding ? await this.#keepBack(rows, admitted) : NONE
      const notFree =
        kept.size === 0 ? this.#unsettled : { has: (id: number) => kept.has(id) || this.#unsettled.has(id) }
      for (const line of this.#backlog.endReadings(lines, readings, rows, notFree, admitted)) this.#enlist(line)
    } catch (error) {
      this.#backlog.failReadings(lines)
      throw error
    } finally {
      this.#endStale(lines)
      for (const shard of held) this.#hold(shard, -1)
    }
    this.#sendSoon()
    return this.#backlog.wants
  }

  /** What waits for those that cannot be sent to must not keep the others' messages out of memory. */
  #shedAside(): void {
    const now = performance.now()
    for (const line of this.#aside) {
      if (line.isReading || isGathering(line, now)) continue
      this.#backlog.shed(line)
      this.#aside.delete(line)
    }
  }

  /** Of what was read for endpoints with an order: those whose turn it is. */
  async #admitToOrder(lines: readonly Line[], rows: readonly Claimed[]): Promise<ReadonlySet<number>> {
    const ordered = new Map(lines.filter(isOrdered).map((line) => [line.endpointId, line]))
    if (ordered.size === 0) return NONE
    this.#turns.advance()
    await this.#turns.open([...ordered.keys()])
    const isKnown = ({ endpointId, deliveryId }: Claimed): boolean =>
      ordered.get(endpointId)?.known.has(deliveryId) ?? true
    const unknown = rows.filter((row) => !isKnown(row))
    if (unknown.length === 0) return NONE
    const fresh = unknown.filter(({ deliveryId }) => !this.#unsettled.has(deliveryId))
    const underWay = unknown.filter(({ deliveryId }) => this.#unsettled.has(deliveryId))
    return this.#turns.admit(fresh, underWay)
  }

  /** Of what was read: what is about somebody who is paused. What is parked behind an earlier message of its click stays there. */
  async #keepBack(rows: readonly Claimed[], admitted: ReadonlySet<number>): Promise<ReadonlySet<number>> {
    const fresh = rows.filter(({ endpointId, deliveryId }) => {
      const line = this.#backlog.lineOf(endpointId)
      if (line === undefined || line.known.has(deliveryId) || this.#unsettled.has(deliveryId)) return false
      return !isOrdered(line) || admitted.has(deliveryId)
    })
    const isUnordered = (endpointId: string): boolean => this.#backlog.lineOf(endpointId)?.endpoint.ordered !== true
    return this.#holds.keep(fresh, isUnordered, () => this.underWay)
  }

  /** Finds messages whose turn came without this worker's doing: the one before expired, or the endpoint needs no order any more. */
  async sweepOrder(): Promise<void> {
    const byId = this.#snapshot === undefined ? undefined : receiversOf(this.#snapshot)
    await this.#turns.sweep((endpointId) => {
      const receiver = this.#suspectTo.has(shardOf(endpointId)) ? byId?.get(endpointId) : undefined
      return receiver && isOrdered(receiver)
    })
  }

  /** The outcomes are on record, or another worker will try. */
  settle(completions: readonly Completion[]): void {
    const ended: Completion['claimed'][] = []
    for (const { claimed, outcome } of completions) {
      const line = this.#settleOne(claimed.deliveryId)
      if (line !== undefined && endsTurn(outcome) && this.#isInOrder(line)) ended.push(claimed)
    }
    if (ended.length > 0) this.#turns.end(ended)
    this.#sendSoon()
    this.#noteDrained()
  }

  /** Also where it was not when the try began. */
  #isInOrder(line: Line): boolean {
    return isOrdered(line) || this.#turns.isOpen(line.endpointId)
  }

  /** Sends nothing more. Resolves when everything under way is on record. */
  async drain(): Promise<void> {
    this.#isStopping = true
    clearTimeout(this.#timer)
    if (this.#unsettled.size > 0) await new Promise<void>((resolve) => (this.#onDrained = resolve))
    await this.#turns.idle()
  }

  #noteDrained(): void {
    if (this.#unsettled.size === 0) this.#onDrained?.()
  }

  #openLines(): void {
    if (this.#snapshot === undefined) return
    const byId = receiversOf(this.#snapshot)
    for (const line of [...this.#backlog.lines]) {
      const receiver = byId.get(line.endpointId)
      if (receiver === undefined || !this.#mayServe(receiver) || isOtherKind(line, receiver)) this.#close(line)
    }
    for (const receiver of byId.values()) {
      if (!this.#mayServe(receiver)) continue
      const hostBefore = this.#backlog.lineOf(receiver.endpointId)?.host
      const shard = shardOf(receiver.endpointId)
      const line = this.#backlog.open(receiver, shard, this.#suspectTo.get(shard)!)
      if (hostBefore === undefined || hostBefore === receiver.host) continue
      this.#queue.delete(line)
      if (countOf(line) > 0) this.#enlist(line)
    }
    this.#sendSoon()
    this.#askToRead()
  }

  #mayServe({ endpoint }: KnownReceiver): boolean {
    return endpoint.status === 'active' && this.#suspectTo.has(shardOf(endpoint.endpoint_id))
  }

  #close(line: Line): void {
    this.#backlog.close(line)
    this.#turns.close(line.endpointId)
    this.#holds.close(line.endpointId)
    this.#queue.delete(line)
    this.#aside.delete(line)
  }

  #enlist(line: Line): void {
    this.#aside.delete(line)
    this.#queue.add(line, line.host)
  }

  /** After everything else that happens in this turn: what ended together makes room together. */
  #sendSoon(): void {
    if (this.#isSendingSoon || this.#isStopping) return
    this.#isSendingSoon = true
    setImmediate(() => this.#send())
  }

  #send(): void {
    this.#isSendingSoon = false
    const asked = new Set<Line>()
    this.#opensAt = Number.POSITIVE_INFINITY
    let nextAt: number | undefined
    while (!this.#isStopping && this.#scheduler.free > 0 && !this.#options.recorder.isFull()) {
      const candidates = this.#nextCandidates(asked)
      if (candidates.length === 0) break
      const plan = this.#scheduler.plan(candidates, performance.now(), this.#countOf)
      const marking: Started[] = []
      for (const { receiver, count } of plan.shares) this.#startSome(receiver, count, marking)
      if (marking.length > 0) void this.#markAndTry(marking)
      for (const line of plan.blocked) this.#setAside(line)
      if (plan.nextAt !== undefined) nextAt = Math.min(nextAt ?? Infinity, plan.nextAt)
    }
    if (this.#aside.size > 0) this.#retryAside(Math.min(nextAt ?? Infinity, this.#opensAt))
    this.#askToRead()
  }

  /** As many as there is room for. */
  #nextCandidates(asked: Set<Line>): readonly Line[] {
    const candidates: Line[] = []
    const most = Math.min(CANDIDATES_MAX, this.#scheduler.free)
    this.#queue.begin()
    while (candidates.length < most) {
      const line = this.#queue.first()
      if (line === undefined || asked.has(line)) break
      asked.add(line)
      if (countOf(line) > 0 && this.#isRipe(line) && this.#isAdmitted(line)) {
        this.#queue.choose(line)
        candidates.push(line)
      } else this.#queue.delete(line)
    }
    return candidates
  }

  /** Whether a request of many is full, or its first message has waited; if not it is set aside until then. */
  #isRipe(line: Line): boolean {
    const { batch } = line.endpoint
    if (batch === undefined) return true
    const at = ripeAt(line, batch)
    if (at <= performance.now()) return true
    this.#aside.add(line)
    this.#opensAt = Math.min(this.#opensAt, at)
    return false
  }

  /** Asks the gate; whom it stops is set aside. */
  #isAdmitted(line: Line): boolean {
    const admission = this.#options.gate.admit(line.endpoint)
    if (admission.kind === 'open') {
      this.#room.set(line, admission.countMax)
      return true
    }
    this.#aside.add(line)
    const waitMs = (admission.untilMs ?? Infinity) - this.#options.surroundings.nowMs()
    this.#opensAt = Math.min(this.#opensAt, performance.now() + waitMs)
    return false
  }

  readonly #countOf = (line: Line): number => {
    const { batch } = line.endpoint
    const room = this.#room.get(line) ?? Infinity
    return Math.min(batch === undefined ? countOf(line) : requestsOf(line, batch), room)
  }

  #setAside(line: Line): void {
    this.#queue.delete(line)
    this.#aside.add(line)
  }

  /** What others do in the meantime must not put it off.
   * @param nextAt on performance.now()
   */
  #retryAside(nextAt: number): void {
    const now = performance.now()
    const at = Math.min(now + ASIDE_MS_MAX, Math.max(now + 1, nextAt))
    if (this.#isStopping || at >= this.#retryAt) return
    this.#retryAt = at
    clearTimeout(this.#timer)
    this.#timer = setTimeout(() => this.#enlistAside(), at - now)
  }

  #enlistAside(): void {
    clearTimeout(this.#timer)
    this.#retryAt = Number.POSITIVE_INFINITY
    for (const line of this.#aside) this.#enlist(line)
    this.#sendSoon()
  }

  #startSome(line: Line, count: number, marking: Started[]): void {
    const { batch } = line.endpoint
    let room = this.#room.get(line) ?? Infinity
    for (let left = Math.min(count, countOf(line)); left > 0 && room > 0 && countOf(line) > 0; left -= 1) {
      const messages = batch === undefined ? 1 : countForRequest(line.waiting, line.head, room, batch)
      this.#start(line, messages, marking)
      room -= messages
    }
  }

  #start(line: Line, messages: number, marking: Started[]): void {
    const inTime = this.#takeInTime(line, messages)
    const delivery = inTime[0]
    if (delivery === undefined) return
    const others = isForMany(line) && isPart(delivery) ? inTime.slice(1) : undefined
    const asksReceiver = this.#scheduler.start(line, performance.now()).isProbe
    const isProbe = this.#options.gate.start(line.endpoint, inTime.length).isProbe || asksReceiver
    const isMarked = inTime.some(({ deliveryId }) => needsMark(line.endpoint, deliveryId, line.suspectTo))
    const started = { line, host: line.host, endpoint: line.endpoint, delivery, others, isProbe, isMarked }
    if (isMarked) marking.push(started)
    else void this.#try(started)
  }

  /** What expired while it waited is not sent: its row is left to those who end what has expired. */
  #takeInTime(line: Line, count: number): readonly Claimed[] {
    const madeSinceMs = this.#options.surroundings.nowMs() - line.endpoint.expires_hours * 3_600_000
    const inTime: Claimed[] = []
    for (let left = count; left > 0; left -= 1) {
      const delivery = this.#take(line)
      if (delivery.createdAt.getTime() > madeSinceMs) inTime.push(delivery)
      else this.#settleOne(delivery.deliveryId)
    }
    if (inTime.length === count) return inTime
    this.#options.onExpired()
    this.#sendSoon()
    return inTime
  }

  #take(line: Line): Claimed {
    const delivery = this.#backlog.take(line)
    this.#unsettled.set(delivery.deliveryId, line)
    this.#hold(line.shard, 1)
    return delivery
  }

  async #markAndTry(started: readonly Started[]): Promise<void> {
    const { pool, workerId, logLines } = this.#options
    const marks = started.flatMap((one) =>
      messagesOf(one).map((delivery) => ({
        ...delivery,
        isOnce: one.endpoint.at_most_once === true,
        isRepeat: this.#unsureMarks.delete(delivery.deliveryId),
      })),
    )
    const marked = await markUnderWay(pool, workerId, marks).catch((error: unknown) => {
      logLines.warn({ error }, 'deliveries wait, because they cannot be marked')
      return undefined
    })
    for (const one of started) {
      const [first, ...others] = marked === undefined ? [] : messagesToTry(messagesOf(one), marked)
      if (first === undefined) this.#end(one, { sign: undefined, tookMs: undefined })
      else void this.#try({ ...one, delivery: first, others: one.others && others })
      this.#putBack(one, new Set([first, ...others]), marked)
    }
  }

  /** What is not sent after all is read again: at once, or, where another worker's mark stands in the way, at one of the next looks.
   * @param marked undefined: the database was away
   */
  #putBack(started: Started, tried: ReadonlySet<Claimed | undefined>, marked: ReadonlyMap<number, number> | undefined) {
    const left = messagesOf(started).filter((delivery) => !tried.has(delivery))
    if (left.length === 0) return
    for (const { deliveryId } of left) {
      this.#settleOne(deliveryId)
      if (marked === undefined || marked.has(deliveryId)) this.#unsureMarks.add(deliveryId)
    }
    this.#noteDrained()
    const isAgain = left.some(({ deliveryId }) => this.#unsureMarks.has(deliveryId))
    if (isAgain && !started.line.isClosed) this.#backlog.want(started.line, 'whole')
  }

  async #try(started: Started): Promise<void> {
    const { sender, recorder, surroundings } = this.#options
    const { delivery, others, endpoint, isProbe, isMarked } = started
    const message = others === undefined ? delivery : putTogether([delivery, ...others], endpoint)
    const exchange = await sendDelivery(sender, message, endpoint, surroundings)
    this.#end(started, { sign: signOf(exchange), tookMs: exchange.totalMs })
    if (others === undefined) {
      const tryNo = this.#nextTryNo()
      recorder.record([judgeTry({ delivery, endpoint, exchange, surroundings, isProbe, isMarked, tryNo })])
      return
    }
    const batch = { id: message.eventId, size: 1 + others.length }
    const seen = { endpoint, exchange, surroundings, isProbe, isMarked, batch }
    recorder.record(judgeTogether([delivery, ...others], seen, this.#nextTryNo))
  }

  readonly #nextTryNo = (): number => (this.#tries += 1)

  #end({ line, host }: Started, ending: Ending): void {
    this.#scheduler.end(
      { endpointId: line.endpointId, host },
      ending,
      performance.now(),
      this.#options.surroundings.random,
    )
    this.#queue.freed(host)
    if (this.#aside.has(line)) this.#enlist(line)
    if ((ending.tookMs ?? 0) > SLOW_MS && this.#aside.size > 0) this.#enlistAside()
    else this.#sendSoon()
  }

  #hold(shard: number, by: 1 | -1): void {
    this.#heldShards[shard]! += by
  }

  /** @returns the line that it was sent for; undefined: it was none of this worker's */
  #settleOne(deliveryId: number): Line | undefined {
    const line = this.#unsettled.get(deliveryId)
    if (line === undefined) return undefined
    this.#unsettled.delete(deliveryId)
    this.#backlog.forget(line, deliveryId)
    this.#hold(line.shard, -1)
    return line
  }
}

const messagesOf = ({ delivery, others = [] }: Started): readonly Claimed[] => [delivery, ...others]

/** Of messages that would go together those that may: one that a worker died with goes alone, so that it takes no others along. */
function messagesToTry(messages: readonly Claimed[], marked: ReadonlyMap<number, number>): readonly Claimed[] {
  const allowed = messages.filter(({ deliveryId }) => marked.has(deliveryId))
  const innocent = allowed.filter(({ deliveryId }) => marked.get(deliveryId) === 0)
  return innocent.length > 0 ? innocent : allowed.slice(0, 1)
}

const NONE: ReadonlySet<number> = new Set()

/** Waits for more of the same request: read anew its wait would begin again, and with too little memory never end. */
const isGathering = (line: Line, now: number): boolean =>
  line.endpoint.batch !== undefined && countOf(line) > 0 && ripeAt(line, line.endpoint.batch) > now

const isOrdered = ({ endpoint }: KnownReceiver): boolean => endpoint.ordered === true

/** What is read ahead for the one is no use to the other. */
const isOtherKind = (a: KnownReceiver, b: KnownReceiver): boolean =>
  isOrdered(a) !== isOrdered(b) || isForMany(a) !== isForMany(b)

const receiversOfSnapshot = new WeakMap<Configured, ReadonlyMap<string, KnownReceiver>>()

function receiversOf(snapshot: Configured): ReadonlyMap<string, KnownReceiver> {
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
