import { LATENCY_BOUNDS_MS } from './latency-counts.ts'
import { OTHER, SERIES_MAX, type TryCounts } from './endpoint-counts.ts'
import type { QueueLength, QueueLengths } from './queue-lengths.ts'

/** Text of Prometheus about deliveries, made of what is in memory: its cost is the number of series, 200 endpoints and `other`. */

/** Upper bounds of the latency histograms; each is one of the steps that are counted. */
const BUCKETS_MS = [5, 10, 25, 50, 100, 250, 500, 1_000, 2_500, 5_000, 10_000, 25_000]
const OUTCOMES = ['delivered', 'retry', 'gave_up'] as const

const label = (value: string): string => value.replaceAll('\\', '\\\\').replaceAll('"', '\\"').replaceAll('\n', '\\n')

const head = (name: string, type: string, help: string): string => `# HELP ${name} ${help}\n# TYPE ${name} ${type}`

/** Tries by endpoint and outcome, and how long they took. */
export function printTrySeries(series: ReadonlyMap<string, TryCounts>): string {
  const lines = [
    head('waypost_delivery_attempts_total', 'counter', `Tries by endpoint (${SERIES_MAX} of them, else other) and outcome.`), // prettier-ignore
  ]
  for (const [endpointId, counts] of series)
    for (const outcome of OUTCOMES)
      lines.push(`waypost_delivery_attempts_total{endpoint="${label(endpointId)}",outcome="${outcome}"} ${counts[outcome]}`) // prettier-ignore
  lines.push(head('waypost_delivery_attempt_seconds', 'histogram', 'Duration of a try, from its start to the end of the answer.')) // prettier-ignore
  for (const [endpointId, counts] of series) lines.push(...printHistogram(label(endpointId), counts.latencies))
  return `${lines.join('\n')}\n`
}

function printHistogram(endpoint: string, latencies: readonly number[]): readonly string[] {
  const name = 'waypost_delivery_attempt_seconds'
  let below = 0
  let sumMs = 0
  const atMost = new Map<number, number>()
  for (const [step, count] of latencies.entries()) {
    below += count
    sumMs += count * ((LATENCY_BOUNDS_MS[step - 1] ?? 0) + (LATENCY_BOUNDS_MS[step] ?? LATENCY_BOUNDS_MS[step - 1]!)) * 0.5 // prettier-ignore
    if (LATENCY_BOUNDS_MS[step] !== undefined) atMost.set(LATENCY_BOUNDS_MS[step], below)
  }
  return [
    ...BUCKETS_MS.map((ms) => `${name}_bucket{endpoint="${endpoint}",le="${ms / 1_000}"} ${atMost.get(ms)}`),
    `${name}_bucket{endpoint="${endpoint}",le="+Inf"} ${below}`,
    `${name}_sum{endpoint="${endpoint}"} ${sumMs / 1_000}`,
    `${name}_count{endpoint="${endpoint}"} ${below}`,
  ]
}

/** What waits by endpoint, those with the longest queues by themselves, and the age of the oldest. */
export function printWaitingSeries({ endpoints }: QueueLengths, nowMs: number): string {
  const rows = [...endpoints.values()]
  const shown = rows.slice(0, SERIES_MAX)
  const rest = rows.slice(SERIES_MAX)
  const all = rest.length === 0 ? shown : [...shown, joinWaiting(rest)]
  const ageOf = ({ oldest_at }: QueueLength): number => Math.max(0, (nowMs - oldest_at.getTime()) / 1_000)
  return `${[
    head('waypost_delivery_waiting', 'gauge', `Deliveries that wait, by endpoint (the ${SERIES_MAX} longest queues, else other); ready: for their first try or one that is due; held: about an affiliate or advertiser that is paused.`), // prettier-ignore
    ...all.map((row) => `waypost_delivery_waiting{endpoint="${label(row.endpoint_id)}",state="ready"} ${row.ready}`),
    ...all.map((row) => `waypost_delivery_waiting{endpoint="${label(row.endpoint_id)}",state="deferred"} ${row.deferred}`), // prettier-ignore
    ...all.map((row) => `waypost_delivery_waiting{endpoint="${label(row.endpoint_id)}",state="held"} ${row.held}`),
    head('waypost_delivery_oldest_seconds', 'gauge', 'Age of the oldest delivery that waits, by endpoint.'),
    ...all.map((row) => `waypost_delivery_oldest_seconds{endpoint="${label(row.endpoint_id)}"} ${ageOf(row)}`),
  ].join('\n')}\n`
}

/** What a worker has to do at this moment. */
export type Workload = {
  /** Of the 64, those whose endpoints it serves. */
  readonly shards: number
  /** Deliveries whose try has begun and is not on record. */
  readonly underWay: number
}

/** The workload of this process. */
export const printWorkerSeries = ({ shards, underWay }: Workload): string =>
  `${[
    head('waypost_delivery_shards', 'gauge', 'Shards of endpoints, of 64, that this process serves.'),
    `waypost_delivery_shards ${shards}`,
    head('waypost_delivery_under_way', 'gauge', 'Deliveries whose try has begun and is not on record.'),
    `waypost_delivery_under_way ${underWay}`,
  ].join('\n')}\n`

const joinWaiting = (rows: readonly QueueLength[]): QueueLength => ({
  endpoint_id: OTHER,
  ready: rows.reduce((sum, { ready }) => sum + ready, 0),
  deferred: rows.reduce((sum, { deferred }) => sum + deferred, 0),
  held: rows.reduce((sum, { held }) => sum + held, 0),
  oldest_at: new Date(Math.min(...rows.map(({ oldest_at }) => oldest_at.getTime()))),
})
