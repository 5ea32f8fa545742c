import type { Tenant } from '#accounts'
import { isTimezone } from '#platform/clock'
import type { FactsClient } from '#platform/clickhouse'
import { formatAmount, parseCurrency } from '#platform/money'
import type { RuleLists } from '#rules'

import { tablesOf, type CompiledQuery, type Report } from '../compile-report.ts'
import { findDimension, isOfTime, visibleDimensions, type Dimension } from '../dimensions.ts'
import type { Formula } from '../formula/index.ts'
import { factsTables, type FactsTable } from '../measures.ts'
import { findMetric, type Metric } from '../metrics.ts'
import { parseRuleFilter, type RuleFilter } from '../rule-filter.ts'
import { runReport, type ReportAnswer, type ReportRow } from '../run-report.ts'
import type { MissingDays } from '../source.ts'
import { parseRange, type TimeRange } from '../time-range.ts'
import { noDimension, noMetric } from '../unknown-name.ts'
import { explainBy, type Explanation, type ValueChange } from './explain.ts'
import { findUnusual, HOUR_MS, type HourValue, type Judgement, type Series, type Unusual } from './find-unusual.ts'
import { anomalyLimits } from './limits.ts'
import { shapeOf, type Shape } from './shape.ts'
import { median } from './statistics.ts'

export type AskedAnomalies = {
  readonly metric: string
  readonly from?: string | undefined
  readonly to?: string | undefined
  readonly tz?: string | undefined
  readonly currency?: string | undefined
  /** Weeks before an hour that say what is usual. */
  readonly weeks?: number | undefined
  /** Deviations from the usual that make an anomaly. */
  readonly sensitivity?: number | undefined
  readonly min_count?: number | undefined
  /** In which an explanation is looked for; left out: those that have few values. */
  readonly dimensions?: readonly string[] | undefined
  readonly filter?: string | undefined
  /** Whether archives are read for what is not kept of retired days. */
  readonly archive?: boolean | undefined
  readonly limit?: number | undefined
}

export type AnomalyDefaults = {
  readonly timezone: string
  readonly currency: string
  readonly nowMs: number
  readonly lists?: RuleLists | undefined
}

export type Anomalies = {
  readonly metric: Metric
  readonly shape: Shape
  readonly range: TimeRange
  readonly timezone: string
  readonly currency: string | undefined
  readonly defaultCurrency: string
  readonly weeks: number
  readonly sensitivity: number
  readonly countMin: number
  readonly dimensions: readonly Dimension[]
  readonly rule: RuleFilter | undefined
  readonly hasArchive: boolean
  readonly limit: number
}

export type ParsedAnomalies =
  | { readonly kind: 'asked'; readonly anomalies: Anomalies }
  | { readonly kind: 'invalid' | 'forbidden'; readonly path: string; readonly detail: string }

type Refusal = Exclude<ParsedAnomalies, { kind: 'asked' }>
const invalid = (path: string, detail: string): Refusal => ({ kind: 'invalid', path, detail })
const forbidden = (path: string, name: string, { role }: Tenant): Refusal => ({
  ...{ kind: 'forbidden', path, detail: `"${name}" is not shown to an ${role}` },
})
const isRefusal = (value: object): value is Refusal => 'kind' in value && 'detail' in value

