import type { Role } from '#accounts'

import { everyone, notAffiliates } from './visibility.ts'

/** The one list of what can be measured: what a number means, how it is computed, who may see it. Reports, the API's
 * documentation and docs/reports.md are made of it.
 */
export const factsTables = ['clicks', 'events', 'conversions'] as const
export type FactsTable = (typeof factsTables)[number]

/** A sum over the rows of one table. Money is in micros of the report's currency, which stands in {currency:String}. */
type Sum = { readonly table: FactsTable; readonly sql: string }

/** Rows that no metric counts, so that they make no empty group: prefetches, clicks that led nowhere, refused events. */
export const countedRows: Readonly<Record<FactsTable, string>> = {
  clicks: `class = 'click' AND outcome IN ('redirected', 'shown', 'fallback')`,
  events: `refusal = '' AND type IN ('open', 'lp_click')`,
  conversions: '1',
}

const IS_UNIQUE = `if(campaign_id = '', is_unique_offer, is_unique_campaign)`
const IN_CURRENCY = 'currency = {currency:String}'
const clicksWhere = (condition: string): Sum => ({ table: 'clicks', sql: `toInt64(countIf(${condition}))` })
const eventsOfType = (type: string): Sum => ({ table: 'events', sql: `toInt64(countIf(type = '${type}'))` })
const conversionsWhere = (condition: string): Sum => ({
  table: 'conversions',
  sql: `sumIf(toInt64(sign), ${condition})`,
})
const moneyOf = (amount: string, status: string): Sum => ({
  table: 'conversions',
  sql: `sumIf(sign * ${amount}, status = '${status}' AND ${IN_CURRENCY})`,
})

const sums = {
  clicks: clicksWhere('1'),
  uniques: clicksWhere(IS_UNIQUE),
  bots: clicksWhere(`bot != ''`),
  cost: { table: 'clicks', sql: `sumIf(cost_micros, ${IN_CURRENCY})` },
  opens: eventsOfType('open'),
  lp_clicks: eventsOfType('lp_click'),
  leads: conversionsWhere(`type = 'lead' AND status != 'rejected'`),
  sales: conversionsWhere(`type = 'sale' AND status != 'rejected'`),
  pending: conversionsWhere(`status = 'pending'`),
  rejected: conversionsWhere(`status = 'rejected'`),
  revenue: moneyOf('revenue_micros', 'approved'),
  payout: moneyOf('payout_micros', 'approved'),
  revenue_pending: moneyOf('revenue_micros', 'pending'),
  payout_pending: moneyOf('payout_micros', 'pending'),
} as const satisfies Record<string, Sum>

export type SumName = keyof typeof sums
export const factsSums: Readonly<Record<SumName, Sum>> = sums

/** Whether a sum is of amounts, which only count in the report's currency. */
export const isMoneySum = (name: SumName): boolean => factsSums[name].sql.includes(IN_CURRENCY)

export type Metric = {
  readonly name: string
  readonly description: string
  /** For a person. */
  readonly formula: string
  /** `money`: decimal text in the report's currency; `ratio`: number with up to six decimals; null where the divisor is 0. */
  readonly unit: 'count' | 'money' | 'ratio'
  readonly visibleTo: readonly Role[]
  readonly sums: readonly SumName[]
  /** Over the sums of a group, which have their own names. */
  readonly sql: (role: Role) => string
}

/** Integer division, rounded half away from zero. */
const perCount = (money: string, count: string): string =>
  `if(${count} = 0, NULL, intDiv(2 * (${money}) + if((${money}) < 0, -${count}, ${count}), 2 * ${count}))`
const ratio = (part: string, whole: string): string => `if((${whole}) = 0, NULL, round((${part}) / (${whole}), 6))`

type Visibility = { readonly visibleTo?: readonly Role[] }
const sum = (name: SumName, unit: 'count' | 'money', description: string, formula: string, { visibleTo = everyone }: Visibility = {}): Metric => ({
  name, description, formula, unit, visibleTo, sums: [name], sql: () => name,
}) // prettier-ignore

