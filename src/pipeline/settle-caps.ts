import type { BookedConversion, CapEvent, CapGap, CapState } from '#caps'
import type { EventLog } from '#log'
import type { Clock } from '#platform/clock'
import type { ClickId } from '#platform/ids'
import type { LogLines } from '#platform/log-lines'
import type { Pool } from '#platform/postgres'
import type { ClickRecord } from '#records'
import { compileCappedOffers, type CompiledOfferCaps, type Snapshot } from '#routing'

import type { CapLag, CapMetrics } from './metrics.ts'
import { readLostClicks } from './lost-clicks.ts'
import { advance, takeOver, type TakenPlace } from './positions.ts'
import { pause, Stopped, untilDone } from './retry.ts'

/** Counts conversions in the caps of their offers, in the order of their revisions.
 *
 *   start ─▶ fill the gap that a power cut left ─▶ settle what is new, over and over ─▶ stop: settle, save
 *                                                   └─ beside it: sweep, save, forget
 *
 * Its place is a consumer of its own, not that of the facts: the room of a hold must not lapse because ClickHouse is away, nor facts
 * wait because the counts cannot be written. Settling knows the revisions that it has seen, so the place needs to move only when
 * a copy of the counts was saved: then a power cut leaves place and counts of the same moment, and what came after is settled again.
 */
export type CapSettlement = {
  /** Says that there may be new revisions. */
  readonly wake: () => void
  /** Whether a revision is counted, and the counts are whole. */
  readonly hasPassed: (seq: bigint) => boolean
  /** Revisions below are counted; undefined while what a power cut took is counted again. */
  readonly place: () => number | undefined
  readonly stop: () => Promise<void>
}

export type CapSettlementOptions = {
  readonly pool: Pool
  readonly log: EventLog
  readonly caps: CapState
  /** Resolves once there is a configuration. */
  readonly currentSnapshot: () => Promise<Snapshot>
  readonly clock: Clock
  readonly logLines: LogLines
  readonly metrics: CapMetrics
}

/** Consumer whose place says which revisions are in the saved copy of the counts. */
const SETTLE_CAPS = { consumer: 'caps', partition: 'conversions' } as const

/** Changes of other processes are found this late; until then their click still holds its room. */
const POLL_MS = 500
/** Few enough that the process does other work in between. */
const REVISIONS_PER_STEP = 500
const SWEEP_EVERY_MS = 60_000
/** A power cut costs reading the clicks of so long again; the whole of the counts is copied each time. */
const SAVE_EVERY_MS = 60_000
const FORGET_EVERY_MS = 600_000
const LAG_EVERY_MS = 5_000
const DAY_MS = 86_400_000
/** Counts of a period that is over are asked for by nobody; they stay for a while for who looks into a dispute. */
const PERIODS_KEPT_MS = 40 * DAY_MS
/** A conversion that is changed later than this counts as a new one, which matters to caps that never begin again. */
const CONVERSIONS_KEPT_MS = 800 * DAY_MS

type RevisionRow = {
  seq: bigint
  revision: number
  conversion_id: string
  click_id: ClickId
  offer_id: string
  created_at: Date
  status: string
  payout_micros: bigint
  revenue_micros: bigint
  /** Null where the offer has no caps. */
  click: ClickRecord | null
}

const READ = `
  SELECT r.seq, r.revision, r.conversion_id, r.status, r.payout_micros, r.revenue_micros, c.click_id, c.offer_id, c.created_at,
    CASE WHEN c.offer_id = ANY($2) THEN c.click END AS click
  FROM conversion_revisions r
  JOIN conversions c USING (conversion_id)
  WHERE r.seq >= $1
  ORDER BY r.seq LIMIT ${REVISIONS_PER_STEP}`

/** Where counts begin with a copy that is older than the place, as one that was put back from a backup. */
const FIRST_SINCE = `
  SELECT least($1, min(seq)) AS seq FROM conversion_revisions WHERE revised_at >= to_timestamp($2 / 1000.0)`

