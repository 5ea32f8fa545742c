/** A value as the stores can hold it: at most `max` UTF-16 units, no NUL (PostgreSQL has none), no half of a surrogate pair
 * (JSON readers refuse it).
 */
export function cleanText(value: string, max: number): string {
  const short = value.length > max ? value.slice(0, max) : value
  const whole = short.isWellFormed() ? short : short.toWellFormed()
  return whole.includes('\0') ? whole.replaceAll('\0', '') : whole
}

/** Percent-decoding that never fails: text that is not properly encoded stays as it is. */
export function decodePercent(text: string): string {
  if (!text.includes('%')) return text
  try {
    return decodeURIComponent(text)
  } catch {
    return text
  }
}
