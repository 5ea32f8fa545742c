/** The table of the bench: what is measured and the bar that it must reach. Rows say the same in docs/benchmarks.md. */
export type RowName = (typeof rowNames)[number]

export const rowNames = [
  'redirect',
  'redirect_short',
  'redirect_loaded',
  'redirect_large',
  'redirect_spread',
  'event',
  'latency',
  'drain',
  'visible',
  'disk',
  'start',
  'memory',
  'deliveries',
  'deliveries_direct',
  'deliveries_tls',
  'delivery_latency_p50',
  'delivery_latency',
  'delivery_isolation',
  'delivery_xmin',
  'delivery_backlog',
  'reports_slowest',
  'reports_speedup',
  'report_sub1',
  'report_funnel',
  'report_retention',
  'reports_busy',
  'reports_ingestion',
  'reports_export',
  'reports_export_memory',
] as const

export type Bar = { readonly direction: 'at_least' | 'at_most'; readonly value: number; readonly unit: string }

export const rows: Readonly<Record<RowName, { readonly what: string; readonly bar: Bar }>> = {
  redirect: {
    what: 'durable click redirect (geo + UA + rules + flush before the 302) ÷ bare `node:http` 302, one edge process',
    bar: { direction: 'at_least', value: 0.5, unit: '' },
  },
  redirect_short: {
    what: 'the same with links of six parameters instead of twenty',
    bar: { direction: 'at_least', value: 0.5, unit: '' },
  },
  redirect_loaded: {
    what: 'the `redirect` row, click for click, with 1,000 further offers, 10,000 flows and 1,000 rules of 100 conditions loaded',
    bar: { direction: 'at_least', value: 0.5, unit: '' },
  },
  redirect_large: {
    what: 'the same visits to those 1,000 campaigns, as popular as Zipf’s law says: each click is asked a rule of 100 conditions and up to nine flows',
    bar: { direction: 'at_least', value: 0.5, unit: '' },
  },
  redirect_spread: {
    what: 'the same with all 1,000 campaigns visited evenly, each out of the processor’s caches when its turn comes',
    bar: { direction: 'at_least', value: 0.5, unit: '' },
  },
  event: {
    what: 'durable event POST of 600 bytes ÷ bare `node:http` reading the body and answering 204',
    bar: { direction: 'at_least', value: 0.45, unit: '' },
  },
  latency: {
    what: 'p99 of a click at half of the maximum rate',
    bar: { direction: 'at_most', value: 10, unit: 'ms' },
  },
  drain: {
    what: 'pipeline draining a backlog of 1 M clicks and events into facts, conversions and ledger',
    bar: { direction: 'at_least', value: 20_000, unit: 'records/s' },
  },
  visible: {
    what: 'a click visible in reports at 1,000 events/s, p99',
    bar: { direction: 'at_most', value: 2_000, unit: 'ms' },
  },
  disk: {
    what: 'disk per click in facts, all columns filled as in the demo',
    bar: { direction: 'at_most', value: 150, unit: 'bytes' },
  },
  start: {
    what: 'second start to the first redirect',
    bar: { direction: 'at_most', value: 5, unit: 's' },
  },
  memory: {
    what: 'idle memory of all processes (proportional set size)',
    bar: { direction: 'at_most', value: 900, unit: 'MB' },
  },
  deliveries: {
    what: 'signed postbacks a second to 500 endpoints, every attempt on record and nothing lost ÷ the best durable queue from npm',
    bar: { direction: 'at_least', value: 1.3, unit: '' },
  },
  deliveries_direct: {
    what: 'the same ÷ a direct POST with no queue from the same HTTP client',
    bar: { direction: 'at_least', value: 0.5, unit: '' },
  },
  deliveries_tls: {
    what: 'the same over TLS connections that stay open ÷ a direct POST over them',
    bar: { direction: 'at_least', value: 0.4, unit: '' },
  },
  delivery_latency_p50: {
    what: 'commit of a conversion to the first byte at the receiver at 500/s, p50',
    bar: { direction: 'at_most', value: 15, unit: 'ms' },
  },
  delivery_latency: {
    what: 'the same, p99',
    bar: { direction: 'at_most', value: 60, unit: 'ms' },
  },
  delivery_isolation: {
    what: "the others' p99 while one endpoint times out with 100,000 waiting ÷ without it",
    bar: { direction: 'at_most', value: 1.3, unit: '' },
  },
  delivery_xmin: {
    what: 'p99 of a claim after 10 minutes with an open REPEATABLE READ transaction at 2,000/s ÷ before it',
    bar: { direction: 'at_most', value: 3, unit: '' },
  },
  delivery_backlog: {
    what: 'p99 of a claim with one million deliveries waiting ÷ with none',
    bar: { direction: 'at_most', value: 3, unit: '' },
  },
  reports_slowest: {
    what: 'the slowest of ten typical reports on 20 M clicks, 2 M events and 200 k conversions, warm',
    bar: { direction: 'at_most', value: 400, unit: 'ms' },
  },
  reports_speedup: {
    what: 'the same data in PostgreSQL 18 ÷ ours, the median of the ten reports',
    bar: { direction: 'at_least', value: 20, unit: '' },
  },
  report_sub1: {
    what: 'clicks by sub1 with a million values, the first 100 of them',
    bar: { direction: 'at_most', value: 800, unit: 'ms' },
  },
  report_funnel: {
    what: 'a funnel of five steps from the click to the purchase',
    bar: { direction: 'at_most', value: 1.5, unit: 's' },
  },
  report_retention: {
    what: 'visitors who come back on each of 30 days, by the day of their first click',
    bar: { direction: 'at_most', value: 1.5, unit: 's' },
  },
  reports_busy: {
    what: 'p95 of reports while 2,000 events/s come in ÷ without them',
    bar: { direction: 'at_most', value: 2, unit: '' },
  },
  reports_ingestion: {
    what: 'events/s that come in beside those reports ÷ without them',
    bar: { direction: 'at_least', value: 0.9, unit: '' },
  },
  reports_export: {
    what: 'export of 5 M clicks to CSV',
    bar: { direction: 'at_least', value: 150_000, unit: 'rows/s' },
  },
  reports_export_memory: {
    what: 'memory at its highest in the second half of the export over that in the first',
    bar: { direction: 'at_most', value: 50, unit: 'MB' },
  },
}