/** Checks the question against the registries and the tenant's role. Only hours that are over are looked at. Pure. */
export function parseAnomalies(asked: AskedAnomalies, tenant: Tenant, defaults: AnomalyDefaults): ParsedAnomalies {
  const timezone = asked.tz ?? defaults.timezone
  if (!isTimezone(timezone)) return invalid('tz', `"${timezone}" is no IANA time zone`)
  const range = rangeOf(asked, timezone, defaults.nowMs)
  if ('kind' in range) return range
  const currency = asked.currency === undefined ? undefined : parseCurrency(asked.currency)
  if (asked.currency !== undefined && currency === undefined)
    return invalid('currency', `"${asked.currency}" is no ISO 4217 code`)
  const metric = findMetric(asked.metric)
  if (metric === undefined) return invalid('metric', noMetric(asked.metric, tenant.role))
  if (!metric.visibleTo.includes(tenant.role)) return forbidden('metric', asked.metric, tenant)
  const shape = shapeOf(metric, tenant.role)
  if (shape === undefined) return invalid('metric', `"${asked.metric}" is neither a sum nor one sum divided by another`)
  const tables = tablesOf({ metrics: [metric], custom: [], having: undefined }, tenant.role)
  const dimensions = parseDimensions(asked.dimensions, tenant, tables)
  if (isRefusal(dimensions)) return dimensions
  const rule = asked.filter === undefined ? undefined : parseRuleFilter(asked.filter, tenant, defaults.lists, tables)
  if (rule?.kind === 'invalid') return invalid('filter', rule.detail)
  if (rule?.kind === 'forbidden') return forbidden('filter', rule.field, tenant)
  return {
    kind: 'asked',
    anomalies: {
      ...{ metric, shape, range, timezone, currency, dimensions, rule: rule?.filter },
      defaultCurrency: defaults.currency,
      hasArchive: asked.archive ?? false,
      weeks: asked.weeks ?? anomalyLimits.weeksDefault,
      sensitivity: asked.sensitivity ?? anomalyLimits.sensitivityDefault,
      countMin: asked.min_count ?? anomalyLimits.countMinDefault,
      limit: asked.limit ?? anomalyLimits.anomaliesDefault,
    },
  }
}

function rangeOf(asked: AskedAnomalies, timezone: string, nowMs: number): TimeRange | Refusal {
  const lastMs = startOfHour(nowMs, timezone)
  const range = parseRange(asked.from, asked.to, timezone, nowMs)
  if ('problem' in range) return invalid(range.path, `"${range.path}" ${range.problem}`)
  const toMs = Math.min(startOfHour(range.toMs, timezone), lastMs)
  const fromMs = asked.from === undefined ? toMs - anomalyLimits.rangeHoursDefault * HOUR_MS : startOfHour(range.fromMs, timezone) // prettier-ignore
  if (fromMs >= toMs) return invalid('from', 'there is no whole hour that is over')
  if (toMs - fromMs > anomalyLimits.rangeHoursMax * HOUR_MS)
    return invalid('from', `the range is longer than ${anomalyLimits.rangeHoursMax} hours`)
  return { fromMs, toMs }
}

/** Hours of the zone, which need not begin with those of UTC. */
const startOfHour = (ms: number, timezone: string): number =>
  Temporal.Instant.fromEpochMilliseconds(ms).toZonedDateTimeISO(timezone).round({ smallestUnit: 'hour', roundingMode: 'floor' }).epochMilliseconds // prettier-ignore

/** Dimensions of few values, by which people steer. */
const USUAL_DIMENSIONS: readonly string[] = [
  'advertiser_id', 'affiliate_id', 'campaign_id', 'offer_id', 'landing_id', 'source_id', 'country', 'device_type', 'os', 'browser',
  'utm_source', 'isp',
] // prettier-ignore

function parseDimensions(
  names: readonly string[] | undefined,
  tenant: Tenant,
  tables: readonly FactsTable[],
): readonly Dimension[] | Refusal {
  if (names === undefined || names.length === 0)
    return visibleDimensions(tenant.role).filter(({ name }) => USUAL_DIMENSIONS.includes(name))
  if (names.length > anomalyLimits.dimensionsMax)
    return invalid('dimensions', `at most ${anomalyLimits.dimensionsMax} dimensions`)
  const found: Dimension[] = []
  for (const name of new Set(names)) {
    const dimension = findDimension(name)
    if (dimension === undefined) return invalid('dimensions', noDimension(name, tenant.role))
    if (isOfTime(dimension)) return invalid('dimensions', `"${name}" is a time, and explains nothing here`)
    if (!dimension.visibleTo.includes(tenant.role)) return forbidden('dimensions', name, tenant)
    if (tables.some((table) => !dimension.tables.includes(table)))
      return invalid('dimensions', `${tables.join(' and ')} are not all known by "${name}"`)
    found.push(dimension)
  }
  return found
}