/** Counted no further than matters to whoever looks. */
const LAG_COUNTED_MAX = 100_001
const LAG = `
  SELECT count(*)::int AS revisions, min(revised_at) AS since
  FROM (SELECT revised_at FROM conversion_revisions WHERE seq >= $1 ORDER BY seq LIMIT ${LAG_COUNTED_MAX}) AS waiting`

const SAVED_PLACE = `
  SELECT position FROM consumer_positions WHERE consumer = '${SETTLE_CAPS.consumer}' AND log_partition = '${SETTLE_CAPS.partition}'`

/** Revisions below are in the last saved copy of the counts; most often many more are in the counts themselves. */
export async function readSavedCapPlace(pool: Pool): Promise<number> {
  const { rows } = await pool.query<{ position: bigint }>(SAVED_PLACE)
  return Number(rows[0]?.position ?? 0)
}

/** How far the counts lag behind the revisions, seen from a place. */
export async function readCapLag(pool: Pool, position: number, nowMs: number): Promise<Omit<CapLag, 'isWhole'>> {
  const { rows } = await pool.query<{ revisions: number; since: Date | null }>(LAG, [position])
  const { revisions, since } = rows[0]!
  return { revisions, seconds: since === null ? 0 : Math.max(0, (nowMs - since.getTime()) / 1_000) }
}

type Read = { readonly booked: readonly BookedConversion[]; readonly next: number }
type CappedOffers = ReadonlyMap<string, CompiledOfferCaps>

