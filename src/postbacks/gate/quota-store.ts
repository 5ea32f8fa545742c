import { inTransaction, type Pool } from '#platform/postgres'
import { recordNotices } from './notices.ts'

/** The quota of an endpoint in one period. */
export type QuotaPeriod = {
  readonly endpointId: string
  readonly per: string
  readonly zone: string
  readonly startMs: number
  /** Of the whole period. */
  readonly count: number
}

const ENSURE = `
  INSERT INTO endpoint_quotas (endpoint_id, per, zone, period_start, taken)
  SELECT endpoint_id, per, zone, to_timestamp(0), 0 FROM unnest($1::text[], $2::text[], $3::text[]) AS g(endpoint_id, per, zone)
  ON CONFLICT DO NOTHING`

/** The lock is taken before the amount is computed, so that two workers never get the same. A row of a later period than the one asked for
 * belongs to a machine whose clock is ahead: whoever is behind gets nothing.
 */
/** One notice for each period, whoever finds its quota used up first. */
const NOTE_USED = `
  UPDATE endpoint_quotas SET noticed_start = period_start
  WHERE endpoint_id = $1 AND per = $2 AND zone = $3 AND period_start = to_timestamp($4::float8 / 1000)
    AND noticed_start IS DISTINCT FROM period_start`

/** Records that a quota is used up, unless that stands there for this period. */
export async function noticeUsedQuota(
  pool: Pool,
  { endpointId, per, zone, startMs, count }: QuotaPeriod,
): Promise<void> {
  await inTransaction(pool, async (tx) => {
    const { rowCount } = await tx.query(NOTE_USED, [endpointId, per, zone, startMs])
    const details = { count, per, zone, period_start: new Date(startMs).toISOString() }
    if (rowCount === 1) await recordNotices(tx, [{ kind: 'quota_used', endpointId, details }])
  })
}

const TAKE = `
  UPDATE endpoint_quotas AS q SET period_start = b.period_start, taken = b.before + b.granted
  FROM (
    SELECT p.endpoint_id, p.per, p.zone, to_timestamp(g.start_ms / 1000) AS period_start, u.before,
      greatest(0, least(g.wanted, g.count - u.before)) AS granted
    FROM endpoint_quotas AS p
    JOIN unnest($1::text[], $2::text[], $3::text[], $4::float8[], $5::bigint[], $6::bigint[])
      AS g(endpoint_id, per, zone, start_ms, count, wanted) USING (endpoint_id, per, zone)
    CROSS JOIN LATERAL (
      SELECT CASE WHEN p.period_start = to_timestamp(g.start_ms / 1000) THEN p.taken ELSE 0 END AS before
    ) AS u
    WHERE p.period_start <= to_timestamp(g.start_ms / 1000)
    ORDER BY p.endpoint_id, p.per, p.zone FOR UPDATE OF p
  ) AS b
  WHERE q.endpoint_id = b.endpoint_id AND q.per = b.per AND q.zone = b.zone
  RETURNING q.endpoint_id, b.granted`

export type QuotaWish = { readonly period: QuotaPeriod; readonly wanted: number }

const columns = (periods: readonly QuotaPeriod[]): unknown[] => [
  periods.map(({ endpointId }) => endpointId),
  periods.map(({ per }) => per),
  periods.map(({ zone }) => zone),
]

/** Makes rows for quotas that were never used. */
export const ensureQuotas = async (pool: Pool, periods: readonly QuotaPeriod[]): Promise<void> =>
  void (await pool.query(ENSURE, columns(periods)))

/** Takes from quotas; at most one wish for an endpoint.
 * @returns how much each endpoint got; one that got nothing may be left out
 */
export async function takeQuota(pool: Pool, wishes: readonly QuotaWish[]): Promise<ReadonlyMap<string, number>> {
  const periods = wishes.map(({ period }) => period)
  const { rows } = await pool.query<{ endpoint_id: string; granted: bigint }>(TAKE, [
    ...columns(periods),
    periods.map(({ startMs }) => startMs),
    periods.map(({ count }) => count),
    wishes.map(({ wanted }) => wanted),
  ])
  return new Map(rows.map(({ endpoint_id, granted }) => [endpoint_id, Number(granted)]))
}

const GIVE_BACK = `
  UPDATE endpoint_quotas AS q SET taken = greatest(0, q.taken - g.unused)
  FROM unnest($1::text[], $2::text[], $3::text[], $4::float8[], $5::bigint[]) AS g(endpoint_id, per, zone, start_ms, unused)
  WHERE q.endpoint_id = g.endpoint_id AND q.per = g.per AND q.zone = g.zone
    AND q.period_start = to_timestamp(g.start_ms / 1000)`

/** Gives back what was taken and not used; of a period that is over there is nothing to give back. */
export async function giveQuotaBack(
  pool: Pool,
  unused: readonly { readonly period: QuotaPeriod; readonly count: number }[],
): Promise<void> {
  const periods = unused.map(({ period }) => period)
  const values = [...columns(periods), periods.map(({ startMs }) => startMs), unused.map(({ count }) => count)]
  await pool.query(GIVE_BACK, values)
}

const TAKEN = `
  SELECT endpoint_id, taken FROM endpoint_quotas
  JOIN unnest($1::text[], $2::text[], $3::text[], $4::float8[]) AS g(endpoint_id, per, zone, start_ms) USING (endpoint_id, per, zone)
  WHERE period_start = to_timestamp(g.start_ms / 1000)`

/** How much of each quota was taken in its period. */
export async function readQuotas(pool: Pool, periods: readonly QuotaPeriod[]): Promise<ReadonlyMap<string, number>> {
  const values = [...columns(periods), periods.map(({ startMs }) => startMs)]
  const { rows } = await pool.query<{ endpoint_id: string; taken: bigint }>(TAKEN, values)
  return new Map(rows.map(({ endpoint_id, taken }) => [endpoint_id, Number(taken)]))
}
