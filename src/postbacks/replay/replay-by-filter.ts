import { becomeTenant, ownIds, type Tenant } from '#accounts'
import type { LogLines } from '#platform/log-lines'
import { newUuidV7 } from '#platform/ids'
import { inTransaction, type Pool, type Tx } from '#platform/postgres'

import { END_OF, LAST_ERROR, LAST_STATUS, LAST_TRY, type DeliveryState } from '../records/deliveries.ts'
import { replayNewest, type DeliveryPlace } from './replay.ts'
import { supervise } from '../supervise.ts'

/** Replays of everything that fits a filter. States: running ─▶ done | cancelled.
 *
 * One worker at a time holds a replay's row, looks at the next deliveries in the order of (created_at, delivery_id), sends those
 * that fit and notes where it stands, all in one transaction: a crash repeats the step whole or not at all. It stays behind the
 * oldest transaction that is open, because that one may still bring deliveries of its beginning.
 */

/** How a delivery ended. */
export const endedStates = [
  'delivered',
  'gave_up',
  'quarantined',
  'cancelled',
] as const satisfies readonly DeliveryState[]

/** Which deliveries are meant; every part that is given must fit. Tests are never meant. */
export type ReplayFilter = {
  /** Created at or after, ISO 8601. */
  readonly from: string
  /** Created before; left out: all until now. */
  readonly to?: string | undefined
  readonly endpoint_id?: string | undefined
  readonly advertiser_id?: string | undefined
  readonly affiliate_id?: string | undefined
  readonly campaign_id?: string | undefined
  readonly offer_id?: string | undefined
  readonly cause?: string | undefined
  readonly state?: (typeof endedStates)[number] | undefined
  /** Of the last try. */
  readonly http_status?: number | undefined
  readonly error?: string | undefined
  /** Ended at or after, ISO 8601. */
  readonly ended_from?: string | undefined
  /** Ended without success: given up or quarantined. */
  readonly missed?: boolean | undefined
}

/** Why a delivery that fits is not sent once more. */
export const skipReasons = {
  still_waiting: 'It has not ended yet: it will be sent anyway.',
  replayed_already: 'A newer replay of it exists; where that fits the filter, that one is sent.',
} as const
export type SkipReason = keyof typeof skipReasons

export const replayLimits = {
  perMinuteDefault: 600,
  perMinuteMax: 60_000,
  countMax: 100_000,
  runningMax: 20,
  runningOfTenantMax: 3,
} as const

export type ReplayState = 'running' | 'done' | 'cancelled'

/** A replay as people see it. */
export type ReplayRow = {
  readonly replay_id: string
  readonly created_at: Date
  readonly created_by: string
  readonly filter: ReplayFilter
  readonly per_minute: number
  readonly state: ReplayState
  /** Deliveries made. */
  readonly replayed: bigint
  readonly skipped: Readonly<Partial<Record<SkipReason, number>>>
  /** Deliveries created before this are done with. */
  readonly cursor_at: Date
  readonly to_at: Date
  readonly finished_at: Date | null
}

/** $1 … $11, $15, $16: the filter; $12, $13: after this place; $14: created before. The bound of `created_at` alone says nothing more, but
 * partitions are told apart by it.
 */
const FITTING = `
  SELECT d.created_at, d.delivery_id, d.replay_no, d.endpoint_id, d.event_id, d.click_id
  FROM deliveries AS d
  WHERE d.kind <> 'test' AND (d.created_at, d.delivery_id) > ($12::timestamptz, $13::bigint)
    AND d.created_at >= $12 AND d.created_at < $14::timestamptz
    AND ($1::text IS NULL OR d.endpoint_id = $1) AND ($2::text IS NULL OR d.advertiser_id = $2)
    AND ($3::text IS NULL OR d.affiliate_id = $3) AND ($4::text IS NULL OR d.campaign_id = $4)
    AND ($5::text IS NULL OR d.offer_id = $5) AND ($6::text IS NULL OR d.cause = $6)
    AND ($10::text IS NULL OR d.advertiser_id = $10) AND ($11::text IS NULL OR d.affiliate_id = $11)`

