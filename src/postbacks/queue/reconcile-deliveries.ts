import type { Pool, Tx } from '#platform/postgres'

/** Checks that must find nothing; each finding is a lost, doubled or stuck message.
 * @see docs/states/delivery.md
 */
const CHECKS = {
  /** Recorded and not queued: a revision whose scope and trigger fit an endpoint, with neither a delivery nor a reason. An endpoint
   * counts from a minute after the version since which its scope, triggers and status are what they are: the pipeline may
   * still have had the version before. */
  revision_without_delivery: `
    WITH newest AS (
      SELECT snapshot FROM config_versions ORDER BY version DESC LIMIT 1
    ), endpoints AS (
      SELECT e->>'endpoint_id' AS endpoint_id, e->'scope' AS scope, e->'triggers' AS triggers, e->>'status' AS status
      FROM newest, jsonb_array_elements(newest.snapshot->'endpoints') AS e
    ), settled AS (
      SELECT e.*, (
        SELECT min(v.created_at) FROM config_versions AS v WHERE v.version > coalesce((
          SELECT max(o.version) FROM config_versions AS o WHERE NOT EXISTS (
            SELECT FROM jsonb_array_elements(o.snapshot->'endpoints') AS x
            WHERE x->>'endpoint_id' = e.endpoint_id AND x->'scope' = e.scope AND x->'triggers' = e.triggers
              AND x->>'status' = e.status
          )
        ), -1)
      ) + interval '1 minute' AS settled_at
      FROM endpoints AS e
    ), revisions AS (
      SELECT r.conversion_id, r.revision, r.revised_at, c.advertiser_id, c.affiliate_id, c.campaign_id, c.offer_id, c.type,
        c.click->>'source_id' AS source_id, r.status, r.is_hold_released, b.status AS status_before,
        b.is_hold_released AS was_hold_released, r.payout_micros <> b.payout_micros AS is_payout_other,
        r.revenue_micros <> b.revenue_micros AS is_revenue_other
      FROM conversion_revisions AS r JOIN conversions AS c USING (conversion_id)
      LEFT JOIN conversion_revisions AS b ON b.conversion_id = r.conversion_id AND b.revision = r.revision - 1
      WHERE r.revised_at >= $1
    ), fired AS (
      SELECT conversion_id, revision, unnest(array_remove(ARRAY[
        CASE WHEN status_before IS NULL THEN CASE WHEN status = 'rejected' THEN 'rejected' ELSE type END END,
        CASE WHEN status <> status_before AND status = 'rejected' THEN 'rejected' END,
        CASE WHEN status <> status_before THEN 'status_changed' END,
        CASE WHEN is_hold_released AND NOT was_hold_released THEN 'hold_released' END,
        CASE WHEN is_payout_other OR is_revenue_other THEN 'payout_changed' END
      ], NULL)) AS trigger FROM revisions
    ), expected AS (
      SELECT DISTINCT s.endpoint_id, r.conversion_id, r.revision
      FROM revisions AS r JOIN fired AS f USING (conversion_id, revision) JOIN settled AS s ON s.triggers ? f.trigger
      WHERE r.revised_at > s.settled_at
        AND coalesce(s.scope->>'advertiser_id' = r.advertiser_id, NOT s.scope ? 'advertiser_id')
        AND coalesce(s.scope->>'affiliate_id' = r.affiliate_id, NOT s.scope ? 'affiliate_id')
        AND coalesce(s.scope->>'campaign_id' = r.campaign_id, NOT s.scope ? 'campaign_id')
        AND coalesce(s.scope->>'offer_id' = r.offer_id, NOT s.scope ? 'offer_id')
        AND coalesce(s.scope->>'source_id' = r.source_id, NOT s.scope ? 'source_id')
        -- Of a revenue that moved alone an affiliate is not told.
        AND NOT (f.trigger = 'payout_changed' AND NOT is_payout_other AND s.scope ? 'affiliate_id')
    )
    SELECT e.endpoint_id || ' ' || e.conversion_id || ' revision ' || e.revision AS what FROM expected AS e
    WHERE NOT EXISTS (
      SELECT FROM deliveries AS d
      WHERE d.conversion_id = e.conversion_id AND d.conversion_revision = e.revision AND d.endpoint_id = e.endpoint_id
    ) AND NOT EXISTS (
      SELECT FROM delivery_why_not AS w
      WHERE w.conversion_id = e.conversion_id AND w.conversion_revision = e.revision AND w.endpoint_id = e.endpoint_id
    )`,
  /** Neither ended nor queued: nobody will ever send it. */
  delivery_forgotten: `
    SELECT 'delivery ' || delivery_id AS what FROM (
      SELECT delivery_id FROM deliveries WHERE created_at >= $1
      EXCEPT SELECT delivery_id FROM delivery_ends
      EXCEPT SELECT delivery_id FROM delivery_ready
      EXCEPT SELECT delivery_id FROM delivery_deferred
      EXCEPT SELECT delivery_id FROM delivery_held
    ) AS lost`,
  /** Ended or leased and queued as well, or queued twice: it would be sent again. */
  delivery_in_two_places: `
    SELECT 'delivery ' || delivery_id AS what FROM (
      SELECT delivery_id, created_at FROM delivery_ready
      UNION ALL SELECT delivery_id, created_at FROM delivery_deferred
      UNION ALL SELECT delivery_id, created_at FROM delivery_held
      UNION ALL SELECT f.delivery_id, f.created_at FROM delivery_ends AS f WHERE f.created_at >= $1
    ) AS places WHERE created_at >= $1 GROUP BY delivery_id HAVING count(*) > 1`,
  /** A lease that ran out long ago while another worker lives: nobody takes its endpoints over. */
  lease_abandoned: `
    SELECT 'worker ' || w.worker_id AS what FROM delivery_workers AS w
    WHERE w.lease_until < now() - interval '60 seconds' AND w.lease_until >= $1
      AND EXISTS (SELECT FROM delivery_workers AS o WHERE o.lease_until > now())`,
  /** Called delivered or given up without a try on record. What was removed or too old may never have been tried. */
  end_without_attempt: `
    SELECT 'delivery ' || f.delivery_id AS what FROM delivery_ends AS f
    WHERE f.created_at >= $1 AND f.state IN ('delivered', 'gave_up')
      AND coalesce(f.reason, '') NOT IN ('endpoint_removed', 'expired', 'outcome_unknown')
      AND NOT EXISTS (SELECT FROM delivery_attempts AS a WHERE a.delivery_id = f.delivery_id AND NOT a.is_fenced)
      AND NOT EXISTS (
        SELECT FROM delivery_last_tries AS l WHERE l.created_at = f.created_at AND l.delivery_id = f.delivery_id
      )`,
  /** Two tries that both decided under the same number: two workers held the delivery at once. */
  attempt_decided_twice: `
    SELECT 'delivery ' || delivery_id || ' attempt ' || attempt_no AS what FROM delivery_attempts
    WHERE created_at >= $1 AND NOT is_fenced GROUP BY delivery_id, attempt_no HAVING count(*) > 1`,
} as const

