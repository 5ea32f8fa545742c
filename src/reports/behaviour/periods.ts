import type { TimeRange } from '../time-range.ts'

/** What a cohort is made of: a day, a week from Monday on, or a month, in a zone. */
export const cohortPeriods = ['day', 'week', 'month'] as const
export type CohortPeriod = (typeof cohortPeriods)[number]

/** Whole periods one after the other. Days have 23 and 25 hours where the zone says so. */
export type Periods = {
  readonly kind: CohortPeriod
  readonly timezone: string
  /** Number of the first one, as periodNumberSql counts. */
  readonly first: number
  /** Of the range. */
  readonly count: number
  /** Milliseconds at which the one with this index begins; index 0 is the first of the range. */
  readonly startMs: (index: number) => number
  /** First day of the one with this index, YYYY-MM-DD. */
  readonly dayOf: (index: number) => string
}

/** The periods that a range touches. */
export function periodsOf(kind: CohortPeriod, { fromMs, toMs }: TimeRange, timezone: string): Periods {
  const dayAt = (ms: number): Temporal.PlainDate =>
    Temporal.Instant.fromEpochMilliseconds(ms).toZonedDateTimeISO(timezone).toPlainDate()
  const begin = beginOf(kind, dayAt(fromMs))
  const first = numberOf(kind, begin)
  const dayOf = (index: number): Temporal.PlainDate => begin.add({ [`${kind}s`]: index })
  return {
    ...{ kind, timezone, first },
    count: numberOf(kind, dayAt(toMs - 1)) - first + 1,
    startMs: (index) => dayOf(index).toZonedDateTime({ timeZone: timezone }).epochMilliseconds,
    dayOf: (index) => dayOf(index).toString(),
  }
}

function beginOf(kind: CohortPeriod, day: Temporal.PlainDate): Temporal.PlainDate {
  if (kind === 'day') return day
  return kind === 'week' ? day.subtract({ days: day.dayOfWeek - 1 }) : day.with({ day: 1 })
}

const EPOCH = Temporal.PlainDate.from('1970-01-01')
/** The epoch was a Thursday: Monday comes three days before. */
const DAYS_TO_MONDAY = 3

function numberOf(kind: CohortPeriod, day: Temporal.PlainDate): number {
  if (kind === 'month') return day.year * 12 + day.month - 1
  const days = EPOCH.until(day, { largestUnit: 'days' }).days
  return kind === 'day' ? days : Math.floor((days + DAYS_TO_MONDAY) / 7)
}

/** Number of the period in which a row lies; one more for each that follows. The zone stands in {timezone:String}. */
export function periodNumberSql(kind: CohortPeriod): string {
  const day = 'toDate(at, {timezone:String})'
  switch (kind) {
    case 'day':
      return `toUInt32(${day})`
    case 'week':
      return `intDiv(toUInt32(${day}) + ${DAYS_TO_MONDAY}, 7)`
    case 'month':
      return `toUInt32(toYear(${day})) * 12 + toMonth(${day}) - 1`
    default:
      return kind satisfies never
  }
}