const LAST_TRY_FITS = `coalesce($8::int IS NULL OR ${LAST_STATUS} = $8, false) AND coalesce($9::text IS NULL OR ${LAST_ERROR} = $9, false)`
const NO_TRY_ASKED = '$8::int IS NULL AND $9::text IS NULL'

/** What would become of each: null where it does not fit after all.
 * @param asksTries the filter asks for the last try, which is looked up only then
 */
const judged = (inner: string, asksTries: boolean): string => `
  SELECT d.created_at, d.delivery_id,
    CASE
      WHEN NOT coalesce($7::text IS NULL OR f.state = $7, false) OR NOT (${asksTries ? LAST_TRY_FITS : NO_TRY_ASKED})
        OR NOT coalesce($15::timestamptz IS NULL OR f.finished_at >= $15, false)
        OR NOT coalesce($16::boolean IS NOT TRUE OR f.state IN ('gave_up', 'quarantined'), false) THEN NULL
      WHEN newest_replay_no(d.endpoint_id, d.event_id, d.click_id) > d.replay_no THEN 'replayed_already'
      WHEN f.state IS NULL THEN 'still_waiting'
      ELSE 'replayed'
    END AS fate
  FROM (${inner}) AS d
  ${END_OF}
  ${asksTries ? LAST_TRY : ''}`

const asksTries = ({ http_status, error }: ReplayFilter): boolean => http_status !== undefined || error !== undefined

type Fate = 'replayed' | SkipReason

type Place = readonly [createdAt: string | Date, deliveryId: bigint | number, before: string | Date]

const valuesOf = (filter: ReplayFilter, tenant: Tenant, place: Place): unknown[] => {
  const own = ownIds(tenant)
  return [
    filter.endpoint_id,
    filter.advertiser_id,
    filter.affiliate_id,
    filter.campaign_id,
    filter.offer_id,
    filter.cause,
    filter.state,
    filter.http_status,
    filter.error,
    own.advertiser_id,
    own.affiliate_id,
    ...place,
    filter.ended_from,
    filter.missed,
  ]
}

const countSql = (asksTries: boolean): string => `
  SELECT fate, count(*)::int AS count FROM (
    SELECT fate FROM (${judged(FITTING, asksTries)}) AS judged WHERE fate IS NOT NULL LIMIT ${replayLimits.countMax + 1}
  ) AS found GROUP BY fate`

/** What a replay would do now. `isCut`: of more than 100 000 no more are counted. */
export type ReplayCount = {
  readonly replayed: number
  readonly skipped: Readonly<Partial<Record<SkipReason, number>>>
  readonly isCut: boolean
}

/** Counts what a replay by this filter would send and what it would leave out.
 * @param tx of asTenant
 */
export async function countReplay(tx: Pool | Tx, filter: ReplayFilter, tenant: Tenant): Promise<ReplayCount> {
  const values = valuesOf(filter, tenant, [filter.from, -1, filter.to ?? 'infinity'])
  const { rows } = await tx.query<{ fate: Fate; count: number }>(countSql(asksTries(filter)), values)
  const counts = new Map(rows.map(({ fate, count }) => [fate, count]))
  const total = rows.reduce((sum, { count }) => sum + count, 0)
  const { replayed = 0, ...skipped } = Object.fromEntries(counts) as Partial<Record<Fate, number>>
  return { replayed, skipped, isCut: total > replayLimits.countMax }
}

const SHOWN = `replay_id, created_at, created_by, filter, per_minute, state, replayed, skipped, cursor_at, to_at, finished_at`

/** Everybody's own are counted, so that nobody keeps others waiting. The end is never later than now: what the replay itself makes
 * does not fit it.
 */
const CREATE = `
  INSERT INTO delivery_replays (replay_id, created_at, created_by, role, advertiser_id, affiliate_id, filter, to_at, per_minute,
    state, cursor_at, cursor_id, next_at)
  SELECT $1, date_trunc('milliseconds', now()), $2, $3, $4, $5, $6, least(coalesce($7::timestamptz, now()), now()), $8, 'running', $9, -1, now()
  WHERE (SELECT count(*) FROM delivery_replays r WHERE state = 'running'
      AND r.role = $3 AND r.advertiser_id IS NOT DISTINCT FROM $4 AND r.affiliate_id IS NOT DISTINCT FROM $5)
    < CASE WHEN $3 = 'owner' THEN ${replayLimits.runningMax} ELSE ${replayLimits.runningOfTenantMax} END
  RETURNING ${SHOWN}`

