import type { Pool } from '#platform/postgres'
import type { AttemptError, GiveUpReason } from './reasons.ts'

/** The queue in PostgreSQL. States and moves:
 *
 *   enqueue ─▶ ready ──claim──▶ inflight ──complete──▶ final (delivered | gave_up)
 *                ▲                 │   └──complete──▶ deferred ──promote──▶ ready
 *                └──────reap───────┘ (lease over)  └─▶ final (quarantined) after too many lost leases
 *   ready ──retire──▶ final (gave_up: endpoint_removed)
 *   ready, deferred ──expire──▶ final (gave_up: expired)
 *
 * Every move is one statement: DELETE from one table, INSERT into the next. All times are PostgreSQL's.
 */

/** What a worker may take for one endpoint. */
export type Quota = { readonly endpointId: string; readonly count: number; readonly leaseMs: number }

/** A leased delivery with its message. */
export type Claimed = {
  readonly deliveryId: bigint
  readonly createdAt: Date
  readonly endpointId: string
  /** Tries made before this one. */
  readonly attempts: number
  /** Those of them that were probes and used up nothing. */
  readonly probes: number
  readonly leaseToken: bigint
  readonly eventId: string
  readonly method: 'GET' | 'POST'
  readonly url: string
  readonly contentType: string | null
  readonly body: string | null
}

/** Joined by ctid: `due` holds the lock of each row in the same statement. MATERIALIZED, because an inlined LIMIT … SKIP LOCKED
 * may be run again by the join and take more rows than asked for.
 */
const CLAIM = `
  WITH due AS MATERIALIZED (
    SELECT r.ctid AS row_place, q.lease_ms
    FROM unnest($1::text[], $2::int[], $3::int[]) AS q(endpoint_id, quota, lease_ms)
    CROSS JOIN LATERAL (
      SELECT ctid FROM delivery_ready WHERE endpoint_id = q.endpoint_id AND run_at <= now()
      ORDER BY run_at, delivery_id LIMIT q.quota FOR UPDATE SKIP LOCKED
    ) AS r
  ), taken AS (
    DELETE FROM delivery_ready AS r USING due WHERE r.ctid = due.row_place
    RETURNING r.delivery_id, r.created_at, r.endpoint_id, r.attempts, r.probes, r.crashes, due.lease_ms,
      nextval('delivery_lease_tokens') AS lease_token
  ), leased AS (
    INSERT INTO delivery_inflight
      (delivery_id, created_at, endpoint_id, attempts, probes, crashes, worker_id, lease_token, lease_until)
    SELECT delivery_id, created_at, endpoint_id, attempts, probes, crashes, $4, lease_token, now() + lease_ms * interval '1 ms'
    FROM taken
  )
  SELECT t.delivery_id AS "deliveryId", t.created_at AS "createdAt", t.endpoint_id AS "endpointId", t.attempts, t.probes,
    t.lease_token AS "leaseToken", d.event_id AS "eventId", d.method, d.url, d.content_type AS "contentType", d.body
  FROM taken AS t JOIN deliveries AS d ON d.created_at = t.created_at AND d.delivery_id = t.delivery_id`

/** Leases what is due, at most `count` per endpoint. One endpoint's backlog costs the others nothing: each is looked up by its
 * own end of the index.
 */
export async function claimDue(pool: Pool, quotas: readonly Quota[], workerId: string): Promise<readonly Claimed[]> {
  const { rows } = await pool.query<Claimed>(CLAIM, [
    quotas.map((quota) => quota.endpointId),
    quotas.map((quota) => quota.count),
    quotas.map((quota) => quota.leaseMs),
    workerId,
  ])
  return rows
}

/** Steps from endpoint to endpoint in the index instead of reading every row: cost is the number of endpoints that wait. */
const WAITING_ENDPOINTS = `
  WITH RECURSIVE waiting AS (
    (SELECT endpoint_id FROM delivery_ready ORDER BY endpoint_id LIMIT 1)
    UNION ALL
    SELECT (SELECT r.endpoint_id FROM delivery_ready AS r WHERE r.endpoint_id > w.endpoint_id ORDER BY r.endpoint_id LIMIT 1)
    FROM waiting AS w WHERE w.endpoint_id IS NOT NULL
  )
  SELECT endpoint_id FROM waiting WHERE endpoint_id IS NOT NULL`

