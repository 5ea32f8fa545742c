/** When a time table holds: on days of the week and between hours of the day, as the clocks of a zone show them. */
export type TimeTable = {
  /** Monday first. */
  readonly days: readonly boolean[]
  /** Minutes of the day, end exclusive. An end before its start is on the next day, which belongs to the day of the start. */
  readonly spans: readonly { readonly start: number; readonly end: number }[]
  readonly zone: string
}

const dayNames = ['mon', 'tue', 'wed', 'thu', 'fri', 'sat', 'sun']
const MINUTE_MS = 60_000
const DAY_MINUTES = 1_440
const WEEK_MINUTES = 7 * DAY_MINUTES
const SPANS_MAX = 24

/** Reads `[days] [hours] [zone]`, for example `Mon-Fri 09:00-12:00,13:00-18:00 Europe/Berlin`. Days or hours may be left out,
 * the zone is UTC where none is named.
 * @returns undefined where it is no such text
 */
export function readTimeTable(text: string): TimeTable | undefined {
  const words = text.trim().split(/\s+/)
  const days = readDays(words[0] ?? '')
  if (days !== undefined) words.shift()
  const spans = readSpans(words[0] ?? '')
  if (spans !== undefined) words.shift()
  if ((days === undefined && spans === undefined) || words.length > 1) return undefined
  const zone = words[0] ?? 'UTC'
  if (!isZone(zone)) return undefined
  const everyDay = dayNames.map(() => true)
  return { days: days ?? everyDay, spans: spans ?? [{ start: 0, end: DAY_MINUTES }], zone }
}

function readDays(word: string): readonly boolean[] | undefined {
  const days = dayNames.map(() => false)
  for (const part of word.toLowerCase().split(',')) {
    const [first = '', last = first, ...rest] = part.split('-')
    const from = dayNames.indexOf(first)
    const to = dayNames.indexOf(last)
    if (from === -1 || to === -1 || rest.length > 0) return undefined
    for (let step = 0; step <= (to - from + 7) % 7; step += 1) days[(from + step) % 7] = true
  }
  return days
}

function readSpans(word: string): TimeTable['spans'] | undefined {
  const parts = word.split(',')
  if (parts.length > SPANS_MAX) return undefined
  const spans = parts.map((part) => {
    const [, start, end] = /^(\d{1,2}:\d{2})-(\d{1,2}:\d{2})$/.exec(part) ?? []
    return { start: readMinute(start), end: readMinute(end) }
  })
  const isSound = spans.every(({ start, end }) => start >= 0 && start < DAY_MINUTES && end >= 0 && start !== end)
  return isSound ? spans : undefined
}

/** Minutes since midnight, up to 24:00; -1 where it is no time. */
function readMinute(text: string | undefined): number {
  if (text === undefined) return -1
  const [hours, minutes] = text.split(':').map(Number) as [number, number]
  const minute = hours * 60 + minutes
  return minutes < 60 && minute <= DAY_MINUTES ? minute : -1
}

const formats = new Map<string, Intl.DateTimeFormat | undefined>()
/** Names are asked of Intl once each; refused ones are kept too, up to this many in all. */
const FORMATS_MAX = 2_000

function formatOf(zone: string): Intl.DateTimeFormat | undefined {
  if (formats.has(zone)) return formats.get(zone)
  if (formats.size >= FORMATS_MAX) formats.clear()
  const format = makeFormat(zone)
  formats.set(zone, format)
  return format
}

function makeFormat(zone: string): Intl.DateTimeFormat | undefined {
  // Intl also takes offsets (`+02:00`), which have no daylight saving time: whoever writes one means a zone.
  if (!/^[a-z][a-z0-9_+/-]{0,63}$/i.test(zone)) return undefined
  try {
    return new Intl.DateTimeFormat('en-US', {
      timeZone: zone,
      hourCycle: 'h23',
      year: 'numeric',
      month: 'numeric',
      day: 'numeric',
      hour: 'numeric',
      minute: 'numeric',
      second: 'numeric',
    })
  } catch (error) {
    if (error instanceof RangeError) return undefined
    throw error
  }
}

/** Whether it is an IANA zone that this system knows. */
export const isZone = (zone: string): boolean => formatOf(zone) !== undefined

/** What the clocks of a zone show, in milliseconds as if it were UTC. */
export function localTime(at: number, zone: string): number {
  const parts: Record<string, number> = {}
  for (const { type, value } of formatOf(zone)!.formatToParts(at)) parts[type] = Number(value)
  const { year = 0, month = 1, day = 1, hour = 0, minute = 0, second = 0 } = parts
  return Date.UTC(year, month - 1, day, hour, minute, second)
}

/** Day of the week (Monday 0) and minute of the day that the clocks of a zone show. */
export function localMinute(at: number, zone: string): { readonly day: number; readonly minute: number } {
  const minutes = Math.floor(localTime(at, zone) / MINUTE_MS)
  // 1970-01-01 was a Thursday.
  return { day: (Math.floor(minutes / DAY_MINUTES) + 3) % 7, minute: minutes % DAY_MINUTES }
}

