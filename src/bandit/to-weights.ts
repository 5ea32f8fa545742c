export const WEIGHTS_TOTAL = 10_000

/** Integers in the proportion of the shares that sum to 10,000: rounded down, and what is left over goes to the largest
 * remainders, of equal ones to the first. All 0 where every share is.
 * @param shares ≥ 0, of any sum
 */
export function toWeights(shares: readonly number[]): readonly number[] {
  const sum = shares.reduce((total, share) => total + share, 0)
  if (sum === 0) return shares.map(() => 0)
  const exact = shares.map((share) => (share / sum) * WEIGHTS_TOTAL)
  // An exact integer may have come out a hair below itself.
  const weights = exact.map((value) => Math.floor(value + 1e-9))
  const left = WEIGHTS_TOTAL - weights.reduce((total, weight) => total + weight, 0)
  const byRemainder = exact.map((_, at) => at).toSorted((a, b) => exact[b]! - weights[b]! - (exact[a]! - weights[a]!))
  for (const at of byRemainder.slice(0, Math.max(0, left))) weights[at]! += 1
  return weights
}
