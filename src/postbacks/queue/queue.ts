import type { Pool } from '#platform/postgres'
import type { AttemptError, GiveUpReason } from '../reasons.ts'
import type { StoredHeaders } from '../messages/stored-headers.ts'

/** The queue in PostgreSQL. States and moves:
 *
 *   enqueue ─▶ ready ──complete──▶ attempt (delivered | gave_up)
 *                ▲        └──complete──▶ deferred ──promote──▶ ready
 *   ready ──retire, expire, quarantine──▶ final     deferred ──expire──▶ final
 *
 * What is due is read by the one worker that owns its endpoint, which takes nothing away: a delivery stays in ready until its try has
 * ended. Every move is one statement: DELETE from one table, INSERT into the next. All times are PostgreSQL's.
 */

/** A place in what is due for an endpoint: what comes after it has not been read yet. */
export type ReadPosition = {
  /** Microseconds since the epoch; -Infinity for the beginning. */
  readonly runAtMicros: number
  readonly deliveryId: number
}

export const FROM_THE_BEGINNING: ReadPosition = { runAtMicros: -Infinity, deliveryId: 0 }

/** What to read for one endpoint. */
export type Reading = {
  readonly endpointId: string
  readonly count: number
  readonly after: ReadPosition
  /** Reads again what became due in so many seconds before `after`: what was committed late may stand there; 0: nothing. */
  readonly againSeconds: number
}

/** A delivery that is due, with its message. */
export type Claimed = {
  /** Where its row is: it does not move while it waits. */
  readonly place: string
  readonly runAtMicros: number
  /** Below 2^53 in ten thousand years; look-ups by a bigint cost several times as much. */
  readonly deliveryId: number
  readonly createdAt: Date
  readonly endpointId: string
  /** Tries made before this one. */
  readonly attempts: number
  /** Those of them that were probes and used up nothing. */
  readonly probes: number
  readonly eventId: string
  readonly method: 'GET' | 'POST'
  readonly url: string
  readonly contentType: string | null
  /** Of the endpoint, by name in lower case; sealed. */
  readonly headers: StoredHeaders | null
  readonly body: string | null
}

/** Both LIMITs keep the planner from anything but one look-up for each endpoint and message, whatever it believes of the tables. */
const READ_DUE = `
  SELECT q.line, r.ctid, (date_part('epoch', r.run_at) * 1000000)::int8, r.delivery_id,
    (date_part('epoch', r.created_at) * 1000)::int8, r.attempts, r.probes, d.event_id, d.method, d.content_type,
    d.url, d.body, d.headers
  FROM unnest($1::text[], $2::int[], $3::float8[], $4::bigint[], $5::int[])
    WITH ORDINALITY AS q(endpoint_id, quota, after_micros, after_id, again_seconds, line)
  CROSS JOIN LATERAL (
    SELECT w.ctid, w.* FROM delivery_ready AS w
    WHERE w.endpoint_id = q.endpoint_id AND w.attempts >= 0 AND w.run_at <= now()
      AND (w.run_at, w.delivery_id) > (
        coalesce(to_timestamp(q.after_micros / 1000000) - q.again_seconds * interval '1 s', '-infinity'), q.after_id
      )
    ORDER BY w.run_at, w.delivery_id LIMIT q.quota
  ) AS r
  CROSS JOIN LATERAL (
    SELECT * FROM deliveries AS m WHERE m.created_at = r.created_at AND m.delivery_id = r.delivery_id LIMIT 1
  ) AS d`

/** Of READ_DUE, as the server writes it. */
type DueRow = readonly [
  line: string,
  place: string,
  runAtMicros: string,
  deliveryId: string,
  createdAtMs: string,
  attempts: string,
  probes: string,
  eventId: string,
  method: Claimed['method'],
  contentType: string | null,
  url: string,
  body: string | null,
  headers: string | null,
]

/** The driver's own parsers and objects would cost more than all else that is done with a row. */
const AS_TEXT = { rowMode: 'array', types: { getTypeParser: () => (text: string) => text } } as const

/** Reads what is due, at most `count` for each endpoint, oldest first. One endpoint's backlog costs the others nothing: each is looked
 * up by its own place in the index, behind the dead rows of what was sent before.
 */
export async function readDue(pool: Pool, readings: readonly Reading[]): Promise<readonly Claimed[]> {
  const { rows } = await pool.query<[...DueRow]>({
    ...AS_TEXT,
    name: 'read_due',
    text: READ_DUE,
    values: [
      readings.map((reading) => reading.endpointId),
      arrayOf(readings, (reading) => reading.count),
      arrayOf(readings, ({ after }) => (after === FROM_THE_BEGINNING ? undefined : after.runAtMicros)),
      arrayOf(readings, (reading) => reading.after.deliveryId),
      arrayOf(readings, (reading) => reading.againSeconds),
    ],
  })
  let before: Claimed | undefined
  return rows.map((row) => (before = claimedOf(row, readings, before)))
}

