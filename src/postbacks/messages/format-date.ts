/** Dates in the letters that trackers take over from PHP: `{date:Y-m-d H:i:s,Europe/Berlin}`.
 * @see https://www.php.net/manual/en/datetime.format.php
 */
type Zoned = Temporal.ZonedDateTime

const pad = (value: number, digits: number): string => String(value).padStart(digits, '0')
const DAYS = ['Monday', 'Tuesday', 'Wednesday', 'Thursday', 'Friday', 'Saturday', 'Sunday'] as const
const MONTHS = [
  'January', 'February', 'March', 'April', 'May', 'June', 'July', 'August', 'September', 'October', 'November', 'December',
] as const // prettier-ignore
const hour12 = ({ hour }: Zoned): number => hour % 12 || 12
const dayName = ({ dayOfWeek }: Zoned): string => DAYS[dayOfWeek - 1]!
const monthName = ({ month }: Zoned): string => MONTHS[month - 1]!

/** Written without a colon by `O`, with one by `P`. */
const offset = ({ offset: text }: Zoned): string => text.slice(0, 6)

const letters: Readonly<Record<string, (at: Zoned) => string>> = {
  Y: (at) => pad(at.year, 4),
  y: (at) => pad(at.year % 100, 2),
  m: (at) => pad(at.month, 2),
  n: (at) => String(at.month),
  M: (at) => monthName(at).slice(0, 3),
  F: monthName,
  d: (at) => pad(at.day, 2),
  j: (at) => String(at.day),
  z: (at) => String(at.dayOfYear - 1),
  D: (at) => dayName(at).slice(0, 3),
  l: dayName,
  N: (at) => String(at.dayOfWeek),
  w: (at) => String(at.dayOfWeek % 7),
  H: (at) => pad(at.hour, 2),
  G: (at) => String(at.hour),
  h: (at) => pad(hour12(at), 2),
  g: (at) => String(hour12(at)),
  i: (at) => pad(at.minute, 2),
  s: (at) => pad(at.second, 2),
  v: (at) => pad(at.millisecond, 3),
  A: (at) => (at.hour < 12 ? 'AM' : 'PM'),
  a: (at) => (at.hour < 12 ? 'am' : 'pm'),
  P: offset,
  O: (at) => offset(at).replace(':', ''),
  e: (at) => at.timeZoneId,
  U: (at) => String(Math.floor(at.epochMilliseconds / 1000)),
  c: (at) => at.toString({ timeZoneName: 'never', fractionalSecondDigits: 0 }),
}

/** The letters that a format may have, in the order of the documentation. */
export const dateLetters: readonly string[] = Object.keys(letters)

/** A format that was read once: milliseconds since the epoch → text. */
export type DateFormat = (atMs: number) => string

/** Reads `FORMAT` or `FORMAT,ZONE`. Letters without a meaning are refused: a typing mistake would be sent as it stands. A `\`
 * before a letter makes it plain text.
 * @returns undefined where a letter has no meaning or the zone is none
 * @example parseDateFormat('Y-m-d,Europe/Berlin')?.(0) // '1970-01-01'
 */
export function parseDateFormat(source: string): DateFormat | undefined {
  const comma = source.lastIndexOf(',')
  const zone = comma < 0 ? undefined : source.slice(comma + 1).trim()
  const hasZone = zone !== undefined && isZone(zone)
  // What is meant for an offset, or left out, would be sent as it stands.
  if (!hasZone && zone !== undefined && /^(?:[+-]?\d.*)?$/.test(zone)) return undefined
  const parts = readParts(hasZone ? source.slice(0, comma) : source)
  if (parts === undefined || parts.length === 0) return undefined
  const timeZone = hasZone ? zone : 'UTC'
  return (atMs) => {
    const at = Temporal.Instant.fromEpochMilliseconds(atMs).toZonedDateTimeISO(timeZone)
    return parts.map((part) => (typeof part === 'string' ? part : part(at))).join('')
  }
}

function readParts(format: string): readonly (string | ((at: Zoned) => string))[] | undefined {
  const parts: (string | ((at: Zoned) => string))[] = []
  for (let index = 0; index < format.length; index++) {
    const char = format[index]!
    const read = Object.hasOwn(letters, char) ? letters[char] : undefined
    if (char === '\\') parts.push(format[++index] ?? '')
    else if (read !== undefined) parts.push(read)
    else if (/[A-Za-z]/.test(char)) return undefined
    else parts.push(char)
  }
  return parts
}

function isZone(text: string): boolean {
  if (/^[+-]\d/.test(text)) return /^[+-](?:0\d|1[0-4]):[0-5]\d$/.test(text)
  if (!/^[A-Za-z][A-Za-z0-9_+-]*(?:\/[A-Za-z0-9_+-]+)*$/.test(text)) return false
  try {
    new Intl.DateTimeFormat('en', { timeZone: text })
    return true
  } catch {
    // The only way to ask for a zone that is not in the list of canonical names.
    return false
  }
}
