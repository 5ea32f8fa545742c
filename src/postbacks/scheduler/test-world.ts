import { decideOutcome, type AttemptResult } from '../sending/decide-outcome.ts'
import type { Sign } from './breaker.ts'
import { endsTurn, mustNotRepeat, needsMark, type Promised } from './promises.ts'
import { Scheduler, type Receiver } from './scheduler.ts'
import { MarkTable } from './test-mark-table.ts'
import { OrderTable } from './test-order-table.ts'

/** A world of workers, receivers and a queue in memory, in which time and chance come from a seed alone: the same seed always gives the
 * same run. Workers die and stand still at any moment, receivers fail in turns; whatever happens, the laws of delivery hold, or
 * the run throws with what was broken.
 */
export type WorldReport = Readonly<Record<Sight, number>>

/** What a run may show. A law that was never put to the test proves nothing. */
export const sights = [
  'breaker_opened', 'probe_failed', 'breaker_closed', 'slow_start', 'rate_waited', 'slow_endpoint', 'host_full',
  'worker_died', 'taken_over', 'fence_rejected', 'marked', 'retries_exhausted', 'expired', 'quarantined', 'delivered_twice', 'delivered',
  'turn_waited', 'turn_handed_on', 'turn_after_give_up', 'turn_after_crash', 'turn_after_expiry',
  'once_unanswered', 'once_refused_and_repeated', 'once_unsent_and_repeated', 'once_in_doubt_after_crash', 'once_mark_respected',
] as const // prettier-ignore
type Sight = (typeof sights)[number]

const LADDER_ATTEMPTS = 6
const CRASHES_MAX = 4
const LEASE_MS = 6_000
const TIMEOUT_MS = 10_000
const EXPIRES_MS = 120 * 3_600_000
const SLOTS = 16
const PER_HOST_MAX = 5
/** Faults end here; what is left must then find its end. */
const FAULTS_END_MS = 3_600_000
const WORLD_ENDS_MS = 10 * 86_400_000
/** Owners look for turns that came without their doing. */
const SWEEP_MS = 60_000
/** Longer than the world takes to find a dead worker, to give its endpoints away and to look for turns. */
const TURN_LATE_MS_MAX = 1_200_000

type Behaviour = 'answers' | 'fails' | 'times_out' | 'slow' | 'unreachable'
type Endpoint = Receiver & {
  readonly promised: Promised
  readonly order: OrderTable<Row>
  readonly rows: Row[]
  /** Who cleared up what the owner before left of the order. */
  openedBy: WorkerState | undefined
  behaviour: Behaviour
  owner: WorkerState | undefined
  /** Deliveries up to this one are marked before they are sent. */
  suspectTo: number
  readonly starts: number[]
  readonly successes: Map<number, number>
}

/** One row of the queue. It is in exactly one place at any time. */
type Row = {
  readonly id: number
  readonly endpoint: Endpoint
  readonly clickId: number
  readonly createdAt: number
  /** Whoever touches it dies. */
  readonly isPoison: boolean
  place: 'ready' | 'deferred' | 'final'
  runAt: number
  attempts: number
  probes: number
  finals: string[]
  endedAt: number
  /** The receiver may have taken it, and nothing on record says that it did not. */
  isInDoubt: boolean
  readonly logged: { readonly attemptNo: number; readonly isFenced: boolean; readonly isRefused: boolean }[]
}

type WorkerState = {
  readonly scheduler: Scheduler
  readonly running: Map<string, number>
  /** What it has taken and not recorded. */
  readonly underWay: Set<Row>
  isAlive: boolean
  /** Others took it for dead: whatever it still records decides nothing. */
  isBuried: boolean
  leaseUntil: number
  stalledUntil: number
  /** When it looks at the queue next. */
  claimsAt: number
}

type Happening = { readonly at: number; readonly order: number; readonly happen: () => void }

export function runWorld(seed: number, { isFenced = true } = {}): WorldReport {
  const world = new World(seed, isFenced)
  world.run()
  return world.report
}

