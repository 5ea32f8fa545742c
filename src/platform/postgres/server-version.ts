/** The oldest version whose functions the migrations use (`uuid_extract_timestamp`).
 * @see https://www.postgresql.org/docs/17/functions-uuid.html
 */
export const POSTGRES_MAJOR_MIN = 17

/** @param number as `server_version_num` has it: 150018 is 15.18
 * @throws {Error} the server is too old
 */
export function checkServerVersion(number: number): void {
  const major = Math.floor(number / 10_000)
  if (major >= POSTGRES_MAJOR_MIN) return
  throw new Error(
    `The database server is PostgreSQL ${major}.${number % 10_000}, and Waypost needs ${POSTGRES_MAJOR_MIN} or newer. ` +
      'Set DATABASE_URL to a newer server, or leave it out for the embedded one.',
  )
}
