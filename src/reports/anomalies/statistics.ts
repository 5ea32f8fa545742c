/** The middle of numbers; of an even number of them between the two in the middle. NaN of none. */
export function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b)
  const middle = (sorted.length - 1) / 2
  return (sorted[Math.floor(middle)]! + sorted[Math.ceil(middle)]!) / 2
}

/** The value that this part of the values does not exceed, without interpolation. NaN of none. */
export function quantile(values: readonly number[], part: number): number {
  const sorted = [...values].sort((a, b) => a - b)
  return sorted[Math.min(sorted.length - 1, Math.floor(part * sorted.length))] ?? Number.NaN
}

/** The median of quotients in which each has the weight of its divisor. NaN where all weigh nothing. */
export function medianQuotient(values: readonly { readonly part: number; readonly whole: number }[]): number {
  const weighed = values.filter(({ whole }) => whole > 0).map(({ part, whole }) => ({ quotient: part / whole, whole }))
  weighed.sort((a, b) => a.quotient - b.quotient)
  const half = weighed.reduce((sum, { whole }) => sum + whole, 0) / 2
  let sum = 0
  for (const { quotient, whole } of weighed) {
    sum += whole
    if (sum >= half) return quotient
  }
  return Number.NaN
}

/** The median distance from a centre, times 1.4826: of a normal distribution its standard deviation, whatever a few do. */
export const spreadAround = (values: readonly number[], centre: number): number =>
  1.4826 * median(values.map((value) => Math.abs(value - centre)))