/** A number of the metric as the answer shows it: decimal text of money, else a number with up to six decimals. */
export type Shown = number | string | null

export type Anomaly = {
  /** ISO 8601. */
  readonly from: string
  readonly to: string
  readonly direction: 'high' | 'low'
  /** By deviations: `notable`, from 6 on `strong`, from 10 on `extreme`. */
  readonly severity: 'notable' | 'strong' | 'extreme'
  /** Deviations from the expected. */
  readonly score: number
  readonly actual: Shown
  readonly expected: Shown
  /** The band of the usual. */
  readonly low: Shown
  readonly high: Shown
  /** Most telling first; empty: everything changed alike, or too many values would be needed. */
  readonly explanations: readonly {
    readonly dimension: string
    readonly explained: number
    readonly surprise: number
    readonly values: readonly {
      readonly value: string
      readonly actual: Shown
      readonly expected: Shown
      readonly contribution: number
      readonly mix?: number
      readonly rate?: number
    }[]
  }[]
}

export type AnomaliesAnswer = {
  readonly currency: string
  /** Of further amounts in the range and the weeks before, which are not in the numbers. */
  readonly other_currencies: readonly string[]
  /** Hours of which something can be said, and those with too few weeks of data or too small numbers. */
  readonly hours_checked: number
  readonly hours_skipped: number
  /** Largest score first. */
  readonly anomalies: readonly Anomaly[]
  readonly is_truncated: boolean
  /** Days that are not part of what is usual, or that a dimension could not be looked at for: it explains nothing then. */
  readonly missing_days: readonly MissingDays[]
}

/** The hours in which a metric was unusual for its hour of the week, with the values of dimensions that explain it.
 * @throws {WaypostError} facts_unavailable, query_too_expensive
 */
export async function findAnomalies(facts: FactsClient, tenant: Tenant, asked: Anomalies): Promise<AnomaliesAnswer> {
  const past = await askHours(facts, tenant, asked)
  const { currency, other_currencies } = past
  const series = seriesOf(past.rows, asked)
  const judgement = findUnusual(series)
  const ranked = [...judgement.unusual].sort((a, b) => b.score - a.score || a.fromMs - b.fromMs)
  const anomalies: Anomaly[] = []
  const missing = [...past.missing_days]
  for (const unusual of ranked.slice(0, asked.limit)) {
    const explained = await explain(facts, tenant, { ...asked, currency }, unusual, series, judgement)
    missing.push(...explained.missing)
    anomalies.push(toAnomaly(unusual, explained.explanations, asked))
  }
  return {
    ...{ currency, other_currencies },
    ...{ hours_checked: judgement.checked, hours_skipped: judgement.skipped, anomalies },
    is_truncated: ranked.length > asked.limit,
    missing_days: [...new Map(missing.map((one) => [JSON.stringify(one), one])).values()],
  }
}

/** A formula as a metric of its own, read as it comes from the facts: money in micros, times in milliseconds. */
const rawMetric = (name: string, formula: Formula): Metric => ({
  ...{ name, title: name, description: '', formula: '', unit: 'count', format: 'integer', visibleTo: [], isDefault: false },
  definition: () => ({ kind: 'formula', formula }),
}) // prettier-ignore

/** Names that no metric of the registry or of a tenant has. */
const PART = 'part of anomaly'
const WHOLE = 'whole of anomaly'

const ROWS_MAX = 10_000

