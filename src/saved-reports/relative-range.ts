/** Ranges that move with the day, by name. Weeks begin on Monday. All but `last_week` and `last_month` and `yesterday` hold today. */
export const relativeRanges = {
  today: 'Today',
  yesterday: 'Yesterday',
  last_7_days: 'Today and the six days before',
  last_14_days: 'Today and the 13 days before',
  last_30_days: 'Today and the 29 days before',
  last_90_days: 'Today and the 89 days before',
  this_week: 'Monday to Sunday of this week',
  last_week: 'Monday to Sunday of the week before',
  this_month: 'The whole of this month',
  month_to_date: 'The first of this month to today',
  last_month: 'The whole of the month before',
} as const
export type RelativeRange = keyof typeof relativeRanges

/** First and last day, both included, YYYY-MM-DD. */
export type Days = { readonly from: string; readonly to: string }

/** The days of a range at a moment in a zone. Days, and no moments: how long a day is where clocks change is the zone's own
 * business, and known to whoever makes moments of them.
 * @param timezone IANA zone, already checked
 * @param nowMs milliseconds since the epoch
 * @example daysOf('yesterday', 'Europe/Berlin', Date.UTC(2026, 2, 29, 22, 30)) // { from: '2026-03-29', to: '2026-03-29' }
 */
export function daysOf(range: RelativeRange, timezone: string, nowMs: number): Days {
  const today = Temporal.Instant.fromEpochMilliseconds(nowMs).toZonedDateTimeISO(timezone).toPlainDate()
  const monday = today.subtract({ days: today.dayOfWeek - 1 })
  const first = today.with({ day: 1 })
  switch (range) {
    case 'today':
      return days(today, today)
    case 'yesterday':
      return days(today.subtract({ days: 1 }), today.subtract({ days: 1 }))
    case 'last_7_days':
      return days(today.subtract({ days: 6 }), today)
    case 'last_14_days':
      return days(today.subtract({ days: 13 }), today)
    case 'last_30_days':
      return days(today.subtract({ days: 29 }), today)
    case 'last_90_days':
      return days(today.subtract({ days: 89 }), today)
    case 'this_week':
      return days(monday, monday.add({ days: 6 }))
    case 'last_week':
      return days(monday.subtract({ days: 7 }), monday.subtract({ days: 1 }))
    case 'this_month':
      return days(first, first.add({ months: 1 }).subtract({ days: 1 }))
    case 'month_to_date':
      return days(first, today)
    case 'last_month':
      return days(first.subtract({ months: 1 }), first.subtract({ days: 1 }))
    default:
      return range satisfies never
  }
}

const days = (from: Temporal.PlainDate, to: Temporal.PlainDate): Days => ({ from: from.toString(), to: to.toString() })
