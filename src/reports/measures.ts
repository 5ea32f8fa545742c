import { convertedSum } from './conversion.ts'

/** What is added up over the rows of one table of the facts; metrics are formulas over these. */
export const factsTables = ['clicks', 'events', 'conversions', 'costs'] as const
export type FactsTable = (typeof factsTables)[number]
/** Those of what visitors did. */
export type ActionTable = Exclude<FactsTable, 'costs'>

/** `distinct` counts different clicks, `spread` keeps how often each value occurs, for percentiles. */
type MeasureKind = 'sum' | 'distinct' | 'spread'

export type Measure = {
  readonly name: string
  readonly table: FactsTable
  /** Rows that it counts. Rows that no asked measure counts make no group of a report. */
  readonly rows: string
  /** Of money: micros of the report's currency; of seconds: milliseconds. */
  readonly unit: 'count' | 'money' | 'seconds'
  readonly kind: MeasureKind
  /** A sum: what a row adds, undefined for 1. Distinct: of which value. A spread: of which value. */
  readonly of: string | undefined
  /** Which of the rows are added. */
  readonly when: string | undefined
  /** Whether rows of another currency than the report's are left out, or converted where the report converts. */
  readonly isOfCurrency?: true
}

/** Clicks that went somewhere: HEAD, prefetch and preview requests and links that lead nowhere are kept and are no clicks. */
const CLICKS = `class = 'click' AND outcome IN ('redirected', 'shown', 'fallback')`
/** The same as a column of the table, which neither kept rows nor archives have (migrations/clickhouse/008_ready_columns.sql). */
const COUNTED_COLUMN = 'is_counted'
const ACCEPTED = `refusal = ''`
const ALL = '1'
/** A condition on rows, in the columns that the table itself has. */
export const inOwnColumns = (rows: string): string => (rows === CLICKS ? COUNTED_COLUMN : rows)

/** Rows that the usual metrics count: for questions that are no sums of measures. */
export const countedRows: Readonly<Record<FactsTable, string>> = {
  clicks: CLICKS,
  events: `${ACCEPTED} AND type IN ('open', 'lp_click')`,
  conversions: ALL,
  costs: ALL,
}

const IN_CURRENCY = 'currency = {currency:String}'
const TIME_TO_CONVERSION = 'toUnixTimestamp64Milli(at) - toUnixTimestamp64Milli(click_at)'
/** A conversion that a person entered may have no click. */
const HAS_CLICK = `status != 'rejected' AND toUnixTimestamp64Milli(click_at) > 0`

const ofCurrency = { isOfCurrency: true } as const

const both = (...conditions: readonly (string | undefined)[]): string | undefined => {
  const known = conditions.filter((condition) => condition !== undefined)
  return known.length === 0 ? undefined : known.join(' AND ')
}

const clicksWhere = (name: string, when?: string): Measure => ({
  ...{ name, table: 'clicks', rows: CLICKS, unit: 'count', kind: 'sum', of: undefined, when },
})

const conversionsWhere = (name: string, when: string): Measure => ({
  ...{ name, table: 'conversions', rows: ALL, unit: 'count', kind: 'sum', of: undefined, when },
})

const conversionMoney = (name: string, amount: string, condition: string): Measure => ({
  ...{ name, table: 'conversions', rows: ALL, unit: 'money', kind: 'sum', of: amount, when: condition },
  ...ofCurrency,
})

/** A condition on events' types; the name is one that the edge takes, which has no quotes. */
const ofType = (type: string): string => `${ACCEPTED} AND type = '${type}'`

export const EVENT_TYPE = /^[a-z0-9_.-]{1,64}$/

const eventsWhere = (name: string, rows: string): Measure => ({
  ...{ name, table: 'events', rows, unit: 'count', kind: 'sum', of: undefined, when: undefined },
})

/** Accepted events of a type. */
export const eventsOf = (type: string): Measure => eventsWhere(`event.${type}`, ofType(type))

/** Clicks with an accepted event of a type. */
export const clicksWithEvent = (type: string): Measure => ({
  ...eventsWhere(`event_uniques.${type}`, ofType(type)),
  ...{ kind: 'distinct', of: 'click_id' },
})

const isDeposit = `goal = 'deposit' AND status != 'rejected'`
const isApprovedSale = `type = 'sale' AND status = 'approved'`
/** Pages tell how long they were open when they are left. */
const timedPages = `${ACCEPTED} AND time_on_page_ms > 0`

const cost = { unit: 'money', kind: 'sum', of: 'cost_micros', when: undefined, ...ofCurrency } as const