export type NewReplay = {
  readonly filter: ReplayFilter
  readonly perMinute: number
  readonly by: string
  readonly tenant: Tenant
  readonly nowMs: number
}

/** Begins a replay. @returns undefined where as many run as may */
export async function createReplay(pool: Pool, wanted: NewReplay): Promise<ReplayRow | undefined> {
  const { filter, tenant } = wanted
  const { rows } = await pool.query<ReplayRow>(CREATE, [
    newUuidV7(wanted.nowMs),
    wanted.by,
    tenant.role,
    tenant.role === 'owner' ? undefined : tenant.advertiserId,
    tenant.role === 'affiliate' ? tenant.affiliateId : undefined,
    filter,
    filter.to,
    wanted.perMinute,
    filter.from,
  ])
  return rows[0]
}

const CANCEL = `
  UPDATE delivery_replays SET state = 'cancelled', finished_at = now() WHERE replay_id = $1 AND state = 'running'`

/** Ends a replay where it stands; what it has made is sent. Nothing happens to one that has ended.
 * @returns once no step of it is under way
 */
export const cancelReplay = async (pool: Pool, replayId: string): Promise<void> =>
  void (await pool.query(CANCEL, [replayId]))

const LIST = `
  SELECT ${SHOWN} FROM delivery_replays
  WHERE ($1::uuid IS NULL OR replay_id = $1) AND ($2::text IS NULL OR state = $2)
    AND ($3::timestamptz IS NULL OR (created_at, replay_id) < ($3, $4::uuid))
  ORDER BY created_at DESC, replay_id DESC LIMIT $5`

/** Replays, newest first, one more than the limit.
 * @param db a transaction of asTenant: a tenant sees its own
 */
export async function listReplays(
  db: Tx | Pool,
  filter: { readonly replay_id?: string | undefined; readonly state?: ReplayState | undefined },
  after: { readonly atMs: number; readonly id: string } | undefined,
  limit: number,
): Promise<readonly ReplayRow[]> {
  const place = [after && new Date(after.atMs), after?.id]
  return (await db.query<ReplayRow>(LIST, [filter.replay_id, filter.state, ...place, limit + 1])).rows
}

/** Deliveries looked at, and sent, in one step. */
const LOOK_MAX = 1_000
const SEND_MAX = 500
const IDLE_MS = 1_000

const TAKE = `
  SELECT replay_id, role, advertiser_id, affiliate_id, filter, per_minute, cursor_at, cursor_id, to_at, skipped,
    (SELECT min(xact_start) FROM pg_stat_activity
     WHERE datname = current_database() AND backend_type = 'client backend' AND pid <> pg_backend_pid()) AS oldest_open_at
  FROM delivery_replays WHERE state = 'running' AND next_at <= clock_timestamp()
  ORDER BY next_at LIMIT 1 FOR UPDATE SKIP LOCKED`

type Taken = {
  readonly replay_id: string
  readonly role: Tenant['role']
  readonly advertiser_id: string | null
  readonly affiliate_id: string | null
  readonly filter: ReplayFilter
  readonly per_minute: number
  readonly cursor_at: Date
  readonly cursor_id: bigint
  readonly to_at: Date
  readonly skipped: Readonly<Partial<Record<SkipReason, number>>>
  readonly oldest_open_at: Date | null
}

function tenantOf({ role, advertiser_id, affiliate_id }: Taken): Tenant {
  if (role === 'owner') return { role }
  if (role === 'advertiser') return { role, advertiserId: advertiser_id! }
  return { role, affiliateId: affiliate_id!, ...(advertiser_id !== null && { advertiserId: advertiser_id }) }
}

type Judged = { readonly created_at: Date; readonly delivery_id: bigint; readonly fate: Fate | null }

