import { factsMoment, factsYears } from '#platform/clock'
import { reportLimits } from './limits.ts'

/** From (included) to (excluded), milliseconds since the epoch. */
export type TimeRange = { readonly fromMs: number; readonly toMs: number }

const DAY = /^\d{4}-\d{2}-\d{2}$/
const INSTANT = /^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}(:\d{2}(\.\d{1,3})?)?(Z|[+-]\d{2}:\d{2})$/

/** Longest range of a report: two years and a day to compare with. */
export const RANGE_DAYS_MAX = reportLimits.rangeDaysMax
const DAY_MS = 86_400_000
const DAYS_BY_DEFAULT = 7

const NO_MOMENT = `is neither YYYY-MM-DD nor ISO 8601 with an offset, of the years ${factsYears}`

export type ParsedRange = TimeRange | { readonly problem: string; readonly path: 'from' | 'to' }

/** The range that somebody means: `2026-09-01` is the whole day in the zone, also as `to`; an instant is that moment.
 * @param timezone IANA zone, already checked
 * @returns by default the seven days up to the end of today
 */
export function parseRange(
  from: string | undefined,
  to: string | undefined,
  timezone: string,
  nowMs: number,
): ParsedRange {
  const today = Temporal.Instant.fromEpochMilliseconds(nowMs).toZonedDateTimeISO(timezone).toPlainDate()
  const toMs = to === undefined ? startOfDay(today.add({ days: 1 }), timezone) : parseMoment(to, timezone, 1)
  if (toMs === undefined) return { problem: NO_MOMENT, path: 'to' }
  const fromMs = from === undefined ? daysBefore(toMs, timezone) : parseMoment(from, timezone, 0)
  if (fromMs === undefined) return { problem: NO_MOMENT, path: 'from' }
  if (toMs <= fromMs) return { problem: 'is not after "from"', path: 'to' }
  if (toMs - fromMs > RANGE_DAYS_MAX * DAY_MS)
    return { problem: `is more than ${RANGE_DAYS_MAX} days after "from"`, path: 'to' }
  return { fromMs, toMs }
}

const startOfDay = (day: Temporal.PlainDate, timezone: string): number =>
  day.toZonedDateTime({ timeZone: timezone }).epochMilliseconds

const daysBefore = (ms: number, timezone: string): number =>
  Temporal.Instant.fromEpochMilliseconds(ms).toZonedDateTimeISO(timezone).subtract({ days: DAYS_BY_DEFAULT })
    .epochMilliseconds

/** The start of a day of the zone, or a moment, ms.
 * @param addDays to the start of a day: 1 for the end of what it closes
 * @returns undefined: it is neither `YYYY-MM-DD` nor ISO 8601 with an offset, does not exist, or is of no year that facts can be of
 */
export function parseMoment(text: string, timezone: string, addDays: number): number | undefined {
  try {
    if (DAY.test(text))
      return factsMoment(
        startOfDay(Temporal.PlainDate.from(text, { overflow: 'reject' }).add({ days: addDays }), timezone),
      )
    return INSTANT.test(text) ? factsMoment(Temporal.Instant.from(text).epochMilliseconds) : undefined
  } catch {
    // A day or an hour that does not exist, such as 2026-02-30.
    return undefined
  }
}

/** Start of an hour as people of the zone write it.
 * @example formatHour(1764000000, 'Europe/Berlin') // '2025-11-24T17:00:00+01:00'
 */
export const formatHour = (seconds: number, timezone: string): string =>
  Temporal.Instant.fromEpochMilliseconds(seconds * 1000).toString({ timeZone: timezone, smallestUnit: 'second' })