/** A measured row. `details` holds every single figure that the one in front was made of. */
export type Figure = {
  readonly value: number
  /** How it was measured, in one line for the reader of the table. */
  readonly note: string
  readonly details: Readonly<Record<string, unknown>>
}

export const isMet = (bar: Bar, value: number): boolean =>
  bar.direction === 'at_least' ? value >= bar.value : value <= bar.value

const withUnit = (value: number, unit: string): string => `${formatNumber(value)}${unit === '' ? '' : ` ${unit}`}`

/** Three digits that count, thousands apart. */
function formatNumber(value: number): string {
  const rounded = Number(value.toPrecision(3))
  return rounded.toLocaleString('en-US', { maximumFractionDigits: 3 })
}

/** The result as a Markdown table. */
export function formatTable(figures: ReadonlyMap<RowName, Figure>): string {
  const lines = [...figures].map(([name, figure]) => {
    const { what, bar } = rows[name]
    const sign = bar.direction === 'at_least' ? '≥' : '≤'
    const verdict = isMet(bar, figure.value) ? 'met' : '**not met**'
    return `| ${what} | ${sign} ${withUnit(bar.value, bar.unit)} | ${withUnit(figure.value, bar.unit)} | ${verdict} | ${figure.note} |`
  })
  return ['| what | bar | figure | | how |', '|---|---|---|---|---|', ...lines].join('\n')
}
