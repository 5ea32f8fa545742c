import type { LogLines } from '#platform/log-lines'
import type { Pool, Tx } from '#platform/postgres'
import { addCounts, countTry, emptyTryCounts, type TryCounts } from './endpoint-counts.ts'
import { emptyLatencyCounts, latencyPercentile } from './latency-counts.ts'
import type { Completion } from '../queue/queue.ts'
import { supervise } from '../supervise.ts'

/** How the tries of each endpoint went, in spans of five minutes and of an hour. Workers add up what they saw every ten seconds:
 * a page reads some dozens of rows whatever was sent. What a worker saw since its last addition is lost with it; the attempts
 * themselves are on record apart.
 */
const INTERVAL_MS = 10_000

type Seen = { readonly counts: TryCounts; success?: { readonly endedAt: number }; failure?: Completion }

/** Sorted, so that two workers that add to the same rows wait for each other instead of deadlocking. */
const ADD = `
  WITH given AS (
    SELECT * FROM unnest($1::text[], $2::bigint[], $3::bigint[], $4::bigint[], $5::text[])
      AS g(endpoint_id, delivered, retried, gave_up, latency_counts)
  )
  INSERT INTO delivery_endpoint_spans AS s
    (endpoint_id, span_minutes, span_start, delivered, retried, gave_up, latency_counts)
  SELECT endpoint_id, m, date_bin(m * interval '1 minute', now(), timestamptz '2000-01-01 00:00:00+00'), delivered, retried, gave_up,
    latency_counts::bigint[]
  FROM given CROSS JOIN unnest('{5,60}'::smallint[]) AS m ORDER BY endpoint_id, m
  ON CONFLICT (endpoint_id, span_minutes, span_start) DO UPDATE SET
    delivered = s.delivered + excluded.delivered, retried = s.retried + excluded.retried, gave_up = s.gave_up + excluded.gave_up,
    latency_counts = ARRAY(
      SELECT coalesce(a, 0) + coalesce(b, 0)
      FROM unnest(s.latency_counts, excluded.latency_counts) WITH ORDINALITY AS c(a, b, n) ORDER BY n
    )`

const NOTE_LAST = `
  INSERT INTO delivery_endpoint_lasts AS l
    (endpoint_id, succeeded_at, failed_at, failed_delivery_id, http_status, error, error_detail)
  SELECT endpoint_id, now() - success_ms * interval '1 ms', now() - failure_ms * interval '1 ms', delivery_id, http_status, error, error_detail
  FROM unnest($1::text[], $2::float8[], $3::float8[], $4::bigint[], $5::int[], $6::text[], $7::text[])
    AS g(endpoint_id, success_ms, failure_ms, delivery_id, http_status, error, error_detail)
  ORDER BY endpoint_id
  ON CONFLICT (endpoint_id) DO UPDATE SET
    succeeded_at = greatest(l.succeeded_at, excluded.succeeded_at),
    failed_at = coalesce(excluded.failed_at, l.failed_at),
    failed_delivery_id = CASE WHEN excluded.failed_at IS NULL THEN l.failed_delivery_id ELSE excluded.failed_delivery_id END,
    http_status = CASE WHEN excluded.failed_at IS NULL THEN l.http_status ELSE excluded.http_status END,
    error = CASE WHEN excluded.failed_at IS NULL THEN l.error ELSE excluded.error END,
    error_detail = CASE WHEN excluded.failed_at IS NULL THEN l.error_detail ELSE excluded.error_detail END`

/** Sums tries in memory until they are added to the spans. */
export class SpanRecorder {
  #seen = new Map<string, Seen>()

  count(completion: Completion): void {
    const { endpointId } = completion.claimed
    let seen = this.#seen.get(endpointId)
    if (seen === undefined) this.#seen.set(endpointId, (seen = { counts: emptyTryCounts() }))
    countTry(seen.counts, completion)
    if (completion.outcome === 'delivered') seen.success = completion
    else seen.failure = completion
  }

  /** Adds up what was seen since the last call. What cannot be written is added by the next one. */
  async flush(pool: Pool): Promise<void> {
    const seen = this.#seen
    if (seen.size === 0) return
    this.#seen = new Map()
    try {
      await addUp(pool, [...seen])
    } catch (error) {
      this.#putBack(seen)
      throw error
    }
  }

  #putBack(seen: ReadonlyMap<string, Seen>): void {
    for (const [endpointId, before] of seen) {
      const since = this.#seen.get(endpointId)
      if (since !== undefined) addCounts(before.counts, since.counts)
      this.#seen.set(endpointId, { ...before, ...since, counts: before.counts })
    }
  }
}

async function addUp(pool: Pool, seen: readonly (readonly [string, Seen])[]): Promise<void> {
  const endpointIds = seen.map(([endpointId]) => endpointId)
  const counts = seen.map(([, item]) => item.counts)
  // First what may be repeated: only the second statement counts.
  await pool.query(NOTE_LAST, [endpointIds, ...lastColumns(seen.map(([, item]) => item))])
  await pool.query(ADD, [
    endpointIds,
    counts.map(({ delivered }) => delivered),
    counts.map(({ retry }) => retry),
    counts.map(({ gave_up }) => gave_up),
    counts.map(({ latencies }) => `{${latencies.join(',')}}`),
  ])
}