/** Minute of the week in one zone. Asking Intl takes microseconds, and clicks come in the order of time: one answer serves
 * a whole minute, for all rules.
 */
class ZoneClock {
  readonly #zone: string
  #minute = NaN
  #minuteOfWeek = 0

  constructor(zone: string) {
    this.#zone = zone
  }

  minuteOfWeek(at: number): number {
    const minute = Math.floor(at / MINUTE_MS)
    if (minute !== this.#minute) {
      const local = localMinute(at, this.#zone)
      this.#minute = minute
      this.#minuteOfWeek = local.day * DAY_MINUTES + local.minute
    }
    return this.#minuteOfWeek
  }
}

const clocks = new Map<string, ZoneClock>()

function clockOf(zone: string): ZoneClock {
  const known = clocks.get(zone)
  if (known !== undefined) return known
  const clock = new ZoneClock(zone)
  clocks.set(zone, clock)
  return clock
}

/** A time table as a function of the time in milliseconds. */
export function compileTimeTable({ days, spans, zone }: TimeTable): (at: number) => boolean {
  const clock = clockOf(zone)
  const ranges = days.flatMap((isOn, day) =>
    isOn
      ? spans.map(({ start, end }) => ({
          from: day * DAY_MINUTES + start,
          to: day * DAY_MINUTES + (end > start ? end : end + DAY_MINUTES),
        }))
      : [],
  )
  return (at) => {
    const minute = clock.minuteOfWeek(at)
    for (const { from, to } of ranges) {
      // Sunday night goes on in the first minutes of the week.
      if ((minute >= from && minute < to) || minute + WEEK_MINUTES < to) return true
    }
    return false
  }
}

/** Whether a time table holds, looked up afresh. */
export function isInTimeTable({ days, spans, zone }: TimeTable, at: number): boolean {
  const { day, minute } = localMinute(at, zone)
  const isToday = days[day]!
  const wasYesterday = days[(day + 6) % 7]!
  return spans.some(({ start, end }) => {
    if (start < end) return isToday && minute >= start && minute < end
    return (isToday && minute >= start) || (wasYesterday && minute < end)
  })
}

/** First and last millisecond of what a date names: a day, or one minute's beginning. */
export type DateRange = { readonly first: number; readonly last: number }

/** Reads `2026-01-31`, `2026-01-31T18:00` (with seconds if need be), each with ` Europe/Berlin`, `Z` or `+02:00` after it; UTC
 * where nothing is named. A day is all of it: as an end it is included.
 * @returns undefined where it is no such text
 */
export function readDate(text: string): DateRange | undefined {
  const found = DATE.exec(text.trim())
  if (found === null) return undefined
  const [, date = '', time, offset, zone] = found
  const local = Date.parse(`${date}T${time ?? '00:00'}Z`)
  // Date.parse takes 2026-02-30 for the second of March.
  if (Number.isNaN(local) || !new Date(local).toISOString().startsWith(date)) return undefined
  if (zone !== undefined && !isZone(zone)) return undefined
  const instantOf = (localMs: number): number =>
    zone === undefined ? localMs - offsetMs(offset ?? 'Z') : instantIn(zone, localMs)
  const first = instantOf(local)
  return { first, last: time === undefined ? instantOf(local + DAY_MINUTES * MINUTE_MS) - 1 : first }
}

const DATE = /^(\d{4}-\d{2}-\d{2})(?:T(\d{2}:\d{2}(?::\d{2})?))?(?:(Z|[+-]\d{2}:\d{2})|\s+([A-Za-z][\w+/-]*))?$/

function offsetMs(offset: string): number {
  if (offset === 'Z') return 0
  const [hours, minutes] = offset.slice(1).split(':').map(Number) as [number, number]
  return (offset.startsWith('-') ? -1 : 1) * (hours * 60 + minutes) * MINUTE_MS
}

/** The instant at which the clocks of a zone show a time: the first where they show it twice, the moment of the change where
 * they skip it.
 */
function instantIn(zone: string, localMs: number): number {
  const dayMs = DAY_MINUTES * MINUTE_MS
  const offsetAround = (at: number): number => localTime(at, zone) - at
  const before = localMs - offsetAround(localMs - dayMs)
  const after = localMs - offsetAround(localMs + dayMs)
  if (localTime(before, zone) === localMs) return before
  if (localTime(after, zone) === localMs) return after
  return changeBetween(zone, after, before)
}

/** The moment at which the clocks change between two instants. */
function changeBetween(zone: string, from: number, to: number): number {
  let low = from
  let high = to
  const offset = localTime(low, zone) - low
  while (high - low > 1_000) {
    const middle = Math.floor((low + high) / 2_000) * 1_000
    if (localTime(middle, zone) - middle === offset) low = middle
    else high = middle
    if (high - low <= 1_000) break
  }
  return high
}
