/** Counters of the edge, in the text format of Prometheus. Hand-made: an observation on the way of a click is four array
 * writes, where prom-client hashes its labels with every call. All threads of an edge write into one block of shared memory,
 * a row each, so that whichever of them is asked answers for all.
 * @see https://prometheus.io/docs/instrumenting/exposition_formats/
 */

const OUTCOMES = {
  click: ['redirected', 'shown', 'fallback', 'not_found', 'head', 'prefetch', 'preview', 'unavailable'],
  event: ['recorded', 'refused', 'unavailable'],
  postback: ['accepted', 'pending', 'refused', 'unavailable'],
  pixel: ['accepted', 'pending', 'refused', 'unavailable'],
} as const
type Outcomes = typeof OUTCOMES

/** What caps said to clicks that asked for room, one answer for each offer that was tried; and room that was given back, because the
 * click could not be recorded.
 */
const CAP_ANSWERS = ['reserved', 'full', 'unavailable', 'given_back'] as const
export type CapAnswer = (typeof CAP_ANSWERS)[number]

export type MeteredRoute = keyof Outcomes
export type Outcome<Route extends MeteredRoute> = Outcomes[Route][number]

const ROUTES = Object.keys(OUTCOMES) as readonly MeteredRoute[]

/** Upper bounds of the latency buckets, seconds. */
const BUCKETS_SECONDS = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5] as const
const BUCKETS_MS = BUCKETS_SECONDS.map((seconds) => seconds * 1000)
/** The last one takes everything slower. */
const BUCKET_COUNT = BUCKETS_MS.length + 1

/** What a thread says of itself beside its counters. */
const STATES = ['configVersion', 'pendingCount', 'isLogWritable'] as const
type State = (typeof STATES)[number]

const STATE_AT = 0
/** Where the numbers of a route begin in a row: its outcomes, its buckets, the sum of its milliseconds. */
const routeStarts = new Map<MeteredRoute, number>()
let rowLength: number = STATES.length
for (const route of ROUTES) {
  routeStarts.set(route, rowLength)
  rowLength += OUTCOMES[route].length + BUCKET_COUNT + 1
}
const CAPS_AT = rowLength
const ROW_LENGTH = CAPS_AT + CAP_ANSWERS.length
const capSlots = new Map(CAP_ANSWERS.map((answer, index) => [answer, CAPS_AT + index]))

const outcomeSlots = new Map(
  ROUTES.map((route) => {
    const slots = OUTCOMES[route].map((outcome, index) => [outcome, routeStarts.get(route)! + index] as const)
    return [route, new Map<string, number>(slots)] as const
  }),
)
const bucketsAt = (route: MeteredRoute): number => routeStarts.get(route)! + OUTCOMES[route].length
const sumAt = (route: MeteredRoute): number => bucketsAt(route) + BUCKET_COUNT

/** The numbers of all threads of an edge. */
export type MetricsBoard = SharedArrayBuffer

export const createMetricsBoard = (threads: number): MetricsBoard =>
  new SharedArrayBuffer(threads * ROW_LENGTH * Float64Array.BYTES_PER_ELEMENT)

export type ThreadState = { readonly [state in State]: number }

export type EdgeMetrics = {
  /** Notes an answered request.
   * @param startedAtMs performance.now() when it came in
   */
  readonly observe: <Route extends MeteredRoute>(route: Route, outcome: Outcome<Route>, startedAtMs: number) => void
  readonly countCapAnswer: (answer: CapAnswer) => void
  /** What holds of this thread now. */
  readonly setState: (state: ThreadState) => void
  /** The states of all threads. */
  readonly states: () => readonly ThreadState[]
  /** The counters of all threads together, with the gauges given. */
  readonly render: (gauges: readonly Gauge[]) => string
}

export type Gauge = { readonly name: string; readonly help: string; readonly value: number }

/** @param thread the row that this thread alone writes */
export function createMetrics(board: MetricsBoard = createMetricsBoard(1), thread = 0): EdgeMetrics {
  const rows = Array.from(
    { length: board.byteLength / (ROW_LENGTH * Float64Array.BYTES_PER_ELEMENT) },
    (_, index) => new Float64Array(board, index * ROW_LENGTH * Float64Array.BYTES_PER_ELEMENT, ROW_LENGTH),
  )
  const own = rows[thread]!
  return {
    observe(route, outcome, startedAtMs) {
      const ms = performance.now() - startedAtMs
      let bucket = 0
      while (bucket < BUCKETS_MS.length && ms > BUCKETS_MS[bucket]!) bucket += 1
      own[bucketsAt(route) + bucket]! += 1
      own[sumAt(route)]! += ms
      own[outcomeSlots.get(route)!.get(outcome)!]! += 1
    },
    countCapAnswer(answer) {
      own[capSlots.get(answer)!]! += 1
    },
    setState(state) {
      STATES.forEach((name, index) => (own[STATE_AT + index] = state[name]))
    },
    states: () =>
      rows.map(
        (row) =>
          Object.fromEntries(STATES.map((name, index) => [name, row[STATE_AT + index]!])) as unknown as ThreadState,
      ),
    render: (gauges) => {
      const sums = Float64Array.from({ length: ROW_LENGTH }, (_, at) => rows.reduce((sum, row) => sum + row[at]!, 0))
      return [
        ...renderRequests(sums),
        ...renderCapAnswers(sums),
        ...renderLatencies(sums),
        ...gauges.flatMap(({ name, help, value }) => [
          `# HELP ${name} ${help}`,
          `# TYPE ${name} gauge`,
          `${name} ${value}`,
        ]),
        '',
      ].join('\n')
    },
  }
}

/** Outcomes that never came are left out. */
const renderRequests = (sums: Float64Array): string[] => [
  '# HELP waypost_edge_requests_total Requests answered, by route and outcome.',
  '# TYPE waypost_edge_requests_total counter',
  ...ROUTES.flatMap((route) =>
    [...outcomeSlots.get(route)!]
      .filter(([, at]) => sums[at]! > 0)
      .map(([outcome, at]) => `waypost_edge_requests_total{route="${route}",outcome="${outcome}"} ${sums[at]}`),
  ),
]

const renderCapAnswers = (sums: Float64Array): string[] => [
  '# HELP waypost_edge_cap_answers_total What caps said to clicks, once for each offer with caps that was tried.',
  '# TYPE waypost_edge_cap_answers_total counter',
  ...[...capSlots].map(([answer, at]) => `waypost_edge_cap_answers_total{answer="${answer}"} ${sums[at]}`),
]

const renderLatencies = (sums: Float64Array): string[] => [
  '# HELP waypost_edge_request_seconds From the first line of our code to the answer, the flush included.',
  '# TYPE waypost_edge_request_seconds histogram',
  ...ROUTES.flatMap((route) => renderHistogram(route, sums)),
]

function renderHistogram(route: MeteredRoute, sums: Float64Array): string[] {
  const name = 'waypost_edge_request_seconds'
  let count = 0
  const buckets = sums.subarray(bucketsAt(route), bucketsAt(route) + BUCKET_COUNT)
  const lines = [...buckets].map((inBucket, index) => {
    count += inBucket
    return `${name}_bucket{route="${route}",le="${BUCKETS_SECONDS[index] ?? '+Inf'}"} ${count}`
  })
  const sumSeconds = sums[sumAt(route)]! / 1000
  return [...lines, `${name}_sum{route="${route}"} ${sumSeconds}`, `${name}_count{route="${route}"} ${count}`]
}
