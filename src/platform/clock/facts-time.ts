/** Days that facts can be of. ClickHouse counts them from 1970 on in 16 bits: of any other it makes some other day. */
const FIRST_MS = Date.UTC(1970, 0, 2)
const END_MS = Date.UTC(2100, 0, 1)

/** For messages. */
export const factsYears = '1970 to 2099'

/** A moment as given, or undefined where no row can have it.
 * @param ms milliseconds since the epoch; the end of the last year is one, as the end of a range
 */
export const factsMoment = (ms: number): number | undefined => (ms >= FIRST_MS && ms <= END_MS ? ms : undefined)