/** Endpoints that have something due, sorted. */
export async function findWaitingEndpoints(pool: Pool): Promise<readonly string[]> {
  const { rows } = await pool.query<{ endpoint_id: string }>(WAITING_ENDPOINTS)
  return rows.map((row) => row.endpoint_id)
}

/** How one try ended, for the record and for the queue. */
export type Completion = {
  readonly claimed: Pick<Claimed, 'deliveryId' | 'createdAt' | 'endpointId' | 'attempts' | 'probes' | 'leaseToken'>
  /** It only asked whether the receiver is back: where it failed the delivery stands where it stood. */
  readonly isProbe: boolean
  readonly outcome: 'delivered' | 'retry' | 'gave_up'
  readonly giveUpReason: GiveUpReason | undefined
  readonly delayMs: number | undefined
  readonly status: number | undefined
  readonly error: AttemptError | undefined
  readonly errorDetail: string | undefined
  /** Milliseconds; undefined: the connection was open already, or was never opened. */
  readonly dnsMs?: number | undefined
  readonly connectMs?: number | undefined
  readonly tlsMs?: number | undefined
  readonly tlsVersion?: string | undefined
  readonly isReused?: boolean | undefined
  readonly firstByteMs: number | undefined
  readonly totalMs: number
  /** When the answer was complete, on performance.now(): the row may be written much later. */
  readonly endedAt: number
  readonly remoteAddress: string | undefined
  readonly responseHeaders?: string | undefined
  readonly responseHead: Buffer
  readonly responseBytes: number
}

/** The fence: only who still holds the lease (same token) decides what becomes of a delivery. The try itself is logged anyway.
 * The token counts in every join: a worker that stood still may end two tries of one delivery at once, that of the lease it lost
 * and that of the one it got afterwards.
 */
const FENCE = 'AND f.lease_token = g.lease_token'

const completeSql = (isFenced: boolean): string => `
  WITH given AS (
    SELECT * FROM unnest(
      $1::bigint[], $2::timestamptz[], $3::text[], $4::int[], $5::bigint[], $6::text[], $7::text[], $8::float8[], $9::int[],
      $10::text[], $11::text[], $12::int[], $13::int[], $14::inet[], $15::bytea[], $16::int[], $18::float8[], $19::bool[], $20::int[],
      $21::int[], $22::int[], $23::int[], $24::text[], $25::bool[], $26::text[]
    ) AS g(delivery_id, created_at, endpoint_id, attempt_no, lease_token, outcome, reason, delay_ms, http_status, error,
      error_detail, first_byte_ms, total_ms, remote_address, response_head, response_bytes, age_ms, is_probe, probes,
      dns_ms, connect_ms, tls_ms, tls_version, is_reused, response_headers)
  ), released AS (
    DELETE FROM delivery_inflight AS f USING given AS g WHERE f.delivery_id = g.delivery_id ${isFenced ? FENCE : ''}
    RETURNING f.delivery_id, f.lease_token
  ), own AS (
    SELECT g.* FROM given AS g ${isFenced ? 'JOIN released USING (delivery_id, lease_token)' : ''}
  ), logged AS (
    INSERT INTO delivery_attempts (delivery_id, created_at, endpoint_id, attempt_no, attempted_at, outcome, http_status, error,
      error_detail, first_byte_ms, total_ms, remote_address, response_head, response_bytes, next_at, worker_id, lease_token,
      is_fenced, is_probe, dns_ms, connect_ms, tls_ms, tls_version, is_reused, response_headers)
    SELECT g.delivery_id, g.created_at, g.endpoint_id, g.attempt_no, now() - g.age_ms * interval '1 ms', g.outcome,
      g.http_status, g.error, g.error_detail, g.first_byte_ms, g.total_ms, g.remote_address, g.response_head,
      g.response_bytes, now() + g.delay_ms * interval '1 ms', $17, g.lease_token, o.delivery_id IS NULL, g.is_probe, g.dns_ms,
      g.connect_ms, g.tls_ms, g.tls_version, g.is_reused, g.response_headers
    FROM given AS g LEFT JOIN own AS o ON o.delivery_id = g.delivery_id AND o.lease_token = g.lease_token
    WHERE NOT EXISTS (
      SELECT FROM delivery_attempts AS a WHERE a.delivery_id = g.delivery_id AND a.lease_token = g.lease_token
    )
    RETURNING is_fenced
  ), ended AS (
    INSERT INTO delivery_finals (delivery_id, created_at, endpoint_id, state, reason, attempts, finished_at)
    SELECT delivery_id, created_at, endpoint_id, outcome, reason, attempt_no, now()
    FROM own WHERE outcome <> 'retry'
    ${isFenced ? '' : 'ON CONFLICT DO NOTHING'}
  ), put_off AS (
    INSERT INTO delivery_deferred (delivery_id, created_at, endpoint_id, run_at, attempts, probes)
    SELECT delivery_id, created_at, endpoint_id, now() + delay_ms * interval '1 ms', attempt_no, probes
    FROM own WHERE outcome = 'retry'
  )
  SELECT count(*) FILTER (WHERE is_fenced) AS late FROM logged`