function report(asked: Anomalies, range: TimeRange, rule: RuleFilter | undefined, groupBy: readonly Dimension[]) {
  const { shape, timezone, currency, defaultCurrency, hasArchive } = asked
  const metrics = [rawMetric(PART, shape.part), ...(shape.whole === undefined ? [] : [rawMetric(WHOLE, shape.whole)])]
  const common: Omit<Report, 'currency'> = {
    ...{ range, timezone, rule, groupBy, metrics, custom: metrics, filters: [], having: undefined, compare: undefined },
    ...{ order: [{ by: shape.whole === undefined ? PART : WHOLE, isDescending: true }], limit: ROWS_MAX, offset: 0, time: 'event' },
  } // prettier-ignore
  return { ...common, currency, defaultCurrency, hasArchive }
}

const valueOf = (row: ReportRow): HourValue => ({ part: Number(row[PART] ?? 0), whole: Number(row[WHOLE] ?? 0) })

const WEEK_HOURS = 168

/** The hours that are judged and those of the weeks before, an hour more where the clocks change. */
function askHours(facts: FactsClient, tenant: Tenant, asked: Anomalies): Promise<ReportAnswer> {
  const { range, weeks, rule } = asked
  const whole = { fromMs: range.fromMs - (weeks * WEEK_HOURS + 1) * HOUR_MS, toMs: range.toMs }
  return runReport(facts, tenant, report(asked, whole, rule, [findDimension('hour')!]))
}

function seriesOf(rows: readonly ReportRow[], asked: Anomalies): Series {
  const { range, shape, timezone, weeks, countMin, sensitivity } = asked
  const hours = Array.from({ length: (range.toMs - range.fromMs) / HOUR_MS }, (_, index) => range.fromMs + index * HOUR_MS) // prettier-ignore
  return {
    ...{ timezone, weeks, countMin, sensitivity, judged: hours, isOfCounts: shape.isOfCounts },
    isRatio: shape.whole !== undefined,
    values: new Map(rows.map((row) => [Date.parse(String(row['hour'])), valueOf(row)])),
  }
}

/** Looks for values that explain an anomaly, one question for each dimension. */
async function explain(
  facts: FactsClient,
  tenant: Tenant,
  asked: Anomalies,
  unusual: Unusual,
  { values, isRatio, isOfCounts }: Series,
  { scale }: Judgement,
): Promise<{ readonly explanations: readonly Explanation[]; readonly missing: readonly MissingDays[] }> {
  const firstMs = Math.min(...values.keys())
  const windows = windowsOf(unusual, asked).filter(({ fromMs }, index) => index === 0 || fromMs >= firstMs)
  const rule = ruleOf(asked.rule, windows)
  const range = { fromMs: Math.min(...windows.map(({ fromMs }) => fromMs)), toMs: unusual.toMs }
  const found: Explanation[] = []
  const missing: MissingDays[] = []
  for (const dimension of asked.dimensions) {
    const { rows, missing_days } = await runReport(
      facts,
      tenant,
      report(asked, range, rule, [dimension, findDimension('date')!]),
    )
    missing.push(...missing_days)
    // Of days that are not there every value would seem to be new.
    if (missing_days.length > 0) continue
    const changes = changesOf(rows, dimension, windows, asked.timezone)
    const explanation = explainBy(dimension.name, changes, { scale, isRatio, isOfCounts })
    if (explanation !== undefined) found.push(explanation)
  }
  found.sort((a, b) => b.surprise - a.surprise)
  return { explanations: found.slice(0, anomalyLimits.explanationsMax), missing }
}

/** The anomaly and the same hours of the weeks before. */
function windowsOf({ fromMs, toMs }: Unusual, { timezone, weeks }: Anomalies): readonly TimeRange[] {
  const before = (ms: number, count: number): number =>
    Temporal.Instant.fromEpochMilliseconds(ms).toZonedDateTimeISO(timezone).subtract({ weeks: count }).epochMilliseconds
  return Array.from({ length: weeks + 1 }, (_, week) => {
    const startMs = before(fromMs, week)
    return { fromMs: startMs, toMs: startMs + toMs - fromMs }
  })
}