function lastColumns(seen: readonly Seen[]): readonly unknown[] {
  const agoMs = (ended: { readonly endedAt: number } | undefined) => ended && performance.now() - ended.endedAt
  return [
    seen.map(({ success }) => agoMs(success)),
    seen.map(({ failure }) => agoMs(failure)),
    seen.map(({ failure }) => failure?.claimed.deliveryId),
    seen.map(({ failure }) => failure?.status),
    seen.map(({ failure }) => failure?.error),
    seen.map(({ failure }) => failure?.errorDetail),
  ]
}

/** Adds up every ten seconds until stopped, and once more then. */
export function recordSpans(options: {
  readonly pool: Pool
  readonly recorder: SpanRecorder
  readonly logLines: LogLines
}): { readonly stop: () => Promise<void> } {
  const { pool, recorder, logLines } = options
  const loop = supervise('spans', logLines, async () => {
    await recorder.flush(pool)
    return INTERVAL_MS
  })
  return {
    stop: async () => {
      await loop.stop()
      await recorder.flush(pool).catch((error: unknown) => logLines.warn({ error }, 'counts of endpoints are lost'))
    },
  }
}

/** How the tries of a period went. */
export type TrySummary = {
  readonly attempts: number
  readonly delivered: number
  readonly retried: number
  readonly gave_up: number
  /** Delivered of all tries; null: there were none. */
  readonly success_rate: number | null
  /** Milliseconds, right to a quarter; null: there were none. */
  readonly p50_ms: number | null
  readonly p90_ms: number | null
  readonly p99_ms: number | null
}

/** What is known of an endpoint's tries. */
export type EndpointRecord = {
  readonly lastHour: TrySummary
  readonly lastDay: TrySummary
  readonly succeededAt: Date | null
  readonly lastError:
    | {
        readonly at: Date
        readonly delivery_id: bigint
        readonly http_status: number | null
        readonly error: string | null
        readonly error_detail: string | null
      }
    | undefined
}

const SPANS = `
  SELECT endpoint_id, span_minutes, sum(delivered)::float8 AS delivered, sum(retried)::float8 AS retried, sum(gave_up)::float8 AS gave_up,
    array_agg(latency_counts::text) AS latency_counts
  FROM delivery_endpoint_spans
  WHERE endpoint_id = ANY($1) AND span_start > now() - CASE span_minutes WHEN 5 THEN interval '1 hour' ELSE interval '1 day' END
    AND span_start > now() - interval '1 day'
  GROUP BY endpoint_id, span_minutes`

type SpanSums = {
  readonly endpoint_id: string
  readonly span_minutes: 5 | 60
  readonly delivered: number
  readonly retried: number
  readonly gave_up: number
  readonly latency_counts: readonly string[]
}

const LASTS = `
  SELECT endpoint_id, succeeded_at, failed_at, failed_delivery_id, http_status, error, error_detail
  FROM delivery_endpoint_lasts WHERE endpoint_id = ANY($1)`

type LastRow = {
  readonly endpoint_id: string
  readonly succeeded_at: Date | null
  readonly failed_at: Date | null
  readonly failed_delivery_id: bigint
  readonly http_status: number | null
  readonly error: string | null
  readonly error_detail: string | null
}

/** What is known of the tries of each of these endpoints; of one that was never tried as well. */
export async function readEndpointRecords(
  db: Pool | Tx,
  endpointIds: readonly string[],
): Promise<ReadonlyMap<string, EndpointRecord>> {
  const spans = (await db.query<SpanSums>(SPANS, [endpointIds])).rows
  const lasts = new Map((await db.query<LastRow>(LASTS, [endpointIds])).rows.map((row) => [row.endpoint_id, row]))
  const summaryOf = (endpointId: string, minutes: 5 | 60): TrySummary =>
    summarize(spans.find((row) => row.endpoint_id === endpointId && row.span_minutes === minutes))
  return new Map(
    endpointIds.map((endpointId) => [
      endpointId,
      {
        lastHour: summaryOf(endpointId, 5),
        lastDay: summaryOf(endpointId, 60),
        succeededAt: lasts.get(endpointId)?.succeeded_at ?? null,
        lastError: lastErrorOf(lasts.get(endpointId)),
      },
    ]),
  )
}

function lastErrorOf(row: LastRow | undefined): EndpointRecord['lastError'] {
  if (row === undefined || row.failed_at === null) return undefined
  const { failed_at, failed_delivery_id, http_status, error, error_detail } = row
  return { at: failed_at, delivery_id: failed_delivery_id, http_status, error, error_detail }
}

function summarize(row: SpanSums | undefined): TrySummary {
  const { delivered = 0, retried = 0, gave_up = 0 } = row ?? {}
  const attempts = delivered + retried + gave_up
  const counts = sumCounts(row?.latency_counts ?? [])
  const percentile = (share: number): number | null => latencyPercentile(counts, share) ?? null
  return {
    ...{ attempts, delivered, retried, gave_up, success_rate: attempts === 0 ? null : delivered / attempts },
    ...{ p50_ms: percentile(0.5), p90_ms: percentile(0.9), p99_ms: percentile(0.99) },
  }
}

function sumCounts(texts: readonly string[]): readonly number[] {
  const sums = emptyLatencyCounts()
  for (const text of texts)
    for (const [step, count] of text.slice(1, -1).split(',').entries()) sums[step]! += Number(count)
  return sums
}