/** Starts at once. PostgreSQL may be away at any time: it waits and goes on. */
export function startCapSettlement(options: CapSettlementOptions): CapSettlement {
  const { pool, log, caps, clock, logLines, metrics } = options
  const stopping = new AbortController()
  const { signal } = stopping
  const retry = { signal, logLines }
  const offersOf = makeOfferCache()
  const currentOffers = async (): Promise<CappedOffers> => offersOf(await options.currentSnapshot())
  let wakeUp = Promise.withResolvers<void>()
  let position = 0
  let isWhole = false

  /** The revisions from a place on. @returns undefined: there are none */
  async function readFrom(from: number): Promise<Read | undefined> {
    const offers = await currentOffers()
    const { rows } = await pool.query<RevisionRow>(READ, [from, [...offers.keys()]])
    if (rows.length === 0) return undefined
    return { booked: rows.flatMap((row) => toBooked(row, offers)), next: Number(rows.at(-1)!.seq) + 1 }
  }

  /** @returns whether there was anything */
  async function settleNext(): Promise<boolean> {
    const read = await readFrom(position)
    if (read === undefined) return false
    caps.settle(read.booked)
    metrics.countSettled(read.booked.length)
    position = read.next
    return true
  }

  async function fillGap(savedPosition: number): Promise<void> {
    position = savedPosition
    const gap = caps.gap()
    if (gap === undefined) return
    const { rows } = await pool.query<{ seq: bigint }>(FIRST_SINCE, [savedPosition, gap.sinceMs])
    position = Number(rows[0]!.seq)
    await caps.rebuild(readLost(gap))
  }

  /** Clicks first: their holds are what their conversions take the place of. */
  async function* readLost(gap: CapGap): AsyncGenerator<CapEvent> {
    const offers = await currentOffers()
    if (offers.size > 0) {
      logLines.info({ since_ms: gap.sinceMs, until_ms: gap.untilMs }, 'counting what caps have missed')
      for await (const click of readLostClicks(log, gap, signal)) {
        const keys = offers.get(click.offer_id ?? '')?.keysOfRecordedClick(click) ?? []
        if (keys.length > 0) yield { kind: 'click', clickId: click.click_id, at: click.at, keys }
      }
    }
    for (let read = await readFrom(position); read !== undefined; read = await readFrom(position)) {
      for (const conversion of read.booked) yield { kind: 'conversion', conversion }
      position = read.next
      if (signal.aborted) throw new Stopped()
    }
  }

  /** The place of a moment before the copy: what is settled in between is in the copy or settled again. */
  async function save(taken: TakenPlace, savedPosition: number): Promise<number> {
    const next = position
    if (!(await caps.save())) return savedPosition
    if (next > savedPosition) await advance(pool, taken.place, savedPosition, next)
    return Math.max(next, savedPosition)
  }

  async function every(ms: number, what: string, work: () => Promise<unknown>): Promise<void> {
    for (;;) {
      await untilDone(what, work, retry)
      await pause(ms, signal)
    }
  }

  const forget = (): Promise<unknown> =>
    caps.forgetBefore({
      periodsEndedBeforeMs: clock.now() - PERIODS_KEPT_MS,
      conversionsBeforeMs: clock.now() - CONVERSIONS_KEPT_MS,
    })

  async function sweep(): Promise<void> {
    metrics.countExpiredHolds(await caps.sweep(clock.now()))
  }

  async function tellLag(): Promise<void> {
    metrics.setCapLag({ ...(await readCapLag(pool, position, clock.now())), isWhole })
  }

  async function settleAll(): Promise<void> {
    while (!signal.aborted) {
      wakeUp = Promise.withResolvers()
      const hasMoved = await untilDone('counting conversions in caps', settleNext, retry)
      if (hasMoved) continue
      metrics.setCapLag({ revisions: 0, seconds: 0, isWhole })
      await Promise.race([wakeUp.promise, pause(POLL_MS, signal)])
    }
  }

  async function run(): Promise<void> {
    const { consumer, partition } = SETTLE_CAPS
    const taken = await untilDone('taking caps over', () => takeOver(pool, consumer, partition), retry)
    let savedPosition = taken.position
    position = savedPosition
    await untilDone('looking how far caps lag', tellLag, retry)
    await untilDone('counting what caps have missed', () => fillGap(savedPosition), retry)
    isWhole = true
    const saveCopy = async (): Promise<void> => {
      savedPosition = await save(taken, savedPosition)
    }
    const loops = [
      settleAll(),
      // At once as well: what was just counted again should not have to be once more.
      every(SAVE_EVERY_MS, 'saving the counts of caps', saveCopy),
      every(SWEEP_EVERY_MS, 'releasing holds of caps', sweep),
      every(FORGET_EVERY_MS, 'forgetting old counts of caps', forget),
      every(LAG_EVERY_MS, 'looking how far caps lag', tellLag),
    ]
    try {
      await Promise.all(loops)
    } finally {
      // One that fails is a mistake of ours or a take-over: then none may go on.
      stopping.abort()
      await Promise.allSettled(loops)
      await saveCopy().catch((error: unknown) => logLines.warn({ err: error }, 'the counts of caps could not be saved'))
    }
  }

  const finished = run().catch((error: unknown) => {
    if (!(error instanceof Stopped)) logLines.error({ err: error }, 'conversions are no longer counted in caps')
  })

  return {
    wake: () => wakeUp.resolve(),
    hasPassed: (seq) => isWhole && position > seq,
    place: () => (isWhole ? position : undefined),
    stop: async () => {
      stopping.abort()
      await finished
    },
  }
}

/** Rules and time zones are prepared once per snapshot. */
function makeOfferCache(): (snapshot: Snapshot) => CappedOffers {
  let cached: { readonly snapshot: Snapshot; readonly offers: CappedOffers } | undefined
  return (snapshot) => {
    if (cached?.snapshot !== snapshot) cached = { snapshot, offers: compileCappedOffers(snapshot) }
    return cached.offers
  }
}

/** What a revision counts. Nothing where the offer has no caps, or is gone. */
function toBooked(row: RevisionRow, offers: CappedOffers): readonly BookedConversion[] {
  const offer = offers.get(row.offer_id)
  if (offer === undefined || row.click === null) return []
  const at = row.created_at.getTime()
  const worth = { payoutMicros: Number(row.payout_micros), revenueMicros: Number(row.revenue_micros) }
  const keys = offer.keysOfConversion(row.click, at, worth)
  const { conversion_id: conversionId, click_id: clickId, revision, status } = row
  return [{ conversionId, clickId, revision, at, keys, counts: status !== 'rejected', whenOver: 'count' }]
}
