/** Latencies counted by steps: ten to a tenfold, so that a percentile is right to a quarter of its value. */

/** Upper bounds in milliseconds, ascending; above the last one there is one more count. */
export const LATENCY_BOUNDS_MS: readonly number[] = [1, 10, 100, 1_000, 10_000].flatMap((tens) =>
  [1, 1.25, 1.6, 2, 2.5, 3.2, 4, 5, 6.3, 8].map((step) => Math.round(step * tens * 100) / 100),
)

export const emptyLatencyCounts = (): number[] => Array.from({ length: LATENCY_BOUNDS_MS.length + 1 }, () => 0)

/** Position of the count that a latency belongs to: of the first bound that is not below it. */
export function latencyStep(ms: number): number {
  let low = 0
  let high = LATENCY_BOUNDS_MS.length
  while (low < high) {
    const middle = (low + high) >> 1
    if (LATENCY_BOUNDS_MS[middle]! < ms) low = middle + 1
    else high = middle
  }
  return low
}

/** The latency that this share of the tries did not exceed, milliseconds: evenly within its step.
 * @param share 0 to 1
 * @returns undefined where nothing was counted; the last bound for everything above it
 */
export function latencyPercentile(counts: readonly number[], share: number): number | undefined {
  const total = counts.reduce((sum, count) => sum + count, 0)
  if (total === 0) return undefined
  const wanted = share * total
  let below = 0
  for (const [step, count] of counts.entries()) {
    if (count > 0 && below + count >= wanted) {
      const from = LATENCY_BOUNDS_MS[step - 1] ?? 0
      const to = LATENCY_BOUNDS_MS[step] ?? from
      return Math.round((from + ((to - from) * Math.max(0, wanted - below)) / count) * 100) / 100
    }
    below += count
  }
  return LATENCY_BOUNDS_MS.at(-1)
}
