const NAME = /^[A-Z][A-Za-z0-9_+-]*(\/[A-Z][A-Za-z0-9_+-]*)+$/

/** Whether this process and ClickHouse know the zone by exactly this name: other spellings (Asia/Kolkata beside Asia/Calcutta) are
 * zones, other cases are not, and some names of old that Intl knows are unknown to Temporal.
 */
export function isTimezone(name: string): boolean {
  if (name === 'UTC') return true
  if (!NAME.test(name)) return false
  try {
    Temporal.Instant.fromEpochMilliseconds(0).toZonedDateTimeISO(name)
    return true
  } catch {
    return false
  }
}