/** Rows that lie in one of the windows, and meet the rule. */
function ruleOf(rule: RuleFilter | undefined, windows: readonly TimeRange[]): RuleFilter {
  const within = windows.map((_, index) => `(at >= fromUnixTimestamp64Milli({window_from_${index}:Int64}) AND at < fromUnixTimestamp64Milli({window_to_${index}:Int64}))`) // prettier-ignore
  const params = Object.fromEntries(
    windows.flatMap(({ fromMs, toMs }, index) => [[`window_from_${index}`, fromMs], [`window_to_${index}`, toMs]]), // prettier-ignore
  )
  const of = (table: FactsTable): CompiledQuery => {
    const own = rule?.[table]
    const sql = `(${within.join(' OR ')})`
    return own === undefined
      ? { sql, params }
      : { sql: `${sql} AND (${own.sql})`, params: { ...params, ...own.params } }
  }
  return Object.fromEntries(factsTables.map((table) => [table, of(table)]))
}

/** What each value had then, and the median of what it had in the weeks before. */
function changesOf(
  rows: readonly ReportRow[],
  dimension: Dimension,
  windows: readonly TimeRange[],
  timezone: string,
): readonly ValueChange[] {
  const weekOf = new Map(
    windows.flatMap((window, week) => datesOf(window, timezone).map((date) => [date, week] as const)),
  )
  const byValue = new Map<string, HourValue[]>()
  for (const row of rows) {
    const value = String(row[dimension.name])
    const weeks = byValue.get(value) ?? windows.map((): HourValue => ({ part: 0, whole: 0 }))
    byValue.set(value, weeks)
    const week = weekOf.get(String(row['date'])) ?? 0
    const { part, whole } = valueOf(row)
    weeks[week] = { part: weeks[week]!.part + part, whole: weeks[week]!.whole + whole }
  }
  return [...byValue].map(([value, [actual, ...before]]) => ({
    ...{ value, actual: actual! },
    expected: { part: median(before.map(({ part }) => part)), whole: median(before.map(({ whole }) => whole)) },
  }))
}

function datesOf({ fromMs, toMs }: TimeRange, timezone: string): readonly string[] {
  const dateAt = (ms: number): string =>
    Temporal.Instant.fromEpochMilliseconds(ms).toZonedDateTimeISO(timezone).toPlainDate().toString()
  // No anomaly is longer than a day.
  return [...new Set([dateAt(fromMs), dateAt(toMs - 1)])]
}

const SEVERITIES = [[10, 'extreme'], [6, 'strong'], [0, 'notable']] as const // prettier-ignore

const rounded = (value: number): number => Math.round(value * 1_000_000) / 1_000_000

function toAnomaly(unusual: Unusual, explanations: readonly Explanation[], { metric, timezone }: Anomalies): Anomaly {
  const show = (value: number | null): Shown => {
    if (value === null) return null
    if (metric.unit === 'money') return formatAmount(BigInt(Math.round(value)), 2)
    return rounded(metric.unit === 'seconds' ? value / 1_000 : value)
  }
  const isoOf = (ms: number): string =>
    Temporal.Instant.fromEpochMilliseconds(ms).toString({ timeZone: timezone, smallestUnit: 'second' })
  const { actual, expected, low, high, score } = unusual
  return {
    ...{ from: isoOf(unusual.fromMs), to: isoOf(unusual.toMs), direction: actual > expected ? 'high' : 'low' },
    severity: SEVERITIES.find(([from]) => score >= from)![1],
    ...{ score: rounded(score), actual: show(actual), expected: show(expected), low: show(low), high: show(high) },
    explanations: explanations.map(({ dimension, explained, surprise, values }) => ({
      ...{ dimension, explained: rounded(explained), surprise: rounded(surprise) },
      values: values.map((one) => ({
        ...{ value: one.value, actual: show(one.actual), expected: show(one.expected) },
        contribution: rounded(one.contribution),
        ...(one.mix !== undefined && { mix: rounded(one.mix) }),
        ...(one.rate !== undefined && { rate: rounded(one.rate) }),
      })),
    })),
  }
}