const COMPLETE = completeSql(true)
/** Without the fence a worker that lost its lease decides all the same: only for the fault run, which must turn red. */
const COMPLETE_UNFENCED = completeSql(false)

/** Ends many tries at once: one row per try, then delivered, given up or put off. Repeating it with the same tries, as after a
 * connection that broke during the commit, changes nothing.
 * @returns how many came too late, their lease having been taken over: logged, but without effect
 */
export async function completeTries(
  pool: Pool,
  completions: readonly Completion[],
  options: { readonly workerId: string; readonly isFenced: boolean },
): Promise<number> {
  const { rows } = await pool.query<{ late: bigint }>(options.isFenced ? COMPLETE : COMPLETE_UNFENCED, [
    completions.map((item) => item.claimed.deliveryId),
    completions.map((item) => item.claimed.createdAt),
    completions.map((item) => item.claimed.endpointId),
    completions.map((item) => item.claimed.attempts + 1),
    completions.map((item) => item.claimed.leaseToken),
    completions.map((item) => item.outcome),
    completions.map((item) => item.giveUpReason),
    completions.map((item) => item.delayMs),
    completions.map((item) => item.status),
    completions.map((item) => item.error),
    completions.map((item) => item.errorDetail),
    completions.map((item) => item.firstByteMs),
    completions.map((item) => item.totalMs),
    completions.map((item) => item.remoteAddress),
    completions.map((item) => item.responseHead),
    completions.map((item) => item.responseBytes),
    options.workerId,
    completions.map((item) => performance.now() - item.endedAt + item.totalMs),
    completions.map((item) => item.isProbe),
    completions.map((item) => item.claimed.probes + (item.isProbe ? 1 : 0)),
    completions.map((item) => item.dnsMs),
    completions.map((item) => item.connectMs),
    completions.map((item) => item.tlsMs),
    completions.map((item) => item.tlsVersion),
    completions.map((item) => item.isReused),
    completions.map((item) => item.responseHeaders),
  ])
  return Number(rows[0]!.late)
}

const PROMOTE = `
  WITH due AS MATERIALIZED (
    SELECT ctid AS row_place FROM delivery_deferred WHERE run_at <= now() ORDER BY run_at LIMIT $1 FOR UPDATE SKIP LOCKED
  ), taken AS (
    DELETE FROM delivery_deferred AS f USING due WHERE f.ctid = due.row_place RETURNING f.*
  )
  INSERT INTO delivery_ready (delivery_id, created_at, endpoint_id, run_at, attempts, probes, crashes)
  SELECT delivery_id, created_at, endpoint_id, run_at, attempts, probes, 0 FROM taken`

/** Moves what is due from deferred to ready. @returns how many */
export async function promoteDue(pool: Pool, countMax: number): Promise<number> {
  return (await pool.query(PROMOTE, [countMax])).rowCount ?? 0
}