const listed: readonly Metric[] = [
  sum(
    'clicks',
    'count',
    'Visitors sent on, bots included',
    'requests of class `click` that were redirected, sent to the fallback or shown a page of a flow',
  ),
  sum(
    'uniques',
    'count',
    'Clicks of visitors not seen before',
    'clicks that were the first of their visitor for the campaign (for a link straight to an offer: for the offer) within its `unique_ttl_hours`',
  ),
  sum('bots', 'count', 'Clicks of bots, part of the clicks', 'clicks with a bot reason'),
  sum('opens', 'count', 'Landing pages opened', 'accepted `open` events'),
  sum('lp_clicks', 'count', 'Clicks on the landing page', 'accepted `lp_click` events'),
  {
    name: 'ctr',
    description: 'Share of the visitors that clicked on the landing page',
    formula: 'lp_clicks ÷ clicks',
    unit: 'ratio',
    visibleTo: everyone,
    sums: ['lp_clicks', 'clicks'],
    sql: () => ratio('lp_clicks', 'clicks'),
  },
  sum('leads', 'count', 'Leads that are not rejected', 'conversions of type `lead`, pending or approved'),
  sum('sales', 'count', 'Sales that are not rejected', 'conversions of type `sale`, pending or approved'),
  sum(
    'pending',
    'count',
    'Conversions that wait for a decision, part of leads and sales',
    'conversions of status `pending`',
  ),
  sum('rejected', 'count', 'Rejected conversions, not part of leads and sales', 'conversions of status `rejected`'),
  {
    name: 'cr',
    description: 'Conversion rate',
    formula: '(leads + sales) ÷ clicks',
    unit: 'ratio',
    visibleTo: everyone,
    sums: ['leads', 'sales', 'clicks'],
    sql: () => ratio('leads + sales', 'clicks'),
  },
  {
    name: 'epc',
    description: 'Earnings per click of whoever looks',
    formula: 'revenue ÷ clicks; for an affiliate payout ÷ clicks',
    unit: 'money',
    visibleTo: everyone,
    sums: ['revenue', 'payout', 'clicks'],
    sql: (role) => perCount(role === 'affiliate' ? 'payout' : 'revenue', 'clicks'),
  },
  sum('revenue', 'money', 'Earned from the advertiser', 'revenue of approved conversions', {
    visibleTo: notAffiliates,
  }),
  sum('revenue_pending', 'money', 'Would be earned from the advertiser', 'revenue of pending conversions', {
    visibleTo: notAffiliates,
  }),
  sum('payout', 'money', 'Owed to affiliates, in hold or not', 'payout of approved conversions'),
  sum('payout_pending', 'money', 'Would be owed to affiliates', 'payout of pending conversions'),
  sum('cost', 'money', 'Paid for the traffic', 'the `cost` of clicks', { visibleTo: notAffiliates }),
  {
    name: 'profit',
    description: 'What is left',
    formula: 'revenue − payout − cost',
    unit: 'money',
    visibleTo: notAffiliates,
    sums: ['revenue', 'payout', 'cost'],
    sql: () => 'revenue - payout - cost',
  },
  {
    name: 'roi',
    description: 'Profit for each unit spent',
    formula: 'profit ÷ (payout + cost)',
    unit: 'ratio',
    visibleTo: notAffiliates,
    sums: ['revenue', 'payout', 'cost'],
    sql: () => ratio('revenue - payout - cost', 'payout + cost'),
  },
]

export const metrics: ReadonlyMap<string, Metric> = new Map(listed.map((metric) => [metric.name, metric]))

/** The metrics that somebody of this role may see, in their usual order. */
export const visibleMetrics = (role: Role): readonly Metric[] =>
  listed.filter(({ visibleTo }) => visibleTo.includes(role))