const NEXT_FITTING = `${FITTING} ORDER BY d.created_at, d.delivery_id LIMIT ${LOOK_MAX}`
const lookSql = (asksTries: boolean): string =>
  `${judged(NEXT_FITTING, asksTries)} ORDER BY d.created_at, d.delivery_id`

/** All that replays read with, for a test of their plans. */
export const replayStatements = [countSql(false), countSql(true), lookSql(false), lookSql(true)] as const

const ADVANCE = `
  UPDATE delivery_replays SET cursor_at = $2, cursor_id = $3, replayed = replayed + $4, skipped = $5,
    state = CASE WHEN $6 THEN 'done' ELSE 'running' END, finished_at = CASE WHEN $6 THEN now() END,
    next_at = clock_timestamp() + $7 * interval '1 ms'
  WHERE replay_id = $1`

/** One step of the replay that is due first, if one is.
 * @returns milliseconds until the next step is worth it
 */
export async function stepReplays(pool: Pool): Promise<number> {
  return inTransaction(pool, async (tx) => {
    const { rows } = await tx.query<Taken>(TAKE)
    const [replay] = rows
    if (replay === undefined) return IDLE_MS
    const end = earlier(replay.to_at, replay.oldest_open_at)
    const judged = await look(tx, replay, end)
    const seen = upToBudget(judged, Math.min(SEND_MAX, Math.ceil(replay.per_minute / 60)))
    const sent = await replayNewest(tx, seen.filter(({ fate }) => fate === 'replayed').map(placeOf))
    const isAtEnd = judged.length < LOOK_MAX && seen.length === judged.length
    const isDone = isAtEnd && end === replay.to_at
    const pauseMs = isAtEnd && !isDone ? IDLE_MS : (sent * 60_000) / replay.per_minute
    const last = seen.at(-1)
    await tx.query(ADVANCE, [
      replay.replay_id,
      last?.created_at ?? (isDone ? replay.to_at : replay.cursor_at),
      last?.delivery_id ?? replay.cursor_id,
      sent,
      addSkipped(replay.skipped, seen, sent),
      isDone,
      pauseMs,
    ])
    return 0
  })
}

const earlier = (a: Date, b: Date | null): Date => (b !== null && b < a ? b : a)
const placeOf = ({ created_at, delivery_id }: Judged): DeliveryPlace => ({
  createdAt: created_at,
  deliveryId: delivery_id,
})

/** As the one who asked: a tenant's replay finds its own deliveries only. */
async function look(tx: Tx, replay: Taken, end: Date): Promise<readonly Judged[]> {
  const tenant = tenantOf(replay)
  await becomeTenant(tx, tenant)
  const values = valuesOf(replay.filter, tenant, [replay.cursor_at, replay.cursor_id, end])
  const { rows } = await tx.query<Judged>(lookSql(asksTries(replay.filter)), values)
  await tx.query('RESET ROLE')
  return rows
}

/** The first rows with no more to send than the budget. */
function upToBudget(judged: readonly Judged[], budget: number): readonly Judged[] {
  let sending = 0
  const over = judged.findIndex(({ fate }) => fate === 'replayed' && ++sending > budget)
  return over === -1 ? judged : judged.slice(0, over)
}

/** What was to be sent and was not has been replayed by somebody else a moment before. */
function addSkipped(before: Taken['skipped'], seen: readonly Judged[], sent: number): Taken['skipped'] {
  const count = (wanted: Fate): number => seen.filter(({ fate }) => fate === wanted).length
  const added = {
    still_waiting: count('still_waiting'),
    replayed_already: count('replayed_already') + count('replayed') - sent,
  }
  return Object.fromEntries(
    Object.entries(added)
      .map(([reason, number]) => [reason, (before[reason as SkipReason] ?? 0) + number] as const)
      .filter(([, number]) => number > 0),
  )
}

/** Works on running replays until stopped. Several processes may: each step is one's. */
export function runReplays(options: { readonly pool: Pool; readonly logLines: LogLines }): {
  readonly stop: () => Promise<void>
  readonly wake: () => void
} {
  return supervise('replays', options.logLines, () => stepReplays(options.pool))
}