const REAP = `
  WITH lost AS MATERIALIZED (
    SELECT delivery_id FROM delivery_inflight WHERE lease_until < now() ORDER BY lease_until LIMIT $1 FOR UPDATE SKIP LOCKED
  ), taken AS (
    DELETE FROM delivery_inflight AS f USING lost WHERE f.delivery_id = lost.delivery_id RETURNING f.*
  ), requeued AS (
    INSERT INTO delivery_ready (delivery_id, created_at, endpoint_id, run_at, attempts, probes, crashes)
    SELECT delivery_id, created_at, endpoint_id, now(), attempts, probes, crashes + 1 FROM taken WHERE crashes + 1 < $2
    RETURNING delivery_id
  ), quarantined AS (
    INSERT INTO delivery_finals (delivery_id, created_at, endpoint_id, state, reason, attempts, finished_at)
    SELECT delivery_id, created_at, endpoint_id, 'quarantined', 'crash_loop', attempts, now() FROM taken
    WHERE crashes + 1 >= $2
    RETURNING delivery_id
  )
  SELECT (SELECT count(*) FROM requeued) AS requeued, (SELECT count(*) FROM quarantined) AS quarantined`

/** Takes back leases that ran out. A delivery whose worker died `crashesMax` times in a row is set aside: it may be what kills. */
export async function reapLostLeases(
  pool: Pool,
  options: { readonly countMax: number; readonly crashesMax: number },
): Promise<{ readonly requeued: number; readonly quarantined: number }> {
  const { rows } = await pool.query<{ requeued: bigint; quarantined: bigint }>(REAP, [
    options.countMax,
    options.crashesMax,
  ])
  return { requeued: Number(rows[0]!.requeued), quarantined: Number(rows[0]!.quarantined) }
}

/** Both tables are read whole: once in some minutes that costs less than an index that every delivery would have to keep. */
const expireSql = (table: 'delivery_ready' | 'delivery_deferred'): string => `
  WITH old AS MATERIALIZED (
    SELECT r.ctid AS row_place FROM ${table} AS r
    JOIN unnest($1::text[], $2::int[]) AS e(endpoint_id, hours) USING (endpoint_id)
    WHERE r.created_at < now() - hours * interval '1 hour'
    LIMIT $3 FOR UPDATE OF r SKIP LOCKED
  ), taken AS (
    DELETE FROM ${table} AS r USING old WHERE r.ctid = old.row_place RETURNING r.*
  )
  INSERT INTO delivery_finals (delivery_id, created_at, endpoint_id, state, reason, attempts, finished_at)
  SELECT delivery_id, created_at, endpoint_id, 'gave_up', 'expired', attempts, now() FROM taken`

const EXPIRE = [expireSql('delivery_ready'), expireSql('delivery_deferred')]

/** Ends what could not be delivered in time, also where nothing is sent at all. @returns how many */
export async function expireOld(
  pool: Pool,
  endpoints: readonly { readonly endpoint_id: string; readonly expires_hours: number }[],
  countMax: number,
): Promise<number> {
  const values = [endpoints.map((one) => one.endpoint_id), endpoints.map((one) => one.expires_hours), countMax]
  let expired = 0
  for (const sql of EXPIRE) expired += (await pool.query(sql, values)).rowCount ?? 0
  return expired
}

const RETIRE = `
  WITH gone AS MATERIALIZED (
    SELECT r.ctid AS row_place FROM delivery_ready AS r
    JOIN deliveries AS d ON d.created_at = r.created_at AND d.delivery_id = r.delivery_id
    WHERE r.endpoint_id = ANY($1::text[]) AND d.config_version <= $2
    LIMIT $3 FOR UPDATE OF r SKIP LOCKED
  ), taken AS (
    DELETE FROM delivery_ready AS r USING gone WHERE r.ctid = gone.row_place RETURNING r.*
  )
  INSERT INTO delivery_finals (delivery_id, created_at, endpoint_id, state, reason, attempts, finished_at)
  SELECT delivery_id, created_at, endpoint_id, 'gave_up', 'endpoint_removed', attempts, now() FROM taken`

/** Ends deliveries to endpoints that are no longer configured.
 * @param configVersion the version that lacks them; deliveries of a newer one are left alone, since this worker may be behind
 */
export async function retireRemoved(
  pool: Pool,
  endpointIds: readonly string[],
  configVersion: number,
  countMax: number,
): Promise<number> {
  return (await pool.query(RETIRE, [endpointIds, configVersion, countMax])).rowCount ?? 0
}
