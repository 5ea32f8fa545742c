import type { Role } from '#accounts'

import { parseFormula, type Formula } from './formula/index.ts'
import { clicksWithEvent, EVENT_TYPE, eventsOf, measures, type Measure, type MeasureName } from './measures.ts'
import { everyone, notAffiliates, ownerOnly } from './visibility.ts'

export { countedRows, type FactsTable } from './measures.ts'

/** The one list of what can be measured: what a number means, how it is computed, how it is shown and who may see it. Reports,
 * the API's schema, heads of columns and docs/reports.md are made of it.
 */
export type Metric = {
  readonly name: string
  /** For people: the head of a column. */
  readonly title: string
  readonly description: string
  /** How it is counted, for a person. */
  readonly formula: string
  readonly unit: Unit
  readonly format: Format
  readonly visibleTo: readonly Role[]
  /** Whether a report has it that asks for no metrics. */
  readonly isDefault: boolean
  readonly definition: (role: Role) => Definition
}

/** `money`: decimal text in the report's currency; `ratio`: number with up to six decimals; `seconds`: number with up to three;
 * null where the divisor is 0 or there is no value.
 */
export type Unit = 'count' | 'money' | 'ratio' | 'seconds'

/** How a number is shown: `percent` is a ratio times a hundred, `money` has at least two decimals, `duration` is in seconds. */
export type Format = 'integer' | 'decimal' | 'percent' | 'money' | 'duration'

/** What a metric is made of: rows added up, a percentile of their spread, or a formula over other metrics. */
export type Definition =
  | { readonly kind: 'measure'; readonly measure: Measure }
  | { readonly kind: 'percentile'; readonly measure: Measure; readonly percent: number }
  | { readonly kind: 'formula'; readonly formula: Formula }

const formats: Readonly<Record<Unit, Format>> = {
  ...{ count: 'integer', money: 'money', ratio: 'percent', seconds: 'duration' },
}

/** How the result of a formula is shown unless something else is said. */
export const formatOf = (unit: Unit): Format => (unit === 'ratio' ? 'decimal' : formats[unit])

type More = Partial<Pick<Metric, 'format' | 'visibleTo' | 'isDefault'>>

function counted(name: MeasureName, title: string, description: string, formula: string, more: More = {}): Metric {
  const measure: Measure = measures[name]
  return {
    ...{ name, title, description, formula, unit: measure.unit, format: formats[measure.unit], visibleTo: everyone },
    ...{ isDefault: true, definition: () => ({ kind: 'measure', measure }), ...more },
  }
}

/** @param by the formula in the language of formulas, and another one for affiliates where they see other numbers */
function computed(
  name: string,
  title: string,
  description: string,
  unit: Unit,
  by: string | { readonly formula: string; readonly affiliate: string },
  more: More = {},
): Metric {
  const text = typeof by === 'string' ? by : by.formula
  const forAffiliates = typeof by === 'string' ? undefined : readFormula(by.affiliate)
  const definition: Definition = { kind: 'formula', formula: readFormula(text) }
  const said = typeof by === 'string' ? text : `${text}; for an affiliate ${by.affiliate}`
  return {
    ...{ name, title, description, formula: shown(said), unit, format: formats[unit], visibleTo: everyone },
    isDefault: false,
    definition: (role) =>
      role === 'affiliate' && forAffiliates !== undefined ? { kind: 'formula', formula: forAffiliates } : definition,
    ...more,
  }
}

function percentile(name: string, of: MeasureName, percent: number, title: string, description: string): Metric {
  const measure: Measure = measures[of]
  return {
    ...{ name, title, description, unit: 'seconds', format: 'duration', visibleTo: everyone, isDefault: false },
    formula: `the smallest value that ${percent} % of the values do not exceed`,
    definition: () => ({ kind: 'percentile', measure, percent }),
  }
}

/** A formula of the registry; a test reads them all. */
function readFormula(text: string): Formula {
  const parsed = parseFormula(text)
  if (parsed.kind === 'invalid') throw new Error(`${text}: ${parsed.message} at ${parsed.column}`)
  return parsed.formula
}

const shown = (formula: string): string =>
  formula.replaceAll(' / ', ' ÷ ').replaceAll(' - ', ' − ').replaceAll(' * ', ' × ')

const hidden = { visibleTo: notAffiliates } as const
const shownByDefault = { isDefault: true } as const

