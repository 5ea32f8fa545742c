import type { ComparedPeriod } from './compile-report.ts'
import { parseRange, type TimeRange } from './time-range.ts'

/** The period that a report is compared with.
 *
 * - `previous`: as many calendar days right before (as many milliseconds where the range is not of whole days)
 * - `year`: the same days one year before; what was on 29 February stands under the 28th
 * - `2026-01-01..2026-01-31`: that one, its first day under the first day of the report
 *
 * Days are moved by the calendar of the zone, so that a day of 23 hours stands under one of 24.
 */
export function parseCompare(
  text: string | undefined,
  range: TimeRange,
  timezone: string,
): ComparedPeriod | { readonly problem: string } | undefined {
  if (text === undefined || text === 'none') return undefined
  if (text === 'previous') return previous(range, timezone)
  if (text === 'year') {
    const moved = moveRange(range, timezone, (moment) => moment.subtract({ years: 1 }))
    return { range: moved, shift: { unit: 'years', by: 1 } }
  }
  const [from, to, ...more] = text.split('..')
  if (from === undefined || to === undefined || more.length > 0 || from === '' || to === '')
    return { problem: `"${text}" is neither "previous" nor "year" nor a period such as 2026-01-01..2026-01-31` }
  const other = parseRange(from, to, timezone, 0)
  if ('problem' in other) return { problem: `"${other.path}" of the period ${other.problem}` }
  return { range: other, shift: { unit: 'days', by: daysBetween(other.fromMs, range.fromMs, timezone) } }
}

function previous(range: TimeRange, timezone: string): ComparedPeriod {
  const days = daysBetween(range.fromMs, range.toMs, timezone)
  const isOfDays = [range.fromMs, range.toMs].every((ms) => isStartOfDay(ms, timezone))
  if (isOfDays) {
    const fromMs = zoned(range.fromMs, timezone).subtract({ days }).epochMilliseconds
    return { range: { fromMs, toMs: range.fromMs }, shift: { unit: 'days', by: days } }
  }
  const fromMs = range.fromMs - (range.toMs - range.fromMs)
  return {
    range: { fromMs, toMs: range.fromMs },
    shift: { unit: 'days', by: daysBetween(fromMs, range.fromMs, timezone) },
  }
}

const zoned = (ms: number, timezone: string): Temporal.ZonedDateTime =>
  Temporal.Instant.fromEpochMilliseconds(ms).toZonedDateTimeISO(timezone)

const isStartOfDay = (ms: number, timezone: string): boolean =>
  zoned(ms, timezone).startOfDay().epochMilliseconds === ms

function moveRange(
  { fromMs, toMs }: TimeRange,
  timezone: string,
  move: (moment: Temporal.ZonedDateTime) => Temporal.ZonedDateTime,
): TimeRange {
  return {
    fromMs: move(zoned(fromMs, timezone)).epochMilliseconds,
    toMs: move(zoned(toMs, timezone)).epochMilliseconds,
  }
}

const daysBetween = (fromMs: number, toMs: number, timezone: string): number =>
  zoned(fromMs, timezone).toPlainDate().until(zoned(toMs, timezone).toPlainDate(), { largestUnit: 'days' }).days
