/** Counters of the edge, in the text format of Prometheus. Hand-made: an observation on the way of a click is one array
 * write and one Map write, where prom-client hashes its labels with every call.
 * @see https://prometheus.io/docs/instrumenting/exposition_formats/
 */

const ROUTES = ['click', 'event', 'postback', 'pixel'] as const
export type MeteredRoute = (typeof ROUTES)[number]

/** Upper bounds of the latency buckets, seconds. */
const BUCKETS_SECONDS = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5] as const
const BUCKETS_MS = BUCKETS_SECONDS.map((seconds) => seconds * 1000)

type Meter = {
  readonly outcomes: Map<string, number>
  /** Requests by bucket, the last one for everything slower. */
  readonly buckets: Float64Array
  sumMs: number
}

export type EdgeMetrics = {
  /** Notes an answered request.
   * @param outcome redirected, fallback, not_found, recorded, accepted, refused, unavailable, …
   * @param startedAtMs performance.now() when it came in
   */
  readonly observe: (route: MeteredRoute, outcome: string, startedAtMs: number) => void
  readonly render: (gauges: readonly Gauge[]) => string
}

export type Gauge = { readonly name: string; readonly help: string; readonly value: number }

const newMeter = (): Meter => ({ outcomes: new Map(), buckets: new Float64Array(BUCKETS_MS.length + 1), sumMs: 0 })

export function createMetrics(): EdgeMetrics {
  const meters = { click: newMeter(), event: newMeter(), postback: newMeter(), pixel: newMeter() }
  return {
    observe(route, outcome, startedAtMs) {
      const meter = meters[route]
      const ms = performance.now() - startedAtMs
      let bucket = 0
      while (bucket < BUCKETS_MS.length && ms > BUCKETS_MS[bucket]!) bucket += 1
      meter.buckets[bucket]! += 1
      meter.sumMs += ms
      meter.outcomes.set(outcome, (meter.outcomes.get(outcome) ?? 0) + 1)
    },
    render: (gauges) =>
      [
        ...renderRequests(meters),
        ...renderLatencies(meters),
        ...gauges.flatMap(({ name, help, value }) => [
          `# HELP ${name} ${help}`,
          `# TYPE ${name} gauge`,
          `${name} ${value}`,
        ]),
        '',
      ].join('\n'),
  }
}

type Meters = Readonly<Record<MeteredRoute, Meter>>

const renderRequests = (meters: Meters): string[] => [
  '# HELP waypost_edge_requests_total Requests answered, by route and outcome.',
  '# TYPE waypost_edge_requests_total counter',
  ...ROUTES.flatMap((route) =>
    [...meters[route].outcomes].map(
      ([outcome, count]) => `waypost_edge_requests_total{route="${route}",outcome="${outcome}"} ${count}`,
    ),
  ),
]

const renderLatencies = (meters: Meters): string[] => [
  '# HELP waypost_edge_request_seconds From the first line of our code to the answer, the flush included.',
  '# TYPE waypost_edge_request_seconds histogram',
  ...ROUTES.flatMap((route) => renderHistogram(route, meters[route])),
]

function renderHistogram(route: MeteredRoute, { buckets, sumMs }: Meter): string[] {
  const name = 'waypost_edge_request_seconds'
  let count = 0
  const lines = [...buckets].map((inBucket, index) => {
    count += inBucket
    return `${name}_bucket{route="${route}",le="${BUCKETS_SECONDS[index] ?? '+Inf'}"} ${count}`
  })
  return [...lines, `${name}_sum{route="${route}"} ${sumMs / 1000}`, `${name}_count{route="${route}"} ${count}`]
}