const listed: readonly Metric[] = [
  counted(
    'clicks',
    'Clicks',
    'Visitors sent on, bots included',
    'requests of class `click` that were redirected, sent to the fallback or shown a page of a flow',
  ),
  counted(
    'uniques',
    'Unique clicks',
    'Clicks of visitors not seen before',
    'clicks that were the first of their visitor for the campaign (for a link straight to an offer: for the offer) within its `unique_ttl_hours`',
  ),
  counted(
    'uniques_campaign',
    'Unique for the campaign',
    'Clicks of visitors new to the campaign',
    'clicks of a campaign that were the first of their visitor for it within its `unique_ttl_hours`',
    { isDefault: false },
  ),
  counted(
    'uniques_offer',
    'Unique for the offer',
    'Clicks of visitors new to the offer',
    'clicks that were the first of their visitor for the offer within the `unique_ttl_hours`',
    { isDefault: false },
  ),
  counted(
    'uniques_global',
    'Unique anywhere',
    'Clicks of visitors new to the whole installation',
    'clicks that were the first of their visitor for any campaign or offer within the `unique_ttl_hours`',
    { isDefault: false, visibleTo: ownerOnly },
  ),
  counted('bots', 'Bots', 'Clicks of bots, part of the clicks', 'clicks with a bot reason'),
  counted(
    'refused_clicks',
    'Refused clicks',
    'Clicks that did not go where they should: to a fallback, which count as clicks too, or nowhere',
    'requests of class `click` with a refusal reason',
    { ...hidden, isDefault: false },
  ),
  counted('opens', 'LP views', 'Landing pages opened', 'accepted `open` events'),
  counted('lp_clicks', 'LP clicks', 'Clicks on the landing page', 'accepted `lp_click` events'),
  computed('ctr', 'CTR', 'Share of the visitors that clicked on the landing page', 'ratio', 'lp_clicks / clicks', shownByDefault),
  computed('lp_ctr', 'LP CTR', 'Share of the views of landing pages with a click on them', 'ratio', 'lp_clicks / opens'),
  counted('refused_events', 'Refused events', 'Events that do not count', 'events with a refusal reason', {
    ...hidden,
    isDefault: false,
  }),
  counted('leads', 'Leads', 'Leads that are not rejected', 'conversions of type `lead`, pending or approved'),
  counted('sales', 'Sales', 'Sales that are not rejected', 'conversions of type `sale`, pending or approved'),
  counted(
    'deposits',
    'Deposits',
    'Deposits that are not rejected, part of the sales unless an offer books them as leads',
    'conversions of goal `deposit`, pending or approved',
    { isDefault: false },
  ),
  computed('conversions', 'Conversions', 'Leads and sales', 'count', 'leads + sales'),
  counted('pending', 'Pending', 'Conversions that wait for a decision, part of leads and sales', 'conversions of status `pending`'),
  counted('approved', 'Approved', 'Approved conversions, part of leads and sales', 'conversions of status `approved`', {
    isDefault: false,
  }),
  counted('rejected', 'Rejected', 'Rejected conversions, not part of leads and sales', 'conversions of status `rejected`'),
  computed('approval_rate', 'Approval rate', 'Share of all conversions that is approved', 'ratio', 'approved / (approved + pending + rejected)'),
  computed('approval_rate_decided', 'Approval rate of decided', 'Share of the decided conversions that is approved', 'ratio', 'approved / (approved + rejected)'),
  computed('cr', 'CR', 'Conversion rate', 'ratio', '(leads + sales) / clicks', shownByDefault),
  computed('cr_leads', 'CR to lead', 'Leads for each click', 'ratio', 'leads / clicks'),
  computed('cr_sales', 'CR to sale', 'Sales for each click', 'ratio', 'sales / clicks'),
  computed('cr_uniques', 'CR of uniques', 'Conversions for each unique click', 'ratio', '(leads + sales) / uniques'),
  computed('cr_lp_clicks', 'CR of LP clicks', 'Conversions for each click on the landing page', 'ratio', '(leads + sales) / lp_clicks'),
  computed('epc', 'EPC', 'Earnings per click of whoever looks', 'money', { formula: 'revenue / clicks', affiliate: 'payout / clicks' }, shownByDefault),
  computed('epl', 'EPL', 'Earnings per lead of whoever looks', 'money', { formula: 'revenue / leads', affiliate: 'payout / leads' }),
  counted('revenue', 'Revenue', 'Earned from the advertiser', 'revenue of approved conversions', hidden),
  counted('revenue_pending', 'Revenue pending', 'Would be earned from the advertiser', 'revenue of pending conversions', hidden),
  counted('payout', 'Payout', 'Owed to affiliates, in hold or not', 'payout of approved conversions'),
  counted('payout_pending', 'Payout pending', 'Would be owed to affiliates', 'payout of pending conversions'),
  counted('click_cost', 'Cost of clicks', 'Paid for the traffic, as the clicks themselves said', 'the `cost` of clicks', { ...hidden, isDefault: false }),
  counted('imported_cost', 'Imported cost', 'Paid for the traffic, as it was imported, clicks that bear it or not', 'the shares of cost imports', { ...hidden, isDefault: false }),
  computed('cost', 'Cost', 'Paid for the traffic', 'money', 'click_cost + imported_cost', { ...hidden, isDefault: true }),
  computed('cpc', 'CPC', 'Cost of a click', 'money', 'cost / clicks', hidden),
  computed('cpa', 'CPA', 'Cost of a conversion', 'money', 'cost / (leads + sales)', hidden),
  computed('profit', 'Profit', 'What is left', 'money', 'revenue - payout - cost', { ...hidden, isDefault: true }),
  computed('roi', 'ROI', 'Profit for each unit spent', 'ratio', 'profit / (payout + cost)', { ...hidden, isDefault: true }),
  computed('roas', 'ROAS', 'Revenue for each unit of cost', 'ratio', 'revenue / cost', hidden),
  computed('margin', 'Margin', 'Share of the revenue that is profit', 'ratio', 'profit / revenue', hidden),
  counted('sale_amount', 'Turnover', 'What customers paid the advertiser', 'the amount of approved sales', {
    isDefault: false,
  }),
  {
    ...{ name: 'aov', title: 'AOV', description: 'Average order value', formula: 'sale_amount ÷ approved sales that have an amount' },
    ...{ unit: 'money', format: 'money', visibleTo: everyone, isDefault: false },
    definition: () => over('sale_amount', 'sales_with_amount'),
  },
  average('ttc_avg', 'Time to conversion', 'Average time from the click to the conversion', 'conversion_time', 'timed_conversions'),
  percentile('ttc_p50', 'conversion_times', 50, 'Time to conversion, median', 'Time from the click to the conversion that half of them keep'),
  percentile('ttc_p90', 'conversion_times', 90, 'Time to conversion, p90', 'Time from the click to the conversion that 90 % of them keep'),
  percentile('ttc_p95', 'conversion_times', 95, 'Time to conversion, p95', 'Time from the click to the conversion that 95 % of them keep'),
  average('time_on_page_avg', 'Time on page', 'Average time on a page', 'page_time', 'pages_timed'),
  percentile('time_on_page_p50', 'page_times', 50, 'Time on page, median', 'Time on a page that half of the visits keep'),
  percentile('time_on_page_p90', 'page_times', 90, 'Time on page, p90', 'Time on a page that 90 % of the visits keep'),
  percentile('time_on_page_p95', 'page_times', 95, 'Time on page, p95', 'Time on a page that 95 % of the visits keep'),
] // prettier-ignore