export type DeliveryCheck = keyof typeof CHECKS

export type DeliveryFinding = {
  readonly check: DeliveryCheck
  readonly count: number
  /** Some of what was found. */
  readonly examples: readonly string[]
}

/** What each check finds, for people. */
export const deliveryChecks: Readonly<Record<DeliveryCheck, string>> = {
  revision_without_delivery: 'A conversion changed, an endpoint fits, and there is neither a delivery nor a reason.',
  delivery_forgotten: 'A delivery has not ended and is in no queue.',
  delivery_in_two_places: 'A delivery is queued twice, or queued although it ended.',
  lease_abandoned: 'The lease of a worker ran out more than a minute ago and nobody took its endpoints over.',
  end_without_attempt: 'A delivery ended without a try on record.',
  attempt_decided_twice: 'Two tries of the same number both decided.',
}

const EXAMPLES_MAX = 5

/** Of days that were dropped nothing can be proved. */
const REMEMBERED_SINCE = `SELECT greatest($1::timestamptz, delivery_kept_from('deliveries')) AS since`

/** Proves that every message that is owed was delivered, ended with a reason, or waits.
 * @param since only what happened after it, so that an old installation need not be read whole
 * @returns a finding for each check that failed; empty when all is well. May take seconds: it reads history.
 */
export async function reconcileDeliveries(
  pool: Pool | Tx,
  since: Date = new Date(0),
): Promise<readonly DeliveryFinding[]> {
  const findings: DeliveryFinding[] = []
  const remembered = (await pool.query<{ since: Date }>(REMEMBERED_SINCE, [since])).rows[0]!.since
  for (const check of Object.keys(CHECKS) as DeliveryCheck[]) {
    const { rows } = await pool.query<{ count: bigint; examples: string[] | null }>(
      `SELECT count(*) AS count, (array_agg(what))[1:${EXAMPLES_MAX}] AS examples FROM (${CHECKS[check]}) AS found`,
      [remembered],
    )
    const { count, examples } = rows[0]!
    if (count > 0n) findings.push({ check, count: Number(count), examples: examples ?? [] })
  }
  return findings
}