export const measures = {
  clicks: clicksWhere('clicks'),
  uniques: clicksWhere('uniques', `if(campaign_id = '', is_unique_offer, is_unique_campaign)`),
  uniques_campaign: clicksWhere('uniques_campaign', `campaign_id != '' AND is_unique_campaign`),
  uniques_offer: clicksWhere('uniques_offer', 'is_unique_offer'),
  uniques_global: clicksWhere('uniques_global', 'is_unique_global'),
  bots: clicksWhere('bots', `bot != ''`),
  click_cost: { name: 'click_cost', table: 'clicks', rows: CLICKS, ...cost },
  imported_cost: { name: 'imported_cost', table: 'costs', rows: ALL, ...cost },
  refused_clicks: { ...clicksWhere('refused_clicks'), rows: `class = 'click' AND refusal != ''` },
  opens: eventsOf('open'),
  lp_clicks: eventsOf('lp_click'),
  refused_events: eventsWhere('refused_events', `refusal != ''`),
  pages_timed: eventsWhere('pages_timed', timedPages),
  page_time: { ...eventsWhere('page_time', timedPages), ...{ unit: 'seconds', of: 'time_on_page_ms' } },
  page_times: { ...eventsWhere('page_times', timedPages), ...{ unit: 'seconds', kind: 'spread', of: 'time_on_page_ms' } },
  leads: conversionsWhere('leads', `type = 'lead' AND status != 'rejected'`),
  sales: conversionsWhere('sales', `type = 'sale' AND status != 'rejected'`),
  deposits: conversionsWhere('deposits', isDeposit),
  pending: conversionsWhere('pending', `status = 'pending'`),
  approved: conversionsWhere('approved', `status = 'approved'`),
  rejected: conversionsWhere('rejected', `status = 'rejected'`),
  revenue: conversionMoney('revenue', 'revenue_micros', `status = 'approved'`),
  payout: conversionMoney('payout', 'payout_micros', `status = 'approved'`),
  revenue_pending: conversionMoney('revenue_pending', 'revenue_micros', `status = 'pending'`),
  payout_pending: conversionMoney('payout_pending', 'payout_micros', `status = 'pending'`),
  sale_amount: conversionMoney('sale_amount', 'sale_amount_micros', isApprovedSale),
  sales_with_amount: {
    ...conversionsWhere('sales_with_amount', `${isApprovedSale} AND sale_amount_micros != 0`),
    ...ofCurrency,
  },
  timed_conversions: conversionsWhere('timed_conversions', HAS_CLICK),
  conversion_time: {
    ...conversionsWhere('conversion_time', HAS_CLICK),
    ...{ unit: 'seconds', of: TIME_TO_CONVERSION },
  },
  conversion_times: {
    ...conversionsWhere('conversion_times', HAS_CLICK),
    ...{ unit: 'seconds', kind: 'spread', of: TIME_TO_CONVERSION },
  },
} satisfies Record<string, Measure> // prettier-ignore

export type MeasureName = keyof typeof measures

/** Whether it only counts rows of the report's currency, or converts the others. */
export const isOfCurrency = (measure: Measure): boolean => measure.isOfCurrency === true

/** How a measure is computed over the rows of its table.
 * @param isSelected whether the rows are exactly those of the measure, so that they need not be asked again
 * @param isPart whether parts of other tables or times are merged with it by `mergeSql`
 * @param isConverted whether the part is of one currency and day, which `mergeSql` converts
 * @param isSigned whether a row says in `sign` for how many it stands
 */
export function measureSql(
  measure: Measure,
  isSelected: boolean,
  isPart: boolean,
  isConverted = false,
  isSigned = measure.table === 'conversions',
): string {
  const rows = isSelected || measure.rows === ALL ? undefined : `(${measure.rows})`
  const currency = isOfCurrency(measure) && !isConverted ? IN_CURRENCY : undefined
  const condition = both(rows, measure.when, currency) ?? '1'
  const If = condition === '1' ? '' : 'If'
  const args = (...values: readonly string[]): string => [...values, ...(If === '' ? [] : [condition])].join(', ')
  const value = measure.of ?? '1'
  switch (measure.kind) {
    case 'sum':
      if (isSigned) return `sum${If}(${args(value === '1' ? 'toInt64(sign)' : `sign * (${value})`)})`
      return value === '1' ? `toInt64(count${If}(${args()}))` : `sum${If}(${args(`toInt64(${value})`)})`
    case 'distinct':
      return isPart ? `uniqExactState${If}(${args(value)})` : `toInt64(uniqExact${If}(${args(value)}))`
    case 'spread':
      return `sumMap${If}(${args(`[toInt64(${value})]`, `[toInt64(${isSigned ? 'sign' : '1'})]`)})`
    default:
      return measure.kind satisfies never
  }
}

/** What stands for a measure in a part that has no rows of it. */
export function emptyMeasureSql(measure: Measure): string {
  switch (measure.kind) {
    case 'sum':
      return 'toInt64(0)'
    case 'distinct':
      return `arrayReduce('uniqExactState', CAST([], 'Array(UUID)'))`
    case 'spread':
      return `CAST(([], []), 'Tuple(Array(Int64), Array(Int64))')`
    default:
      return measure.kind satisfies never
  }
}

/** A measure of several parts. The only place where amounts of one currency become those of another.
 * @param factor what amounts of a part are multiplied with, as conversion.ts has it; undefined: they are of the report's currency
 */
export function mergeSql(measure: Measure, column: string, factor?: string): string {
  switch (measure.kind) {
    case 'sum':
      if (factor === undefined || !isOfCurrency(measure)) return `sum(${column})`
      // What has no rate counts nowhere.
      return measure.unit === 'money' ? convertedSum(column, factor) : `sumIf(${column}, ${factor} != 0)`
    case 'distinct':
      return `toInt64(uniqExactMerge(${column}))`
    case 'spread':
      return `sumMap(${column})`
    default:
      return measure.kind satisfies never
  }
}

/** The smallest value that at least this share of the values reach or stay below, of the merged column of a spread; null
 * without values. Weights of a value add up to how often it is there: what was taken back has gone.
 */
export function percentileSql(column: string, percent: number): string {
  const rank = `greatest(1, ceil(arraySum(${column}.2) * ${percent} / 100))`
  const place = `arrayFirstIndex(reached -> reached >= ${rank}, arrayCumSum(${column}.2))`
  return `if(empty(${column}.1), NULL, ${column}.1[${place}])`
}
