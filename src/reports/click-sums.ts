import type { Tenant } from '#accounts'

import type { Filter, RowsAsked } from './compile-report.ts'
import { isOfTime, type Dimension } from './dimensions.ts'
import { isOfCurrency, measures, type Measure } from './measures.ts'
import { factsSource } from './source.ts'
import type { TimeRange } from './time-range.ts'

/** Sums of clicks that ClickHouse keeps beside the rows of a part (projections of migrations/clickhouse/007_click_sums.sql), and
 * takes by itself where a question asks for nothing else: what is grouped and filtered by must be among their columns, and the
 * sums must be written as there. Parts that are not merged yet have none; their rows are read as always.
 */
type ClickSums = {
  readonly columns: ReadonlySet<string>
  /** Whether they are by hour; else by UTC day, which is what a part is of. */
  readonly isByHour: boolean
}

/** The smallest first. */
const clickSums: readonly ClickSums[] = [
  { columns: new Set(['advertiser_id', 'campaign_id']), isByHour: true },
  { columns: new Set(['advertiser_id', 'source_id', 'ad_campaign_id', 'creative_id']), isByHour: false },
  { columns: new Set(['advertiser_id', 'country', 'device_type', 'os', 'browser']), isByHour: false },
  { columns: new Set(['advertiser_id', 'campaign_id', 'affiliate_id', 'offer_id']), isByHour: false },
]

/** Those that they have, with the amounts of each currency. */
const summed: ReadonlySet<string> = new Set(
  ['clicks', 'uniques', 'uniques_campaign', 'uniques_offer', 'uniques_global', 'bots'].map(
    (name) => measures[name as keyof typeof measures].name,
  ),
)
const COST = 'cost_micros'

/** Rows of one table in some part of a range. */
export type Slice = {
  /** What stands for the time of a row. */
  readonly at: string
  /** Which rows are in it. */
  readonly sql: string
  readonly params: Readonly<Record<string, unknown>>
  /** Whether it is meant for the sums: amounts are added by currency then. */
  readonly isSummed: boolean
}

type Asked = Pick<RowsAsked, 'range' | 'timezone' | 'filters' | 'rule' | 'time'>

const HOUR_MS = 3_600_000
const DAY_MS = 86_400_000

/** The slices of clicks to ask the kept sums by; undefined: they do not have what is asked.
 * @param prefix begins the names of the parameters, of which `<prefix>_from` and `<prefix>_to` are the range
 */
export function sliceBySums(
  asked: Asked,
  tenant: Tenant,
  groupBy: readonly Dimension[],
  needed: readonly Measure[],
  prefix: string,
): readonly Slice[] | undefined {
  const dimensions = [...groupBy, ...asked.filters.map(({ dimension }: Filter) => dimension)]
  const isByTime = dimensions.some(isOfTime)
  if (factsSource('clicks') !== 'clicks' || asked.rule?.clicks !== undefined || !needed.every(isSummed))
    return undefined
  const columns = [...tenantColumns(tenant), ...dimensions.filter((one) => !isOfTime(one)).map(columnOf)]
  const found = clickSums.find(
    (sums) =>
      columns.every((column) => sums.columns.has(column)) &&
      (sums.isByHour ? isOfWholeHours(asked, isByTime) : !isByTime && wholeDays(asked.range) !== undefined),
  )
  if (found === undefined) return undefined
  return found.isByHour ? [hoursOf(prefix)] : daysOf(asked.range, prefix)
}

function isSummed(measure: Measure): boolean {
  const { rows, kind, of, when, name } = measure
  if (rows !== measures.clicks.rows || kind !== 'sum') return false
  return isOfCurrency(measure) ? of === COST && when === undefined : of === undefined && summed.has(name)
}

/** Of a column of words its name; of anything else a name that no sums have. */
const columnOf = ({ kind, of }: Dimension): string => (kind === 'column' ? of : '')

