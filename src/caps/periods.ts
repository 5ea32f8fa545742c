import type { CapPeriod } from './cap.ts'

/** Half-open: `startMs` belongs to the period, `endMs` to the next. */
export type Period = { readonly startMs: number; readonly endMs: number; readonly id: string }

/** The period that a moment belongs to. */
export type PeriodClock = (atMs: number) => Period

const TOTAL: Period = { startMs: 0, endMs: Infinity, id: '0' }

const clocks = new Map<string, PeriodClock>()

/** Periods by the calendar and the clocks of a zone: days of 23 to 25 hours, weeks from Monday. An hour is one of the clock: where the
 * clocks go back an hour, both are counted apart; where they go back by less, the hour is longer.
 *
 * The current and the previous period are kept, so a calendar is asked about once in a period, and one clock serves all caps.
 * @throws {RangeError} a zone that is unknown
 */
export function periodClock(period: CapPeriod, timezone: string): PeriodClock {
  if (period === 'total') return () => TOTAL
  const name = `${period} ${timezone}`
  const clock = clocks.get(name) ?? makeClock(period, timezone)
  clocks.set(name, clock)
  return clock
}

type CalendarPeriod = Exclude<CapPeriod, 'total'>

function makeClock(period: CalendarPeriod, timezone: string): PeriodClock {
  Temporal.Instant.fromEpochMilliseconds(0).toZonedDateTimeISO(timezone)
  let current: Period = { startMs: 0, endMs: 0, id: '' }
  let previous = current
  return (atMs) => {
    if (contains(current, atMs)) return current
    if (contains(previous, atMs)) return previous
    const found = findPeriod(period, timezone, atMs)
    // Conversions of old clicks come in between: they must not push out the period that all others ask for.
    if (found.startMs >= current.startMs) [previous, current] = [current, found]
    else previous = found
    return found
  }
}

const contains = ({ startMs, endMs }: Period, atMs: number): boolean => startMs <= atMs && atMs < endMs

function findPeriod(period: CalendarPeriod, timezone: string, atMs: number): Period {
  const at = Temporal.Instant.fromEpochMilliseconds(Math.floor(atMs)).toZonedDateTimeISO(timezone)
  const startMs = startOf(period, at).epochMilliseconds
  return { startMs, endMs: endOf(period, at).epochMilliseconds, id: startMs.toString(36) }
}

function startOf(period: CalendarPeriod, at: Temporal.ZonedDateTime): Temporal.ZonedDateTime {
  if (period === 'hour') return startOfHour(at)
  return firstDay(period, at.toPlainDate()).toZonedDateTime(at.timeZoneId)
}

function endOf(period: CalendarPeriod, at: Temporal.ZonedDateTime): Temporal.ZonedDateTime {
  if (period === 'hour') return endOfHour(at)
  return firstDay(period, at.toPlainDate()).add(LENGTH[period]).toZonedDateTime(at.timeZoneId)
}

const LENGTH = { day: { days: 1 }, week: { weeks: 1 }, month: { months: 1 } } as const

function firstDay(period: Exclude<CalendarPeriod, 'hour'>, day: Temporal.PlainDate): Temporal.PlainDate {
  if (period === 'day') return day
  return period === 'week' ? day.subtract({ days: day.dayOfWeek - 1 }) : day.with({ day: 1 })
}

/** Rounding keeps the offset, and so tells the two hours apart that a clock shows twice. */
const startOfHour = (at: Temporal.ZonedDateTime): Temporal.ZonedDateTime =>
  at.round({ smallestUnit: 'hour', roundingMode: 'floor' })

/** Clocks change by a quarter of an hour at the least, so the hour ends at one of the next quarters. */
function endOfHour(at: Temporal.ZonedDateTime): Temporal.ZonedDateTime {
  const start = startOfHour(at)
  let end = start.add({ minutes: 15 })
  while (startOfHour(end).epochMilliseconds === start.epochMilliseconds) end = end.add({ minutes: 15 })
  return startOfHour(end)
}