class World {
  readonly report = Object.fromEntries(sights.map((name) => [name, 0])) as Record<Sight, number>
  readonly #random: () => number
  /** False: a worker that lost its lease decides all the same, and the laws must notice. */
  readonly #isFenced: boolean
  readonly #happenings: Happening[] = []
  readonly #endpoints: Endpoint[]
  readonly #rows: Row[] = []
  readonly #workers: WorkerState[] = []
  readonly #marks = new MarkTable<Row, WorkerState>()
  #now = 0
  #order = 0

  constructor(seed: number, isFenced: boolean) {
    this.#random = randomOf(seed)
    this.#isFenced = isFenced
    this.#endpoints = Array.from({ length: 1 + this.#pick(4) }, (_, index) => this.#newEndpoint(index))
    for (let count = 0; count < 1 + this.#pick(2); count += 1) this.#startWorker()
    const rows = 4 + this.#pick(28)
    for (let id = 0; id < rows; id += 1) this.#at(this.#pick(4) * 600_000 + this.#pick(2_000), () => this.#enqueue())
    for (let count = 0; count < 2 + this.#pick(6); count += 1)
      this.#at(this.#pick(FAULTS_END_MS), () => this.#changeBehaviour())
    for (let count = 0; count < this.#pick(5); count += 1) this.#at(this.#pick(FAULTS_END_MS), () => this.#hurtWorker())
    this.#at(FAULTS_END_MS, () => this.#heal())
    this.#every(LEASE_MS / 4, () => this.#keepMembership())
    this.#every(SWEEP_MS, () => this.#sweepOrder())
    this.#every(600_000, () => this.#expire())
  }

  run(): void {
    while (this.#happenings.length > 0 && !this.#isOver()) {
      const next = this.#happenings.shift()!
      this.#now = next.at
      next.happen()
    }
    const left = this.#rows.filter(({ place }) => place !== 'final')
    assertLaw(left.length === 0, `${left.length} deliveries never ended: ${JSON.stringify(left[0], hideEndpoint)}`)
    for (const row of this.#rows) this.#checkRow(row)
    for (const endpoint of this.#endpoints) this.#checkRate(endpoint)
  }

  #isOver(): boolean {
    if (this.#now > WORLD_ENDS_MS) return true
    return this.#now > FAULTS_END_MS && this.#rows.every(({ place }) => place === 'final')
  }

  #newEndpoint(index: number): Endpoint {
    const perSecond = [0.05, 0.5, 5][this.#pick(3)]!
    return {
      endpointId: `e${index}`,
      host: `h${this.#pick(2)}`,
      concurrencyMax: 1 + this.#pick(6),
      rate: this.#pick(3) === 0 ? { perSecond, burst: 1 + this.#pick(3) } : undefined,
      behaviour: (['answers', 'fails', 'times_out', 'slow', 'unreachable'] as const)[this.#pick(5)]!,
      owner: undefined,
      suspectTo: -1,
      starts: [],
      successes: new Map(),
      promised: { ...(this.#pick(3) === 0 && { ordered: true }), ...(this.#pick(3) === 0 && { at_most_once: true }) },
      order: new OrderTable(),
      rows: [],
      openedBy: undefined,
    }
  }

  #startWorker(): void {
    const scheduler = new Scheduler({ slots: SLOTS, perHostMax: PER_HOST_MAX })
    const worker: WorkerState = {
      scheduler, running: new Map(), underWay: new Set(), isAlive: true, isBuried: false,
      leaseUntil: this.#now + LEASE_MS, stalledUntil: 0, claimsAt: Infinity,
    } // prettier-ignore
    this.#workers.push(worker)
    this.#claimAt(worker, this.#now + this.#pick(1_000))
  }

  #enqueue(): void {
    const endpoint = this.#endpoints[this.#pick(this.#endpoints.length)]!
    const row: Row = {
      id: this.#rows.length, clickId: this.#pick(3), endpoint, isPoison: this.#pick(150) === 0, createdAt: this.#now, place: 'ready',
      runAt: this.#now, attempts: 0, probes: 0, finals: [], endedAt: 0, isInDoubt: false, logged: [],
    } // prettier-ignore
    this.#rows.push(row)
    endpoint.rows.push(row)
    this.#wake()
  }

  #changeBehaviour(): void {
    const endpoint = this.#endpoints[this.#pick(this.#endpoints.length)]!
    endpoint.behaviour = (['answers', 'answers', 'fails', 'times_out', 'slow', 'unreachable'] as const)[this.#pick(6)]!
  }

  #hurtWorker(): void {
    this.#hurt(this.#workers[this.#pick(this.#workers.length)]!)
  }

  /** Half of the time it dies and another starts, else it stands still past its lease. */
  #hurt(worker: WorkerState): void {
    if (!worker.isAlive) return
    if (this.#pick(2) === 0) this.#kill(worker)
    else worker.stalledUntil = this.#now + 20_000 + this.#pick(60_000)
  }

  #kill(worker: WorkerState): void {
    worker.isAlive = false
    this.report.worker_died += 1
    this.#startWorker()
  }

  /** Some receivers never come back: their deliveries must run out of tries, not of the world. */
  #heal(): void {
    for (const endpoint of this.#endpoints) endpoint.behaviour = this.#pick(5) === 0 ? 'fails' : 'answers'
  }

  #claimAt(worker: WorkerState, at: number): void {
    if (worker.claimsAt <= at) return
    worker.claimsAt = at
    this.#at(at, () => worker.claimsAt === at && this.#claim(worker))
  }

  /** Something may be due that was not. */
  #wake(): void {
    for (const worker of this.#workers) if (worker.isAlive) this.#claimAt(worker, this.#now + 1)
  }

  #claim(worker: WorkerState): void {
    if (this.#isGone(worker, () => this.#claim(worker))) return
    worker.claimsAt = Infinity
    this.#promote()
    for (const endpoint of this.#endpoints) if (endpoint.owner === worker) this.#admitToOrder(worker, endpoint)
    const due = (receiver: Endpoint): readonly Row[] =>
      receiver.rows.filter((row) => this.#isDue(row) && !worker.underWay.has(row) && this.#isFree(row))
    const waiting = this.#endpoints.filter((receiver) => receiver.owner === worker && due(receiver).length > 0)
    const { shares, nextAt } = worker.scheduler.plan(waiting, this.#now, (receiver) => due(receiver).length)
    if (nextAt !== undefined) this.#noteBlocked(worker, waiting)
    for (const { receiver, count } of shares)
      for (const row of due(receiver).slice(0, count)) if (worker.isAlive) this.#start(worker, row)
    const times = this.#rows.flatMap(({ place, runAt }) => (place === 'deferred' ? [runAt] : []))
    const next = Math.min(nextAt ?? Infinity, ...times)
    if (next < Infinity) this.#claimAt(worker, Math.max(this.#now + 1, next))
  }

  #noteBlocked({ scheduler }: WorkerState, waiting: readonly Endpoint[]): void {
    const isRateLimited = waiting.some(
      (one) => one.rate !== undefined && scheduler.breakerOf(one.endpointId)?.kind === 'closed',
    )
    if (isRateLimited) this.report.rate_waited += 1
  }

  #start(worker: WorkerState, row: Row): void {
    const { endpoint } = row
    assertLaw(
      !this.#workers.some((other) => other.isAlive && !other.isBuried && other.underWay.has(row)),
      `delivery ${row.id} was sent by two workers at once`,
    )
    this.#checkTurn(row)
    worker.underWay.add(row)
    if (needsMark(endpoint.promised, row.id, endpoint.suspectTo)) {
      const crashes = this.#marks.mark(row, worker, { isOnce: isOnce(endpoint) })
      assertLaw(crashes !== undefined, `delivery ${row.id} was sent in spite of somebody's mark`)
      this.report.marked += 1
    }
    const before = worker.scheduler.breakerOf(endpoint.endpointId)
    assertLaw(
      before?.kind !== 'open' || before.probeAt <= this.#now,
      `${endpoint.endpointId} was called while its breaker was open`,
    )
    assertLaw(before?.kind !== 'probing' || !before.isUnderWay, `${endpoint.endpointId} was probed twice at once`)
    if (before?.kind === 'closed' && before.slowStart !== undefined) this.report.slow_start += 1
    const { isProbe } = worker.scheduler.start(endpoint, this.#now)
    endpoint.starts.push(this.#now)
    this.#count(worker, row, 1)
    if (row.isPoison) return this.#kill(worker)
    this.#checkOnce(row)
    const { result, tookMs, sign } = this.#call(endpoint, row)
    const wasSent = endpoint.behaviour !== 'unreachable'
    row.isInDoubt ||= wasSent
    this.#later(tookMs, () => this.#answer(worker, row, { isProbe, result, tookMs, sign, wasSent }))
    if (this.#now < FAULTS_END_MS && this.#pick(100) === 0) this.#later(this.#pick(tookMs), () => this.#hurt(worker))
  }

  #isDue(row: Row): boolean {
    return row.place === 'ready' && row.runAt <= this.#now
  }

  /** As the statement that marks: a mark of a dead worker on what may arrive once is taken over by nobody. */
  #isFree(row: Row): boolean {
    if (this.#marks.isFree(row)) return true
    this.report.once_mark_respected += 1
    return false
  }

  /** The owner ranks what it reads; the first time it clears up what the one before left. */
  #admitToOrder(worker: WorkerState, endpoint: Endpoint): void {
    if (endpoint.promised.ordered !== true || worker.isBuried) return
    if (endpoint.openedBy !== worker) {
      endpoint.openedBy = worker
      this.#clearOrder(endpoint, 'turn_after_crash')
    }
    const fresh = endpoint.rows.filter((row) => this.#isDue(row) && !worker.underWay.has(row))
    const { order } = endpoint
    order.rank(fresh)
    for (const row of order.behind(fresh)) {
      row.runAt = Infinity
      this.report.turn_waited += 1
    }
  }

  /** The end of these is on record: who is next has its turn, unless the worker died or was taken for dead meanwhile. */
  #advance(worker: WorkerState, row: Row): void {
    if (this.#isGone(worker, () => this.#advance(worker, row)) || worker.isBuried) return
    const { order } = row.endpoint
    if (row.place === 'ready' || !order.remove(row)) return
    const next = order.firstOf(row.clickId)
    if (next === undefined || !this.#release(next)) return
    this.report.turn_handed_on += 1
    if (row.finals[0] === 'gave_up') this.report.turn_after_give_up += 1
  }

  #sweepOrder(): void {
    for (const endpoint of this.#endpoints) {
      const { owner, promised } = endpoint
      if (promised.ordered !== true || owner === undefined || this.#isAsleep(owner)) continue
      this.#clearOrder(endpoint, undefined)
    }
  }

  /** Ended without the doing of this owner. */
  #clearOrder({ order }: Endpoint, sight: Sight | undefined): void {
    const ended = order.rows.filter(({ place }) => place === 'final')
    for (const row of ended) order.remove(row)
    for (const next of order.first()) {
      if (!this.#release(next)) continue
      if (sight !== undefined) this.report[sight] += 1
      else if (ended.some(({ clickId, finals }) => clickId === next.clickId && finals[0] === 'expired'))
        this.report.turn_after_expiry += 1
    }
  }

  #release(row: Row): boolean {
    if (row.place !== 'ready' || row.runAt !== Infinity) return false
    row.runAt = this.#now
    this.#wake()
    return true
  }

  #isAsleep({ isAlive, isBuried, stalledUntil }: WorkerState): boolean {
    return !isAlive || isBuried || stalledUntil > this.#now
  }

  #checkTurn(row: Row): void {
    if (row.endpoint.promised.ordered !== true) return
    const ofClick = row.endpoint.rows.filter((other) => other !== row && other.clickId === row.clickId)
    const isUnderWay = (other: Row): boolean =>
      this.#workers.some((worker) => worker.isAlive && !worker.isBuried && worker.underWay.has(other))
    assertLaw(!ofClick.some(isUnderWay), `delivery ${row.id} was sent beside another of its click`)
    const earlier = ofClick.find(({ id, place }) => id < row.id && place !== 'final')
    assertLaw(earlier === undefined, `delivery ${row.id} was sent before ${earlier?.id} of its click had ended`)
  }

  #checkOnce(row: Row): void {
    if (!isOnce(row.endpoint)) return
    assertLaw(!row.isInDoubt, `delivery ${row.id} may have arrived and was sent again`)
    const last = row.logged.at(-1)
    if (last?.isRefused === true) this.report.once_refused_and_repeated += 1
    else if (last !== undefined) this.report.once_unsent_and_repeated += 1
  }

  /** Whose turn it has been for so long must not be waiting for it. */
  #checkPatience(): void {
    for (const row of this.#rows) {
      if (row.place !== 'ready' || row.runAt !== Infinity) continue
      const before = this.#rows.filter(
        ({ endpoint, clickId, id }) => endpoint === row.endpoint && clickId === row.clickId && id < row.id,
      )
      const isTurn = before.every(({ place, endedAt }) => place === 'final' && endedAt < this.#now - TURN_LATE_MS_MAX)
      assertLaw(!isTurn, `delivery ${row.id} waits although those before it have ended`)
    }
  }

  /** What the receiver does: it may take the message although nobody hears of it. */
  #call(endpoint: Endpoint, row: Row): { result: AttemptResult; tookMs: number; sign: Sign } {
    const took = () => endpoint.successes.set(row.id, (endpoint.successes.get(row.id) ?? 0) + 1)
    switch (endpoint.behaviour) {
      case 'answers':
      case 'slow':
        took()
        return { result: answer(200), tookMs: endpoint.behaviour === 'slow' ? 3_000 + this.#pick(5_000) : 1 + this.#pick(200), sign: 'answered' } // prettier-ignore
      case 'fails':
        return { result: answer([500, 503, 429][this.#pick(3)]!), tookMs: 1 + this.#pick(200), sign: 'failed' }
      case 'times_out':
        if (this.#pick(2) === 0) took()
        return { result: { kind: 'failed', error: 'timeout' }, tookMs: TIMEOUT_MS, sign: 'timed_out' }
      case 'unreachable':
        return { result: { kind: 'failed', error: 'connection_refused' }, tookMs: 1 + this.#pick(50), sign: 'failed' }
      default:
        return endpoint.behaviour satisfies never
    }
  }

  #answer(worker: WorkerState, row: Row, seen: Seen): void {
    if (this.#isGone(worker, () => this.#answer(worker, row, seen))) return
    const { endpoint } = row
    const before = worker.scheduler.breakerOf(endpoint.endpointId)!.kind
    worker.scheduler.end(endpoint, { sign: seen.sign, tookMs: seen.tookMs }, this.#now, this.#random)
    const after = worker.scheduler.breakerOf(endpoint.endpointId)!.kind
    if (before === 'closed' && after === 'open') this.report.breaker_opened += 1
    if (before === 'probing' && after === 'open') this.report.probe_failed += 1
    if (before === 'probing' && after === 'closed') this.report.breaker_closed += 1
    if (endpoint.behaviour === 'slow') this.report.slow_endpoint += 1
    this.#count(worker, row, -1)
    this.#wake()
    this.#later(1 + this.#pick(30), () => this.#record(worker, row, seen))
  }

  #record(worker: WorkerState, row: Row, seen: Seen): void {
    if (this.#isGone(worker, () => this.#record(worker, row, seen))) return
    worker.underWay.delete(row)
    this.#wake()
    const isHolder = !this.#isFenced || (row.place === 'ready' && !worker.isBuried)
    const attemptNo = row.attempts + 1
    row.logged.push({ attemptNo, isFenced: !isHolder, isRefused: seen.result.kind === 'answered' })
    this.#marks.unmark(row, worker)
    if (!isHolder) {
      this.report.fence_rejected += 1
      return
    }
    const probes = row.probes + (seen.isProbe ? 1 : 0)
    const outcome = decideOutcome({
      result: seen.result,
      mustNotRepeat: mustNotRepeat(row.endpoint.promised, seen),
      attempts: row.attempts - row.probes + (seen.isProbe ? 0 : 1),
      maxAttempts: LADDER_ATTEMPTS,
      expiresInMs: row.createdAt + EXPIRES_MS - this.#now,
      nowMs: this.#now,
      random: this.#random,
    })
    if (endsTurn(outcome.kind) && row.endpoint.promised.ordered === true)
      this.#later(1 + this.#pick(30), () => this.#advance(worker, row))
    if (outcome.kind === 'retry') {
      if (seen.result.kind === 'answered') row.isInDoubt = false
      Object.assign(row, {
        place: 'deferred',
        runAt: this.#now + outcome.delayMs,
        attempts: attemptNo,
        probes,
      })
      return
    }
    if (outcome.kind === 'gave_up' && outcome.reason === 'expired') this.report.expired += 1
    else if (outcome.kind === 'gave_up' && outcome.reason === 'outcome_unknown') this.report.once_unanswered += 1
    else if (outcome.kind === 'gave_up') {
      assertLaw(attemptNo - probes >= LADDER_ATTEMPTS, `given up after ${attemptNo - probes} tries that count`)
      this.report.retries_exhausted += 1
    }
    this.#end(row, outcome.kind)
  }

  #end(row: Row, state: string): void {
    row.place = 'final'
    row.endedAt = this.#now
    row.finals.push(state)
    if (state === 'delivered') this.report.delivered += 1
  }

  #promote(): void {
    for (const row of this.#rows) if (row.place === 'deferred' && row.runAt <= this.#now) row.place = 'ready'
  }

  /** Who can renews its lease; the dead are buried by the living, and what they owned is taken by those who have least. */
  #keepMembership(): void {
    const awake = this.#workers.filter((worker) => worker.isAlive && worker.stalledUntil <= this.#now)
    for (const worker of awake) {
      if (worker.isBuried) continue
      worker.leaseUntil = this.#now + LEASE_MS
    }
    if (awake.length === 0) return
    for (const worker of this.#workers) if (!worker.isBuried && worker.leaseUntil < this.#now) this.#bury(worker)
    for (const endpoint of this.#endpoints) if (endpoint.owner === undefined) this.#giveTo(endpoint, awake)
  }

  #bury(worker: WorkerState): void {
    worker.isBuried = true
    const owned = this.#endpoints.filter((endpoint) => endpoint.owner === worker)
    for (const endpoint of owned) {
      endpoint.owner = undefined
      endpoint.suspectTo = this.#rows.length
      this.report.taken_over += 1
    }
    this.#marks.accuse(worker)
    // Another statement than the one that frees what it owned: the new owner may read before it.
    this.#later(this.#pick(2) * this.#pick(2_000), () => this.#setAsideMarked())
    // One that only stood still begins another life beside what it has under way.
    if (worker.isAlive) this.#startWorker()
  }

  #setAsideMarked(): void {
    const { unknown, quarantined } = this.#marks.setAside(CRASHES_MAX, ({ place }) => place === 'ready')
    this.report.once_in_doubt_after_crash += unknown.length
    this.report.quarantined += quarantined.length
    for (const row of unknown) this.#end(row, 'gave_up')
    for (const row of quarantined) this.#end(row, 'quarantined')
  }

  #giveTo(endpoint: Endpoint, awake: readonly WorkerState[]): void {
    const living = awake.filter((worker) => !worker.isBuried)
    const owns = (worker: WorkerState): number => this.#endpoints.filter((one) => one.owner === worker).length
    const [taker] = living.toSorted((a, b) => owns(a) - owns(b))
    endpoint.owner = taker
    if (taker !== undefined) this.#claimAt(taker, this.#now + 1)
  }

  /** What nobody could be told for days is ended, also behind a breaker that stays open. */
  #expire(): void {
    this.#checkPatience()
    for (const row of this.#rows) {
      if (row.place === 'final' || this.#now - row.createdAt < EXPIRES_MS) continue
      if (this.#workers.some((worker) => worker.underWay.has(row))) continue
      this.report.expired += 1
      this.#end(row, 'expired')
    }
  }

  /** Counts what a worker has under way, and checks its limits. */
  #count(worker: WorkerState, { endpoint }: Row, change: 1 | -1): void {
    const running = (worker.running.get(endpoint.endpointId) ?? 0) + change
    worker.running.set(endpoint.endpointId, running)
    if (change < 0) return
    assertLaw(running <= Math.min(endpoint.concurrencyMax, SLOTS / 4), `${running} under way to ${endpoint.endpointId}`)
    const onHost = this.#endpoints.reduce(
      (sum, one) => sum + (one.host === endpoint.host ? (worker.running.get(one.endpointId) ?? 0) : 0),
      0,
    )
    assertLaw(onHost <= PER_HOST_MAX, `${onHost} under way to one host`)
    if (onHost === PER_HOST_MAX) this.report.host_full += 1
  }

  #checkRow(row: Row): void {
    assertLaw(row.finals.length === 1, `delivery ${row.id} ended ${row.finals.length} times`)
    const held = row.logged.filter(({ isFenced }) => !isFenced).map(({ attemptNo }) => attemptNo)
    assertLaw(
      held.every((no, index) => no === index + 1),
      `tries of ${row.id} are numbered ${held.join()}`,
    )
    const times = row.endpoint.successes.get(row.id) ?? 0
    assertLaw(row.finals[0] !== 'delivered' || times > 0, `delivery ${row.id} counts as delivered and never came`)
    if (times > 1) this.report.delivered_twice += 1
  }

  /** No worker sends faster than the rate; several share none, so that each has its own. */
  #checkRate({ endpointId, rate, starts }: Endpoint): void {
    if (rate === undefined) return
    const workers = this.#workers.length
    for (const [index, from] of starts.entries()) {
      for (let to = index; to < Math.min(starts.length, index + 40); to += 1) {
        const most = workers * (rate.burst + (rate.perSecond * (starts[to]! - from)) / 1_000)
        assertLaw(
          to - index + 1 <= Math.ceil(most + 1e-6),
          `${endpointId} got ${to - index + 1} in ${starts[to]! - from} ms`,
        )
      }
    }
  }

  /** A dead worker does nothing any more; one that stands still does it afterwards. */
  #isGone(worker: WorkerState, again: () => void): boolean {
    if (!worker.isAlive) return true
    if (worker.stalledUntil <= this.#now) return false
    this.#at(worker.stalledUntil, again)
    return true
  }

  #pick(below: number): number {
    return Math.floor(this.#random() * below)
  }

  #every(ms: number, happen: () => void): void {
    this.#later(this.#now > FAULTS_END_MS ? Math.max(ms, 300_000) : ms, () => {
      happen()
      this.#every(ms, happen)
    })
  }

  #later(ms: number, happen: () => void): void {
    this.#at(this.#now + ms, happen)
  }

  #at(at: number, happen: () => void): void {
    const happening = { at, order: (this.#order += 1), happen }
    let low = 0
    let high = this.#happenings.length
    while (low < high) {
      const middle = (low + high) >> 1
      if (this.#happenings[middle]!.at <= at) low = middle + 1
      else high = middle
    }
    this.#happenings.splice(low, 0, happening)
  }
}

type Seen = {
  readonly isProbe: boolean
  readonly result: AttemptResult
  readonly tookMs: number
  readonly sign: Sign
  /** The request may have been written. */
  readonly wasSent: boolean
}

const isOnce = ({ promised }: Endpoint): boolean => promised.at_most_once === true

const answer = (status: number): AttemptResult => ({ kind: 'answered', status, retryAfter: undefined })

function assertLaw(holds: boolean, broken: string): void {
  if (!holds) throw new Error(broken)
}

const hideEndpoint = (key: string, value: unknown): unknown => {
  return key === 'endpoint' ? (value as Endpoint).endpointId : value
}

/** Mulberry32: small, and the same everywhere. */
function randomOf(seed: number): () => number {
  let state = seed >>> 0
  return () => {
    state = (state + 0x6d2b79f5) >>> 0
    let mixed = Math.imul(state ^ (state >>> 15), state | 1)
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61)
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32
  }
}