const tenantColumns = (tenant: Tenant): readonly string[] => [
  ...(tenant.role === 'affiliate' ? ['affiliate_id'] : []),
  ...(tenant.role !== 'owner' && tenant.advertiserId !== undefined ? ['advertiser_id'] : []),
]

/** Whether the range begins and ends with an hour, and so do the days of the zone where they are asked for. */
function isOfWholeHours({ range: { fromMs, toMs }, timezone }: Asked, isByTime: boolean): boolean {
  if (fromMs % HOUR_MS !== 0 || toMs % HOUR_MS !== 0) return false
  if (!isByTime || timezone === 'UTC') return true
  // Zones that change by half an hour do so for months.
  for (let ms = fromMs; ms < toMs; ms += 30 * DAY_MS) if (!isOfWholeHour(ms, timezone)) return false
  return isOfWholeHour(toMs, timezone)
}

function isOfWholeHour(ms: number, timezone: string): boolean {
  const { offsetNanoseconds } = Temporal.Instant.fromEpochMilliseconds(ms).toZonedDateTimeISO(timezone)
  return offsetNanoseconds % (HOUR_MS * 1_000_000) === 0
}

function hoursOf(prefix: string): Slice {
  const at = 'toStartOfHour(at)'
  const from = `fromUnixTimestamp64Milli({${prefix}_from:Int64})`
  const to = `fromUnixTimestamp64Milli({${prefix}_to:Int64})`
  return { at, sql: `${at} >= ${from} AND ${at} < ${to}`, params: {}, isSummed: true }
}

/** UTC days that lie in the range with their whole length. */
function wholeDays({ fromMs, toMs }: TimeRange): { readonly fromMs: number; readonly toMs: number } | undefined {
  const days = { fromMs: Math.ceil(fromMs / DAY_MS) * DAY_MS, toMs: Math.floor(toMs / DAY_MS) * DAY_MS }
  return days.fromMs < days.toMs ? days : undefined
}

/** Whole days by the day, which the sums have; the rest by their rows. */
function daysOf(range: TimeRange, prefix: string): readonly Slice[] {
  const days = wholeDays(range)!
  const params = { [`${prefix}_first_day`]: dayOf(days.fromMs), [`${prefix}_end_day`]: dayOf(days.toMs) }
  const [first, end] = [`{${prefix}_first_day:Date}`, `{${prefix}_end_day:Date}`]
  const inRange = `at >= fromUnixTimestamp64Milli({${prefix}_from:Int64}) AND at < fromUnixTimestamp64Milli({${prefix}_to:Int64})`
  const whole: Slice = {
    ...{ at: 'at', sql: `toDate(at, 'UTC') >= ${first} AND toDate(at, 'UTC') < ${end}`, params, isSummed: true },
  }
  if (days.fromMs === range.fromMs && days.toMs === range.toMs) return [whole]
  const rest = { at: 'at', sql: `${inRange} AND (toDate(at, 'UTC') < ${first} OR toDate(at, 'UTC') >= ${end})`, params }
  return [whole, { ...rest, isSummed: false }]
}

/** Days of a range that is read by row. A partition is a UTC day: where it is in the range as a whole, the time of its rows need not be
 * read, which took a quarter of such a question's time.
 * @returns one `undefined`: no day is in the range as a whole
 */
export function sliceByDays(range: TimeRange, prefix: string): readonly (Slice | undefined)[] {
  const days = wholeDays(range)
  if (days === undefined) return [undefined]
  const [, ...rest] = daysOf(range, prefix)
  const params = { [`${prefix}_first_part`]: partOf(days.fromMs), [`${prefix}_end_part`]: partOf(days.toMs) }
  const sql = `_partition_id >= {${prefix}_first_part:String} AND _partition_id < {${prefix}_end_part:String}`
  return [{ at: 'at', sql, params, isSummed: false }, ...rest]
}

const partOf = (ms: number): string => dayOf(ms).replaceAll('-', '')

const dayOf = (ms: number): string => new Date(ms).toISOString().slice(0, 10)
