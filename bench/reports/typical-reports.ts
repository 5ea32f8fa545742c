import { parseReport, type AskedReport } from '#reports'

import { WORLD_FROM_MS, WORLD_TO_MS } from './generate-facts.ts'

/** A report as somebody asks for it, and the same for PostgreSQL. */
export type TypicalReport = {
  readonly name: string
  readonly asked: AskedReport
  readonly sql: string
}

/** Days change their length in the range: summer time ends on 25 October. */
const ZONE = 'Europe/Berlin'
const CURRENCY = 'USD'
const day = (ms: number): string => new Date(ms).toISOString().slice(0, 10)
const RANGE = { from: day(WORLD_FROM_MS), to: day(WORLD_TO_MS - 1), tz: ZONE, currency: CURRENCY } as const

/** Dimensions as PostgreSQL says them. */
const groups: Readonly<Record<string, string>> = {
  hour_of_day: `extract(hour FROM at AT TIME ZONE '${ZONE}')::int`,
  weekday: `extract(isodow FROM at AT TIME ZONE '${ZONE}')::int`,
  date: `(at AT TIME ZONE '${ZONE}')::date`,
}

type Table = 'clicks' | 'events' | 'conversions'
type Sum = readonly [table: Table, sql: string]
const counted: Readonly<Record<Table, string>> = {
  clicks: `class = 'click' AND outcome IN ('redirected', 'shown', 'fallback')`,
  events: `refusal = '' AND type IN ('open', 'lp_click')`,
  conversions: 'true',
}
const money = (amount: string, status: string): Sum => [
  'conversions',
  `sum(${amount}) FILTER (WHERE status = '${status}' AND currency = '${CURRENCY}')`,
]

const sums: Readonly<Record<string, Sum>> = {
  clicks: ['clicks', 'count(*)'],
  uniques: [
    'clicks',
    `count(*) FILTER (WHERE CASE WHEN campaign_id = '' THEN is_unique_offer ELSE is_unique_campaign END)`,
  ],
  bots: ['clicks', `count(*) FILTER (WHERE bot <> '')`],
  cost: ['clicks', `sum(cost_micros) FILTER (WHERE currency = '${CURRENCY}')`],
  opens: ['events', `count(*) FILTER (WHERE type = 'open')`],
  lp_clicks: ['events', `count(*) FILTER (WHERE type = 'lp_click')`],
  leads: ['conversions', `count(*) FILTER (WHERE type = 'lead' AND status <> 'rejected')`],
  sales: ['conversions', `count(*) FILTER (WHERE type = 'sale' AND status <> 'rejected')`],
  pending: ['conversions', `count(*) FILTER (WHERE status = 'pending')`],
  rejected: ['conversions', `count(*) FILTER (WHERE status = 'rejected')`],
  revenue: money('revenue_micros', 'approved'),
  payout: money('payout_micros', 'approved'),
  revenue_pending: money('revenue_micros', 'pending'),
  payout_pending: money('payout_micros', 'pending'),
}

/** Sums that a metric is made of; only sums are compared, everything else follows from them. */
const sumsOf: Readonly<Record<string, readonly string[]>> = {
  ctr: ['lp_clicks', 'clicks'],
  cr: ['leads', 'sales', 'clicks'],
  epc: ['revenue', 'clicks'],
  profit: ['revenue', 'payout', 'cost'],
  roi: ['revenue', 'payout', 'cost'],
}

