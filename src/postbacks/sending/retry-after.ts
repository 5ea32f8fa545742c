/** The header Retry-After as receivers really send it. */

/** Longer than this is the same as this: the retry ladder bounds what is asked for anyway. */
export const RETRY_AFTER_MS_ABSURD = 10 * 365 * 86_400_000

const MONTHS = ['jan', 'feb', 'mar', 'apr', 'may', 'jun', 'jul', 'aug', 'sep', 'oct', 'nov', 'dec']
const SECONDS = /^([+-]?)(\d{1,400})(?:\.(\d{0,400}))?$/
/** `Sun, 06 Nov 1994 08:49:37 GMT` and, with its two digits of a year, `Sunday, 06-Nov-94 08:49:37 GMT`. */
const IMF_OR_RFC850 =
  /^[a-z]{3,9},? +(\d{1,2})[ -]([a-z]{3})[ -](\d{4}|\d{2}) +(\d{2}):(\d{2}):(\d{2}) +(?:gmt|utc|[+-]0000)$/i
/** `Sun Nov  6 08:49:37 1994`: no zone, and yet it means UTC. */
const ASCTIME = /^[a-z]{3,9} +([a-z]{3}) +(\d{1,2}) +(\d{2}):(\d{2}):(\d{2}) +(\d{4})$/i

/** Milliseconds from now that a Retry-After header asks for.
 *
 * Seconds, whole or with a fraction; a date in any of the three forms of HTTP. What is negative or past asks for 0, what is
 * absurdly far away for ten years. Of several header lines, or several values in one, the longest wait counts: whoever says
 * two things means at least the later one.
 * @param header as received: a text, or one for each line; undefined: none
 * @returns undefined for none and where nothing in it can be read
 * @see RFC 9110 §5.6.7 and §10.2.3
 */
export function parseRetryAfter(header: string | readonly string[] | undefined, nowMs: number): number | undefined {
  if (header === undefined) return undefined
  const lines = typeof header === 'string' ? [header] : header
  const asked = lines.flatMap((line) => valuesOf(line, nowMs))
  return asked.length === 0 ? undefined : Math.max(...asked)
}

/** Proxies join header lines with a comma, which dates contain too: the whole is tried first. */
function valuesOf(line: string, nowMs: number): readonly number[] {
  const whole = parseValue(line, nowMs)
  if (whole !== undefined) return [whole]
  return line
    .split(/,(?! ?\d{1,2}[ -][a-z]{3}[ -])/i)
    .map((part) => parseValue(part, nowMs))
    .filter((value) => value !== undefined)
}

function parseValue(text: string, nowMs: number): number | undefined {
  const trimmed = text.trim()
  const seconds = SECONDS.exec(trimmed)
  if (seconds !== null) return ofSeconds(seconds)
  const at = parseHttpDate(trimmed, nowMs)
  return at === undefined ? undefined : bounded(at - nowMs)
}

function ofSeconds([, sign, whole, fraction]: RegExpExecArray): number {
  if (sign === '-') return 0
  return bounded(Math.ceil(Number(`${whole}.${fraction === undefined || fraction === '' ? '0' : fraction}`) * 1_000))
}

const bounded = (ms: number): number => Math.min(Math.max(0, ms), RETRY_AFTER_MS_ABSURD)

/** Milliseconds since the epoch; undefined: no date of HTTP, or a day or time that does not exist. */
function parseHttpDate(text: string, nowMs: number): number | undefined {
  const named = IMF_OR_RFC850.exec(text)
  if (named !== null) {
    const [, day, month, year, hour, minute, second] = named
    return toInstant(fullYear(year!, nowMs), month!, day!, hour!, minute!, second!)
  }
  const plain = ASCTIME.exec(text)
  if (plain === null) return undefined
  const [, month, day, hour, minute, second, year] = plain
  return toInstant(Number(year), month!, day!, hour!, minute!, second!)
}

/** RFC 9110: two digits that seem to be more than 50 years in the future mean the past. */
function fullYear(text: string, nowMs: number): number {
  if (text.length === 4) return Number(text)
  const thisYear = new Date(nowMs).getUTCFullYear()
  const year = thisYear - (thisYear % 100) + Number(text)
  return year > thisYear + 50 ? year - 100 : year
}

function toInstant(year: number, monthName: string, ...rest: [string, string, string, string]): number | undefined {
  const month = MONTHS.indexOf(monthName.toLowerCase())
  const [day, hour, minute, second] = rest.map(Number) as [number, number, number, number]
  // 60 is a leap second.
  if (month < 0 || hour > 23 || minute > 59 || second > 60) return undefined
  const date = new Date(Date.UTC(year, month, day))
  const isDay = date.getUTCMonth() === month && date.getUTCDate() === day
  return isDay ? date.getTime() + ((hour * 60 + minute) * 60 + second) * 1_000 : undefined
}
