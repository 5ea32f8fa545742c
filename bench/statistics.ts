/** The middle of the values; of an even count the mean of the middle two. @throws {RangeError} no values */
export function median(values: readonly number[]): number {
  if (values.length === 0) throw new RangeError('the median of nothing')
  const sorted = [...values].sort((a, b) => a - b)
  const middle = Math.floor(sorted.length / 2)
  return sorted.length % 2 === 1 ? sorted[middle]! : (sorted[middle - 1]! + sorted[middle]!) / 2
}

/** The smallest value that at least `share` of all values do not exceed (nearest rank).
 * @param share 0 < share ≤ 1
 * @throws {RangeError} no values
 */
export function percentile(values: readonly number[] | Float64Array, share: number): number {
  if (values.length === 0) throw new RangeError('a percentile of nothing')
  const sorted = Float64Array.from(values).sort()
  return sorted[Math.max(0, Math.ceil(share * sorted.length) - 1)]!
}

/** Rounded to so many digits that count. */
export const roundTo = (value: number, digits: number): number => Number(value.toPrecision(digits))
