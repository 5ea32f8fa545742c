import { anomalyLimits } from './limits.ts'
import { median, medianQuotient, quantile, spreadAround } from './statistics.ts'

/** What an hour had: a sum, or what is divided and by what. */
export type HourValue = { readonly part: number; readonly whole: number }

export type Series = {
  /** By the milliseconds of the hour's start; hours without rows are not there. */
  readonly values: ReadonlyMap<number, HourValue>
  readonly isRatio: boolean
  readonly isOfCounts: boolean
  /** Hours that are judged, whole ones. */
  readonly judged: readonly number[]
  readonly timezone: string
  readonly weeks: number
  readonly countMin: number
  /** Deviations that make an anomaly. */
  readonly sensitivity: number
}

export type JudgedHour = {
  readonly startMs: number
  readonly value: HourValue
  /** Of the sum or the quotient. */
  readonly actual: number
  readonly expected: number
  /** One deviation. */
  readonly deviation: number
}

/** Hours in a row that lie on the same side of the usual. */
export type Unusual = {
  readonly fromMs: number
  readonly toMs: number
  readonly actual: number
  readonly expected: number
  readonly low: number
  readonly high: number
  /** Deviations from the expected. */
  readonly score: number
}

export type Judgement = {
  readonly unusual: readonly Unusual[]
  /** Hours of which something can be said. */
  readonly checked: number
  /** Hours with too few weeks of data or too small numbers. */
  readonly skipped: number
  /** How far values of the past usually lie from what was expected of them, in roots of the expected. */
  readonly scale: Scale
}

/** The deviation of a sum is `spread · √(|expected| + offset)`, that of a quotient `spread ÷ √whole`. */
export type Scale = { readonly spread: number; readonly offset: number }

export const HOUR_MS = 3_600_000
const WEEK_MS = 168 * HOUR_MS

/** Compares hours with the same hour of the week in the weeks before.
 *
 * Expected is the median of these weeks, so that a few odd ones do not matter. How far an hour may lie from it is learned from all
 * hours of the past together, each compared with the median of its other weeks: eight values of a single hour say little of that.
 * An hour whose own weeks lie farther apart than that may lie as far as they do.
 */
export function findUnusual(series: Series): Judgement {
  const bySlot = hoursBySlot(series)
  const scale = learnScale(series, bySlot)
  const judged: JudgedHour[] = []
  for (const startMs of series.judged) {
    const hour = judge(series, startMs, bySlot, scale)
    if (hour !== undefined) judged.push(hour)
  }
  return {
    unusual: mergeHours(judged.filter((hour) => scoreOf(hour) >= series.sensitivity), series), // prettier-ignore
    checked: judged.length,
    skipped: series.judged.length - judged.length,
    scale,
  }
}

/** The few weeks of an hour overstate by chance how far they lie apart; by more than this they seldom do. */
const OWN_WEIGHT = Math.SQRT1_2

const NOTHING: HourValue = { part: 0, whole: 0 }

type Slots = { readonly slotOf: (ms: number) => number; readonly hours: ReadonlyMap<number, readonly number[]> }

/** All hours from the first one with data on, by their hour of the week in the zone. The hour that a night in autumn has twice is
 * there twice, and the one that a night in spring lacks is not there.
 */
function hoursBySlot({ values, judged, timezone, weeks }: Series): Slots {
  const slotOf = (ms: number): number => {
    const local = Temporal.Instant.fromEpochMilliseconds(ms).toZonedDateTimeISO(timezone)
    return local.dayOfWeek * 24 + local.hour
  }
  const hours = new Map<number, number[]>()
  const [first = 0, last = 0] = [judged[0], judged.at(-1)]
  const begin = Math.max(first - weeks * WEEK_MS - HOUR_MS, Math.min(...values.keys()))
  // Hours of the zone need not begin with those of UTC.
  for (let ms = begin + ((((first - begin) % HOUR_MS) + HOUR_MS) % HOUR_MS); ms <= last; ms += HOUR_MS) {
    const slot = slotOf(ms)
    const list = hours.get(slot)
    if (list === undefined) hours.set(slot, [ms])
    else list.push(ms)
  }
  return { slotOf, hours }
}

/** The same hour in the weeks before: a change of the clocks moves it by an hour. */
const isWeekBefore = (ms: number, of: number, weeks: number): boolean =>
  ms < of - WEEK_MS / 2 && ms >= of - weeks * WEEK_MS - HOUR_MS

const expectedOf = (values: readonly HourValue[], isRatio: boolean): number =>
  isRatio ? medianQuotient(values) : median(values.map(({ part }) => part))

const actualOf = ({ part, whole }: HourValue, isRatio: boolean): number => (isRatio ? part / whole : part)

/** Whether numbers are large enough to say anything. */
function isEnough({ part, whole }: HourValue, expected: number, series: Series): boolean {
  const { isRatio, isOfCounts, countMin } = series
  if (isRatio) return whole >= countMin && (!isOfCounts || Math.max(part, expected * whole) >= anomalyLimits.partsMin)
  return !isOfCounts || Math.max(part, expected) >= countMin
}

