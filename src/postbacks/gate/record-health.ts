import { inTransaction, type Pool, type Tx } from '#platform/postgres'
import type { NoticeKind } from '../reasons.ts'
import type { HealthNews } from './health-book.ts'
import { countMissed } from './missed.ts'
import { recordNotices, type NoticeToRecord } from './notices.ts'
import { NOTIFY_GATE } from './pauses.ts'

/** Standard Webhooks and its peers: five days. An endpoint that is disabled sooner is one over a weekend. */
export const DISABLE_AFTER_HOURS = 120
/** A receiver that failed once before five days, and once now, may have been well all the time. */
export const FAILURES_SPREAD_HOURS = 12
export const WARN_AFTER_HOURS = [24, 72] as const
/** How often one delivery asks whether a disabled receiver is back, × U(0.8, 1.2). */
export const PROBE_HOURS = 1

/** A success ends all: failing, warned and disabled. */
const FORGET = `
  DELETE FROM endpoint_states WHERE endpoint_id = ANY($1::text[])
  RETURNING endpoint_id, disabled_at IS NOT NULL AS was_disabled, failing_since`

const NEXT_PROBE = `now() + ${PROBE_HOURS} * (0.8 + 0.4 * random()) * interval '1 hour'`

const RECORD_FAILURES = `
  INSERT INTO endpoint_states AS s (endpoint_id, failing_since, last_failure_at)
  SELECT endpoint_id, now() - first_ms * interval '1 ms', now() - last_ms * interval '1 ms'
  FROM unnest($1::text[], $2::float8[], $3::float8[]) AS g(endpoint_id, first_ms, last_ms) ORDER BY endpoint_id
  ON CONFLICT (endpoint_id) DO UPDATE SET
    last_failure_at = EXCLUDED.last_failure_at,
    probe_at = CASE WHEN s.disabled_reason = 'failing' THEN ${NEXT_PROBE} END`

const DISABLE = `
  UPDATE endpoint_states SET disabled_at = now(), disabled_reason = 'failing', probe_at = ${NEXT_PROBE}
  WHERE endpoint_id = ANY($1::text[]) AND disabled_at IS NULL
    AND failing_since <= now() - ${DISABLE_AFTER_HOURS} * interval '1 hour'
    AND last_failure_at - failing_since >= ${FAILURES_SPREAD_HOURS} * interval '1 hour'
  RETURNING endpoint_id, 'failing' AS reason, failing_since`

const DISABLE_GONE = `
  UPDATE endpoint_states SET disabled_at = coalesce(disabled_at, now()), disabled_reason = 'gone', probe_at = NULL
  WHERE endpoint_id = ANY($1::text[]) AND disabled_reason IS DISTINCT FROM 'gone'
  RETURNING endpoint_id, 'gone' AS reason, failing_since`

const [FIRST_WARNING, SECOND_WARNING] = WARN_AFTER_HOURS
const HOURS_FAILING = `extract(epoch FROM now() - failing_since) / 3600`

const WARN = `
  UPDATE endpoint_states SET
    warned_hours = CASE WHEN ${HOURS_FAILING} >= ${SECOND_WARNING} THEN ${SECOND_WARNING} ELSE ${FIRST_WARNING} END
  WHERE endpoint_id = ANY($1::text[]) AND disabled_at IS NULL
    AND ((${HOURS_FAILING} >= ${FIRST_WARNING} AND warned_hours < ${FIRST_WARNING})
      OR (${HOURS_FAILING} >= ${SECOND_WARNING} AND warned_hours < ${SECOND_WARNING}))
  RETURNING endpoint_id, warned_hours AS hours, failing_since`

/** What changed with the endpoints of some news, for the log lines. */
export type HealthChange = {
  readonly kind: NoticeKind
  readonly endpointId: string
  readonly details: Readonly<Record<string, unknown>>
}

/** Writes news of endpoints down and decides: who is warned of, who is disabled, who is back. Everything is decided at a failure or a
 * success, never by time alone: an endpoint that nobody sends to is not failing.
 * @returns what an operator should know; it is on record as notices too
 */
export async function recordHealth(
  pool: Pool,
  news: ReadonlyMap<string, HealthNews>,
): Promise<readonly HealthChange[]> {
  return inTransaction(pool, async (tx) => {
    const changes = [...(await recordSuccesses(tx, news)), ...(await recordFailures(tx, news))]
    if (changes.length === 0) return changes
    await recordNotices(tx, changes.map(toNotice))
    await tx.query(NOTIFY_GATE)
    return changes
  })
}

const toNotice = ({ kind, endpointId, details }: HealthChange): NoticeToRecord => ({ kind, endpointId, details })

type Forgotten = { readonly endpoint_id: string; readonly was_disabled: boolean; readonly failing_since: Date }

async function recordSuccesses(tx: Tx, news: ReadonlyMap<string, HealthNews>): Promise<readonly HealthChange[]> {
  const succeeded = [...news].filter(([, { hasSucceeded }]) => hasSucceeded).map(([endpointId]) => endpointId)
  if (succeeded.length === 0) return []
  const { rows } = await tx.query<Forgotten>(FORGET, [succeeded.toSorted()])
  const changes: HealthChange[] = []
  for (const { endpoint_id: endpointId, failing_since: since } of rows.filter((row) => row.was_disabled)) {
    const missed = await countMissed(tx, endpointId, since)
    changes.push({ kind: 'endpoint_recovered', endpointId, details: { failing_since: since.toISOString(), missed } })
  }
  return changes
}

type Changed = {
  readonly endpoint_id: string
  readonly failing_since: Date
  readonly reason: string
  readonly hours: number
}

async function recordFailures(tx: Tx, news: ReadonlyMap<string, HealthNews>): Promise<readonly HealthChange[]> {
  const failed = [...news].filter(([, { firstFailureAt }]) => firstFailureAt !== undefined)
  if (failed.length === 0) return []
  const now = performance.now()
  const ids = failed.map(([endpointId]) => endpointId)
  await tx.query(RECORD_FAILURES, [
    ids,
    failed.map(([, { firstFailureAt }]) => now - firstFailureAt!),
    failed.map(([, { lastFailureAt }]) => now - lastFailureAt!),
  ])
  const gone = failed.filter(([, { isGone }]) => isGone).map(([endpointId]) => endpointId)
  const disabled = [
    ...(gone.length === 0 ? [] : (await tx.query<Changed>(DISABLE_GONE, [gone])).rows),
    ...(await tx.query<Changed>(DISABLE, [ids])).rows,
  ]
  const warned = (await tx.query<Changed>(WARN, [ids])).rows
  return [
    ...disabled.map((row): HealthChange => change('endpoint_disabled', row, { reason: row.reason })),
    ...warned.map((row): HealthChange => change('endpoint_failing', row, { hours: row.hours })),
  ]
}

const change = (kind: NoticeKind, { endpoint_id, failing_since }: Changed, more: object): HealthChange => ({
  kind,
  endpointId: endpoint_id,
  details: { failing_since: failing_since.toISOString(), ...more },
})
