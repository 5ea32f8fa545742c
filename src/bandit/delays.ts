/** Conversions of clicks that are `clickAgeSeconds` old and converted after `delaySeconds`; both may be ends of buckets. */
export type DelayedConversions = {
  readonly clickAgeSeconds: number
  readonly delaySeconds: number
  readonly count: number
}

/** How many of the conversions that a click will ever have have come by the time it has some age. */
export type DelayDistribution = {
  /** @returns 0 to 1, never falling with the age; 1 from the longest delay on that was seen */
  readonly shareWithin: (ageSeconds: number) => number
  /** Conversions that it is made of. */
  readonly count: number
}

/** Estimates the delays from conversions so far. Their plain histogram would be too short: of a click an hour old only a
 * conversion within that hour can be known. So each delay d is judged only among the clicks that are old enough to have shown it:
 * going from the longest delay down, the share of conversions with delay ≤ s is
 *
 *     F(s) = Π over delays d > s of (1 − n(d) / (R(d) + 2)),   R(d) = conversions with delay ≤ d whose click is at least d old
 *
 * (product-limit estimator for values truncated on the right). The 2 keeps a single late conversion of the oldest click, which is
 * compared with nothing but itself, from making all others out to be early. What takes longer than the oldest click is not seen
 * by anybody.
 * @see Lynden-Bell, "A method of allowing for known observational selection in small samples", 1971
 */
export function estimateDelays(conversions: readonly DelayedConversions[]): DelayDistribution {
  const known = conversions.filter(({ count }) => count > 0)
  const delays = [...new Set(known.map(({ delaySeconds }) => delaySeconds))].toSorted((a, b) => a - b)
  const shares = new Array<number>(delays.length).fill(1)
  const atRisk = countAtRisk(known, delays)
  for (let at = delays.length - 1; at > 0; at -= 1) {
    shares[at - 1] = shares[at]! * (1 - atRisk.ended[at]! / (atRisk.risk[at]! + RISK_PRIOR))
  }
  return {
    shareWithin: (ageSeconds) => (delays.length === 0 ? 1 : interpolate(delays, shares, ageSeconds)),
    count: known.reduce((sum, { count }) => sum + count, 0),
  }
}

const RISK_PRIOR = 2

/** Of each delay: how many conversions have it (`ended`), and how many have it or a shorter one with a click that is as old. */
function countAtRisk(conversions: readonly DelayedConversions[], delays: readonly number[]) {
  const ended = new Float64Array(delays.length)
  const changes = new Float64Array(delays.length + 1)
  for (const { delaySeconds, clickAgeSeconds, count } of conversions) {
    const from = firstAtLeast(delays, delaySeconds)
    const to = firstAbove(delays, Math.max(delaySeconds, clickAgeSeconds))
    ended[from]! += count
    changes[from]! += count
    changes[to]! -= count
  }
  let running = 0
  const risk = Float64Array.from(delays, (_, at) => (running += changes[at]!))
  return { ended, risk }
}

function firstAtLeast(ascending: readonly number[], value: number): number {
  let [low, high] = [0, ascending.length]
  while (low < high) {
    const middle = (low + high) >> 1
    if (ascending[middle]! < value) low = middle + 1
    else high = middle
  }
  return low
}

const firstAbove = (ascending: readonly number[], value: number): number => {
  const at = firstAtLeast(ascending, value)
  return ascending[at] === value ? at + 1 : at
}

/** Straight between the delays seen, from 0 at the age 0. */
function interpolate(delays: readonly number[], shares: readonly number[], age: number): number {
  if (age <= 0) return delays[0] === 0 ? shares[0]! : 0
  const next = firstAtLeast(delays, age)
  if (next === delays.length) return 1
  const [fromDelay, fromShare] = next === 0 ? [0, 0] : [delays[next - 1]!, shares[next - 1]!]
  const width = delays[next]! - fromDelay
  return width === 0 ? shares[next]! : fromShare + ((shares[next]! - fromShare) * (age - fromDelay)) / width
}

/** The delays of one arm, leaning on those of all arms where it has few conversions of its own: its own count as many as it
 * has, those of all as `POOL_WEIGHT`.
 */
export function blendDelays(own: DelayDistribution, all: DelayDistribution): DelayDistribution {
  const weight = own.count / (own.count + POOL_WEIGHT)
  return {
    shareWithin: (age) => weight * own.shareWithin(age) + (1 - weight) * all.shareWithin(age),
    count: own.count,
  }
}

const POOL_WEIGHT = 5