function average(name: string, title: string, description: string, sum: MeasureName, count: MeasureName): Metric {
  const rows =
    sum === 'page_time' ? 'accepted events that tell the time on the page' : 'leads and sales that are not rejected'
  return {
    ...{ name, title, description, unit: 'seconds', format: 'duration', visibleTo: everyone, isDefault: false },
    formula: `sum ÷ number of ${rows}`,
    definition: () => over(sum, count),
  }
}

/** One measure divided by another, of which at least one is no metric of its own. */
function over(part: MeasureName, whole: MeasureName): Definition {
  const measure = (name: MeasureName): Formula => ({ kind: 'metric', name: `#${name}`, column: 1 })
  return {
    kind: 'formula',
    formula: { kind: 'arithmetic', op: '/', left: measure(part), right: measure(whole), column: 1 },
  }
}

/** Every metric with a name of its own; besides them there are `event.<type>` and `event_uniques.<type>` for each type of
 * events, and what tenants define.
 */
export const metrics: ReadonlyMap<string, Metric> = new Map(listed.map((metric) => [metric.name, metric]))

/** The metric of this name; undefined where there is none. */
export function findMetric(name: string): Metric | undefined {
  return metrics.get(name) ?? findEventMetric(name)
}

/** `event.kyc`: accepted events of the type; `event_uniques.kyc`: clicks with one. */
function findEventMetric(name: string): Metric | undefined {
  const dot = name.indexOf('.')
  const [family, type] = [name.slice(0, dot), name.slice(dot + 1)]
  if (!EVENT_TYPE.test(type)) return undefined
  if (family === 'event')
    return ofEvent(name, `Events ${type}`, `Events of type ${type}`, `accepted \`${type}\` events`, eventsOf(type))
  if (family === 'event_uniques')
    return ofEvent(name, `Clicks with ${type}`, `Clicks with an event of type ${type}`, `different clicks with an accepted \`${type}\` event`, clicksWithEvent(type)) // prettier-ignore
  return undefined
}

const ofEvent = (name: string, title: string, description: string, formula: string, measure: Measure): Metric => ({
  ...{ name, title, description, formula, unit: 'count', format: 'integer', visibleTo: everyone, isDefault: false },
  definition: () => ({ kind: 'measure', measure }),
})

/** What a name in a formula of this file means: a metric, or with `#` before it a measure that is none by itself. */
export function findDefinition(name: string, role: Role): Definition | undefined {
  if (!name.startsWith('#')) return findMetric(name)?.definition(role)
  const measure: Measure | undefined = measures[name.slice(1) as MeasureName]
  return measure && { kind: 'measure', measure }
}

/** The metrics that somebody of this role may see, in their usual order. */
export const visibleMetrics = (role: Role): readonly Metric[] =>
  listed.filter(({ visibleTo }) => visibleTo.includes(role))

/** What a report has that asks for no metrics: the usual ones that are cheap to compute. */
export const defaultMetrics = (role: Role): readonly Metric[] =>
  visibleMetrics(role).filter(({ isDefault }) => isDefault)