function learnScale(series: Series, { hours }: Slots): Scale {
  const { values, isRatio, isOfCounts, judged } = series
  const past = (ms: number): boolean => ms < judged[0]!
  const usual = [...hours.values()].flat().filter(past).map((ms) => Math.abs((values.get(ms) ?? NOTHING).part)) // prettier-ignore
  const offset = isOfCounts ? 1 : Math.max(1, median(usual) / 10 || 0)
  const distances = [...hours.values()].flatMap((list) => {
    const own = list.filter(past).map((ms) => values.get(ms) ?? NOTHING)
    return own.flatMap((value, index) => {
      const others = own.filter((_, other) => other !== index)
      const expected = expectedOf(others, isRatio)
      if (others.length < anomalyLimits.samplesMin - 1 || Number.isNaN(expected)) return []
      if (isRatio && value.whole < series.countMin) return []
      const distance = actualOf(value, isRatio) - expected
      return [Math.abs(isRatio ? distance * Math.sqrt(value.whole) : distance / Math.sqrt(Math.abs(expected) + offset))]
    })
  })
  if (distances.length === 0) return { spread: isOfCounts && !isRatio ? 1 : 0, offset }
  const spread = Math.max(1.4826 * median(distances), quantile(distances, 0.95) / 1.96)
  // Counts of independent things vary by the root of their number at least.
  return { spread: isOfCounts && !isRatio ? Math.max(1, spread) : spread, offset }
}

function judge(series: Series, startMs: number, { slotOf, hours }: Slots, scale: Scale): JudgedHour | undefined {
  const { values, isRatio, isOfCounts, weeks } = series
  const value = values.get(startMs) ?? NOTHING
  const before = (hours.get(slotOf(startMs)) ?? []).filter((ms) => isWeekBefore(ms, startMs, weeks))
  const samples = before.map((ms) => values.get(ms) ?? NOTHING).filter(({ whole }) => !isRatio || whole > 0)
  if (samples.length < anomalyLimits.samplesMin) return undefined
  const expected = expectedOf(samples, isRatio)
  if (!isEnough(value, expected, series)) return undefined
  const actual = actualOf(value, isRatio)
  const own = spreadAround(samples.map((one) => actualOf(one, isRatio)), expected) // prettier-ignore
  const deviation = Math.max(
    deviationOf(expected, value.whole, scale, isRatio, isOfCounts),
    isRatio ? 0 : own * OWN_WEIGHT,
  )
  return deviation === 0 ? undefined : { startMs, value, actual, expected, deviation }
}

/** One deviation of an expected value by the scale. */
export function deviationOf(
  expected: number,
  whole: number,
  { spread, offset }: Scale,
  isRatio: boolean,
  isOfCounts: boolean,
): number {
  if (!isRatio) return spread * Math.sqrt(Math.abs(expected) + offset)
  // At least as far as a coin of this chance; one that never fell takes one fall in all for possible.
  const chance = Math.min(1 - 1 / (whole + 1), Math.max(1 / (whole + 1), expected))
  return Math.max(spread, isOfCounts && expected <= 1 ? Math.sqrt(chance * (1 - chance)) : 0) / Math.sqrt(whole)
}

const scoreOf = ({ actual, expected, deviation }: Omit<JudgedHour, 'startMs' | 'value'>): number =>
  Math.abs(actual - expected) / deviation

function mergeHours(hours: readonly JudgedHour[], series: Series): readonly Unusual[] {
  const runs: JudgedHour[][] = []
  for (const hour of hours) {
    const run = runs.at(-1)
    const last = run?.at(-1)
    const isNext = last !== undefined && hour.startMs === last.startMs + HOUR_MS
    const isSameSide = last !== undefined && hour.actual > hour.expected === last.actual > last.expected
    if (run !== undefined && isNext && isSameSide && run.length < anomalyLimits.hoursOfAnomalyMax) run.push(hour)
    else runs.push([hour])
  }
  return runs.map((run) => toUnusual(run, series))
}

const sum = (values: readonly number[]): number => values.reduce((total, value) => total + value, 0)

/** A run of hours as one: their sum, or their quotient as a whole. */
function toUnusual(run: readonly JudgedHour[], { isRatio, isOfCounts, sensitivity }: Series): Unusual {
  const whole = isRatio ? sum(run.map(({ value }) => value.whole)) : 1
  const weighed = (of: (hour: JudgedHour) => number): number =>
    sum(run.map((hour) => of(hour) * (isRatio ? hour.value.whole : 1))) / whole
  const actual = isRatio ? sum(run.map(({ value }) => value.part)) / whole : weighed((hour) => hour.actual)
  const expected = weighed((hour) => hour.expected)
  const deviation = Math.sqrt(sum(run.map((hour) => (hour.deviation * (isRatio ? hour.value.whole : 1)) ** 2))) / whole
  const low = expected - sensitivity * deviation
  return {
    ...{ fromMs: run[0]!.startMs, toMs: run.at(-1)!.startMs + HOUR_MS, actual, expected },
    ...{ low: isOfCounts ? Math.max(0, low) : low, high: expected + sensitivity * deviation },
    score: scoreOf({ actual, expected, deviation }),
  }
}