function claimedOf(row: DueRow, readings: readonly Reading[], before: Claimed | undefined): Claimed {
  const [line, place, runAtMicros, deliveryId, createdAtMs, attempts, probes, eventId, method, contentType, url, body, headers] = row // prettier-ignore
  return {
    place,
    runAtMicros: Number(runAtMicros),
    deliveryId: Number(deliveryId),
    createdAt: new Date(Number(createdAtMs)),
    endpointId: readings[Number(line) - 1]!.endpointId,
    attempts: Number(attempts),
    probes: Number(probes),
    eventId,
    // One text for all that say the same: what is read ahead is kept for a while, and the collector carries it around.
    method: method === 'GET' ? 'GET' : 'POST',
    url: url === before?.url ? before.url : url,
    contentType: contentType === before?.contentType ? before.contentType : contentType,
    headers: headers === null ? null : (JSON.parse(headers) as StoredHeaders),
    body,
  }
}

/** How one try ended, for the record and for the queue. */
export type Completion = {
  readonly claimed: Pick<Claimed, 'deliveryId' | 'createdAt' | 'endpointId' | 'attempts' | 'probes' | 'place'>
  /** Counts the tries of the worker: its id and this number are the identity of a try. */
  readonly tryNo: number
  /** It has a row in delivery_marks, which goes with this. */
  readonly isMarked: boolean
  /** It only asked whether the receiver is back: where it failed the delivery stands where it stood. */
  readonly isProbe: boolean
  /** The request of many that it was in; undefined: it was one of its own. */
  readonly batch?: { readonly id: string; readonly size: number } | undefined
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

/** What is all the same for most tries of an endpoint in health: at the first try or a later one the message was taken, over a
 * connection that was open, and there is nothing else to say.
 */
const isPlain = (item: Completion): boolean =>
  item.outcome === 'delivered' &&
  item.isReused === true &&
  item.error === undefined &&
  item.errorDetail === undefined &&
  item.responseHeaders === undefined &&
  item.batch === undefined &&
  !item.isMarked &&
  !item.isProbe

/** The fence as in the general statement. What is not released here came too late and is left to that one. To look all places up at once
 * (`ctid = ANY`) and join by id would cost a third of a microsecond less for each; but where the plan is made while the table is empty
 * everything would be compared with everything.
 */
const COMPLETE_PLAIN = {
  name: 'complete_plain',
  text: `
  WITH worker AS (
    SELECT worker_id FROM delivery_workers WHERE worker_id = $1 FOR KEY SHARE
  ), released AS (
    DELETE FROM delivery_ready AS r USING unnest(
      $2::bigint[], $3::tid[], $4::int[], $5::int[], $6::int[], $7::inet[], $8::bytea[], $9::int[], $10::int[], $11::bigint[], $12::text[]
    ) AS g(delivery_id, place, http_status, first_byte_ms, total_ms, remote_address, response_head, response_bytes, age_ms, try_no, tls_version)
    WHERE r.ctid = g.place AND r.delivery_id = g.delivery_id AND EXISTS (SELECT FROM worker)
    RETURNING g.*, r.created_at, r.endpoint_id, r.attempts
  )
  INSERT INTO delivery_attempts (delivery_id, created_at, endpoint_id, attempt_no, attempted_at, outcome, http_status,
    first_byte_ms, total_ms, remote_address, response_head, response_bytes, worker_id, try_no, is_fenced, tls_version, is_reused)
  SELECT delivery_id, created_at, endpoint_id, attempts + 1, now() - age_ms * interval '1 ms', 'delivered', http_status,
    first_byte_ms, total_ms, remote_address, response_head, response_bytes, $1, try_no, false, tls_version, true
  FROM released`,
}

export type CompletionOptions = {
  readonly workerId: string
  readonly isFenced: boolean
  /** The same tries were given before, and whether that was committed is not known. */
  readonly isRepeat: boolean
}

/** The fence: only a worker that is still alive on record decides what becomes of a delivery; who takes its endpoints over deletes its
 * row first. The lock keeps that from happening in between. The try itself is logged anyway.
 */
const completeSql = ({ isFenced, isRepeat }: Pick<CompletionOptions, 'isFenced' | 'isRepeat'>): string => `
  WITH given AS MATERIALIZED (
    SELECT g.* FROM unnest(
      $1::bigint[], $2::timestamptz[], $3::text[], $4::int[], $5::tid[], $6::text[], $7::text[], $8::float8[], $9::int[],
      $10::text[], $11::text[], $12::int[], $13::int[], $14::inet[], $15::bytea[], $16::int[], $18::float8[], $19::bool[], $20::int[],
      $21::bigint[], $23::int[], $24::int[], $25::int[], $26::text[], $27::bool[], $28::text[], $29::uuid[], $30::int[]
    ) AS g(delivery_id, created_at, endpoint_id, attempt_no, place, outcome, reason, delay_ms, http_status, error,
      error_detail, first_byte_ms, total_ms, remote_address, response_head, response_bytes, age_ms, is_probe, probes, try_no,
      dns_ms, connect_ms, tls_ms, tls_version, is_reused, response_headers, batch_id, batch_size)
    ${isRepeat ? `WHERE NOT EXISTS (SELECT FROM delivery_attempts AS a WHERE a.delivery_id = g.delivery_id AND a.worker_id = $17 AND a.try_no = g.try_no)` : ''}
  ), worker AS (
    SELECT worker_id FROM delivery_workers WHERE worker_id = $17 FOR KEY SHARE
  ), unmarked AS (
    DELETE FROM delivery_marks WHERE worker_id = $17 AND delivery_id = ANY($22::bigint[])
  ), released AS (
    DELETE FROM delivery_ready AS r USING given AS g
    WHERE r.ctid = g.place AND r.delivery_id = g.delivery_id ${isFenced ? 'AND EXISTS (SELECT FROM worker)' : ''}
    RETURNING g.try_no
  ), own AS (
    SELECT try_no FROM ${isFenced ? 'released' : 'given'}
  ), logged AS (
    INSERT INTO delivery_attempts (delivery_id, created_at, endpoint_id, attempt_no, attempted_at, outcome, reason, http_status,
      error, error_detail, first_byte_ms, total_ms, remote_address, response_head, response_bytes, next_at, worker_id, try_no,
      is_fenced, is_probe, dns_ms, connect_ms, tls_ms, tls_version, is_reused, response_headers, batch_id, batch_size)
    SELECT g.delivery_id, g.created_at, g.endpoint_id, g.attempt_no, now() - g.age_ms * interval '1 ms', g.outcome, g.reason,
      g.http_status, g.error, g.error_detail, g.first_byte_ms, g.total_ms, g.remote_address, g.response_head,
      g.response_bytes, now() + g.delay_ms * interval '1 ms', $17, g.try_no, g.try_no NOT IN (SELECT try_no FROM own), g.is_probe,
      g.dns_ms, g.connect_ms, g.tls_ms, g.tls_version, g.is_reused, g.response_headers, g.batch_id, g.batch_size
    FROM given AS g
    RETURNING is_fenced
  ), put_off AS (
    INSERT INTO delivery_deferred (delivery_id, created_at, endpoint_id, run_at, attempts, probes)
    SELECT delivery_id, created_at, endpoint_id, now() + delay_ms * interval '1 ms', attempt_no, probes
    FROM given WHERE outcome = 'retry' AND try_no IN (SELECT try_no FROM own)
  )
  SELECT count(*) FILTER (WHERE is_fenced) AS late FROM logged`

const COMPLETE = { name: 'complete', text: completeSql({ isFenced: true, isRepeat: false }) }
const COMPLETE_AGAIN = { name: 'complete_again', text: completeSql({ isFenced: true, isRepeat: true }) }
/** Without the fence a worker that lost its endpoints decides all the same: only for the fault run, which must turn red. */
const COMPLETE_UNFENCED = { name: 'complete_unfenced', text: completeSql({ isFenced: false, isRepeat: true }) }

/** Ends many tries at once: one row per try, then delivered, given up or put off.
 * @returns how many came too late, their endpoint having been taken over: logged, but without effect
 */
export async function completeTries(
  pool: Pool,
  completions: readonly Completion[],
  options: CompletionOptions,
): Promise<number> {
  if (options.isRepeat || !options.isFenced) return completeAny(pool, completions, options)
  const plain = completions.filter(isPlain)
  const others = plain.length === completions.length ? [] : completions.filter((item) => !isPlain(item))
  const isWritten = plain.length === 0 || (await completePlain(pool, plain, options.workerId)) === plain.length
  const latePlain = isWritten ? 0 : await completeAny(pool, plain, { ...options, isRepeat: true })
  return latePlain + (others.length === 0 ? 0 : await completeAny(pool, others, options))
}

/** @returns how many are on record */
async function completePlain(pool: Pool, completions: readonly Completion[], workerId: string): Promise<number> {
  const now = performance.now()
  const { rowCount } = await pool.query({
    ...COMPLETE_PLAIN,
    values: [
      workerId,
      arrayOf(completions, (item) => item.claimed.deliveryId),
      arrayOf(completions, (item) => `"${item.claimed.place}"`),
      arrayOf(completions, (item) => item.status),
      arrayOf(completions, (item) => item.firstByteMs),
      arrayOf(completions, (item) => item.totalMs),
      arrayOf(completions, (item) => item.remoteAddress),
      arrayOf(completions, (item) => bytesOf(item.responseHead)),
      arrayOf(completions, (item) => item.responseBytes),
      arrayOf(completions, (item) => Math.round(now - item.endedAt + item.totalMs)),
      arrayOf(completions, (item) => item.tryNo),
      arrayOf(completions, (item) => item.tlsVersion),
    ],
  })
  return rowCount!
}

async function completeAny(
  pool: Pool,
  completions: readonly Completion[],
  { workerId, isFenced, isRepeat }: CompletionOptions,
): Promise<number> {
  const now = performance.now()
  const fenced = isRepeat ? COMPLETE_AGAIN : COMPLETE
  const { rows } = await pool.query<{ late: bigint }>({
    ...(isFenced ? fenced : COMPLETE_UNFENCED),
    values: [
      arrayOf(completions, (item) => item.claimed.deliveryId),
      arrayOf(completions, (item) => item.claimed.createdAt.toISOString()),
      arrayOf(completions, (item) => quoted(item.claimed.endpointId)),
      arrayOf(completions, (item) => item.claimed.attempts + 1),
      arrayOf(completions, (item) => `"${item.claimed.place}"`),
      arrayOf(completions, (item) => item.outcome),
      arrayOf(completions, (item) => item.giveUpReason),
      arrayOf(completions, (item) => item.delayMs),
      arrayOf(completions, (item) => item.status),
      arrayOf(completions, (item) => item.error),
      arrayOf(completions, (item) => item.errorDetail === undefined ? undefined : quoted(item.errorDetail)), // prettier-ignore
      arrayOf(completions, (item) => item.firstByteMs),
      arrayOf(completions, (item) => item.totalMs),
      arrayOf(completions, (item) => item.remoteAddress),
      arrayOf(completions, (item) => bytesOf(item.responseHead)),
      arrayOf(completions, (item) => item.responseBytes),
      workerId,
      arrayOf(completions, (item) => now - item.endedAt + item.totalMs),
      arrayOf(completions, (item) => item.isProbe),
      arrayOf(completions, (item) => item.claimed.probes + (item.isProbe ? 1 : 0)),
      arrayOf(completions, (item) => item.tryNo),
      arrayOf(completions.filter((item) => item.isMarked), (item) => item.claimed.deliveryId), // prettier-ignore
      arrayOf(completions, (item) => item.dnsMs),
      arrayOf(completions, (item) => item.connectMs),
      arrayOf(completions, (item) => item.tlsMs),
      arrayOf(completions, (item) => item.tlsVersion),
      arrayOf(completions, (item) => item.isReused),
      arrayOf(completions, (item) => item.responseHeaders === undefined ? undefined : quoted(item.responseHeaders)), // prettier-ignore
      arrayOf(completions, (item) => item.batch?.id),
      arrayOf(completions, (item) => item.batch?.size),
    ],
  })
  return Number(rows[0]!.late)
}

/** An array as PostgreSQL reads it. Texts that may hold anything must be quoted; the driver's own way costs several times as much. */
function arrayOf<T>(items: readonly T[], valueOf: (item: T) => string | number | boolean | undefined): string {
  return `{${items.map((item) => valueOf(item) ?? 'NULL').join()}}`
}

const bytesOf = (bytes: Buffer): string => `"\\\\x${bytes.toString('hex')}"`

const quoted = (text: string): string => `"${text.replace(/["\\]/g, '\\$&')}"`

/** Of the connections of a worker. Its statements are planned once: they must never be planned to read a whole table, which is
 * cheapest only while it is empty.
 */
export const workerSettings = {
  enable_seqscan: 'off',
  enable_bitmapscan: 'off',
  // No key is looked up twice by one statement.
  enable_memoize: 'off',
  plan_cache_mode: 'force_generic_plan',
} as const

/** The statements that run for every delivery, for the test that looks at their plans. */
export const workerStatements = [READ_DUE, COMPLETE_PLAIN.text, COMPLETE.text] as const