/** One pass over each table: groups and all of them together, the largest first, as many as the report shows. */
function postgresSql(
  groupBy: readonly string[],
  metrics: readonly string[],
  where: string,
  order: string,
  limit: number,
): string {
  const needed = [...new Set(metrics.flatMap((name) => sumsOf[name] ?? [name]))]
  const tables = [...new Set(needed.map((name) => sums[name]![0]))]
  const names = groupBy.map((_, index) => `g${index}`)
  const parts = tables.map((table) => {
    const keys = groupBy.map((name, index) => `${groups[name] ?? name} AS ${names[index]}`)
    const values = needed.map((name) => `${sums[name]![0] === table ? sums[name]![1] : '0::bigint'} AS ${name}`)
    return `SELECT ${[...keys, ...values].join(', ')} FROM ${table}
      WHERE at >= '${day(WORLD_FROM_MS)} 00:00 ${ZONE}' AND at < '${day(WORLD_TO_MS)} 00:00 ${ZONE}' AND ${counted[table]} AND ${where}
      ${names.length > 0 ? `GROUP BY ${names.join(', ')}` : ''}`
  })
  const outer = needed.map((name) => `coalesce(sum(${name}), 0) AS ${name}`)
  const all = names.length > 0 ? `GROUP BY GROUPING SETS ((${names.join(', ')}), ())` : ''
  const isTotal = names.length > 0 ? `grouping(${names.join(', ')}) <> 0` : 'true'
  const texts = names.map((name) => `${name}::text AS ${name}`)
  return `SELECT ${[...texts, ...outer].join(', ')}, ${isTotal} AS is_total FROM (${parts.join(' UNION ALL ')}) AS parts ${all}
    ORDER BY is_total DESC, ${[order, ...names].join(', ')} LIMIT ${limit + 1}`
}

const EARNINGS = ['clicks', 'uniques', 'leads', 'sales', 'cr', 'revenue', 'payout', 'cost', 'profit', 'roi'] as const
const FUNNEL = ['clicks', 'opens', 'lp_clicks', 'ctr', 'leads', 'sales', 'revenue', 'payout'] as const
const EVERYTHING = [
  ...['clicks', 'uniques', 'bots', 'opens', 'lp_clicks', 'ctr', 'leads', 'sales', 'pending', 'rejected', 'cr', 'epc'],
  ...['revenue', 'revenue_pending', 'payout', 'payout_pending', 'cost', 'profit', 'roi'],
]

type Options = { readonly filter?: string; readonly where?: string; readonly limit?: number }

function report(
  name: string,
  groupBy: readonly string[],
  metrics: readonly string[],
  { filter, where = 'true', limit = 100 }: Options = {},
): TypicalReport {
  const isByTime = groupBy[0] === 'date'
  return {
    name,
    asked: { ...RANGE, group_by: groupBy, metrics, limit, filter, only: {}, not: {} },
    sql: postgresSql(groupBy, metrics, where, isByTime ? 'g0' : `${metrics[0]!} DESC`, limit),
  }
}

/** What people look at every day, over all 60 days of all advertisers: the widest range that there is. */
export const typicalReports: readonly TypicalReport[] = [
  report('by day', ['date'], EARNINGS),
  report('by campaign', ['campaign_id'], EARNINGS),
  report('by affiliate and offer', ['affiliate_id', 'offer_id'], EARNINGS),
  report('by country and device', ['country', 'device_type'], FUNNEL),
  report('by system and browser', ['os', 'browser'], FUNNEL),
  report('by hour of day and weekday', ['hour_of_day', 'weekday'], EARNINGS, { limit: 200 }),
  report('by source and creative with cost and ROI', ['source_id', 'creative_id'], ['clicks', 'cost', 'revenue', 'payout', 'profit', 'roi']),
  report('by day and campaign with uniques', ['date', 'campaign_id'], ['clicks', 'uniques', 'leads', 'sales', 'cr'], { limit: 2_500 }),
  report('by campaign, by a rule', ['campaign_id'], EARNINGS, {
    filter: `country in (DE, FR, GB) and (os is iOS or browser is Safari) and not bot is datacentre`,
    where: `country IN ('DE', 'FR', 'GB') AND (os = 'iOS' OR browser = 'Safari') AND bot <> 'datacentre'`,
  }),
  report('totals with every metric', [], EVERYTHING),
] // prettier-ignore

export const reportBySub1: TypicalReport = report('by sub1, top 100', ['sub1'], EARNINGS)

/** Checked and ready to run.
 * @throws {Error} the report is none
 */
export function parseAsked(asked: AskedReport): Extract<ReturnType<typeof parseReport>, { kind: 'asked' }>['report'] {
  const defaults = { timezone: 'UTC', currency: CURRENCY, nowMs: WORLD_TO_MS }
  const parsed = parseReport(asked, { role: 'owner' }, defaults)
  if (parsed.kind !== 'asked') throw new Error(`${parsed.path}: ${parsed.detail}`)
  return parsed.report
}
