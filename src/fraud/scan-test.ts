/** Whether one of two samples has too many of its values at the low end, at whatever value this shows most.
 *
 * The pooled values are walked upwards. After each group of equal values, k of all N have passed, of which i are of the first
 * sample (n values). Were both samples of one kind, i would be hypergeometric; the tail P(X ≥ i) says how rare so many are.
 * The statistic is the smallest such tail over all groups. Its own p-value is exact: the share, among all ways of dealing the
 * pooled values out to the two samples, of those that come as far out at any group, found by walking all of them at once.
 *
 * This is the Kolmogorov–Smirnov test with another measure of distance. That one takes the difference of the shares, which
 * near the ends is small also where it is telling: 5 of 100 against 0 of 1,000 is 0.05. Ties are exact, and so are small samples.
 * @see Berk and Jones, "Goodness-of-fit test statistics that dominate the Kolmogorov statistics", 1979
 * @see Schröer and Trenkler, "Exact and randomization distributions of Kolmogorov-Smirnov tests", 1995 (the walk)
 */
export type Scan = {
  /** Group, counted from 0, up to whose end the first sample has too many; undefined where it nowhere has more than its part. */
  readonly group: number | undefined
  /** Corrected for having looked everywhere. */
  readonly pValue: number
}

/** Equal values: how many there are, and how many of them are of the first sample. */
export type TieGroup = { readonly count: number; readonly ofSample: number }

/** @param groups in ascending order of their values; at most some thousands of values, for it takes O(N·n) steps */
export function scanForExcess(groups: readonly TieGroup[]): Scan {
  const total = sumOf(groups, (group) => group.count)
  const ofSample = sumOf(groups, (group) => group.ofSample)
  const deal: Deal = { total, ofSample, logFactorials: logFactorialsUpTo(total) }
  const { group, tail } = findRarest(groups, deal)
  if (group === undefined) return { group, pValue: 1 }
  return { group, pValue: Math.min(1, shareAsFarOut(groups, deal, tail)) }
}

/** All ways of dealing `total` values so that `ofSample` fall to the first sample. */
type Deal = { readonly total: number; readonly ofSample: number; readonly logFactorials: Float64Array }

const sumOf = (groups: readonly TieGroup[], part: (group: TieGroup) => number): number =>
  groups.reduce((sum, group) => sum + part(group), 0)

function findRarest(groups: readonly TieGroup[], deal: Deal): { group: number | undefined; tail: number } {
  let rarest: { group: number | undefined; tail: number } = { group: undefined, tail: 1 }
  let passed = 0
  let passedOfSample = 0
  groups.forEach(({ count, ofSample }, group) => {
    passed += count
    passedOfSample += ofSample
    if (!isAboveMean(passedOfSample, passed, deal)) return
    const tail = tailOf(passedOfSample, passed, deal)
    if (tail < rarest.tail) rarest = { group, tail }
  })
  return rarest
}

const isAboveMean = (i: number, k: number, { total, ofSample }: Deal): boolean => i > (k * ofSample) / total

/** P(X ≥ i) among the first k; only for i above the mean, where each further term is smaller than the one before. */
function tailOf(i: number, k: number, deal: Deal): number {
  const { total, ofSample } = deal
  const others = total - ofSample
  let term = probabilityOf(i, k, deal)
  let sum = term
  for (let x = i; x < Math.min(k, ofSample) && term > sum * 1e-17; x += 1) {
    term *= ((ofSample - x) * (k - x)) / ((x + 1) * (others - k + x + 1))
    sum += term
  }
  return sum
}

function probabilityOf(i: number, k: number, { total, ofSample, logFactorials }: Deal): number {
  const others = total - ofSample
  if (i > Math.min(k, ofSample) || k - i > others) return 0
  const logChoose = (n: number, m: number): number => logFactorials[n]! - logFactorials[m]! - logFactorials[n - m]!
  return Math.exp(logChoose(ofSample, i) + logChoose(others, k - i) - logChoose(total, k))
}

/** Share of all ways that at the end of any group reach a tail as small as `tail`. Those that do are taken out when they do, and
 * added up, so that a share of 10⁻³⁰ is as exact as one of a half.
 */
function shareAsFarOut(groups: readonly TieGroup[], deal: Deal, tail: number): number {
  const { total, ofSample } = deal
  // Tails that are equal but for rounding are equal.
  const tailMax = tail * (1 + 1e-9)
  /** Share of the ways that have i of the sample among those passed and were never that far out. */
  const shares = new Float64Array(ofSample + 2)
  shares[0] = 1
  let passed = 0
  let farOut = 0
  let share = 0
  for (const { count } of groups) {
    for (let step = 0; step < count; step += 1, passed += 1) passOne(shares, passed, deal)
    farOut = smallestFarOut(farOut, passed, deal, tailMax)
    for (let i = farOut; i <= Math.min(passed, ofSample); i += 1) {
      share += shares[i]!
      shares[i] = 0
    }
    if (passed === total) break
  }
  return share
}

function passOne(shares: Float64Array, passed: number, { total, ofSample }: Deal): void {
  const left = total - passed
  for (let i = Math.min(passed + 1, ofSample); i >= 0; i -= 1) {
    const stays = 1 - (ofSample - i) / left
    const came = i === 0 ? 0 : (shares[i - 1]! * (ofSample - i + 1)) / left
    shares[i] = shares[i]! * Math.max(0, stays) + came
  }
}

/** The smallest i that is as far out at k; it only grows with k. */
function smallestFarOut(before: number, k: number, deal: Deal, tailMax: number): number {
  let i = before
  while (i <= Math.min(k, deal.ofSample) && (!isAboveMean(i, k, deal) || tailOf(i, k, deal) > tailMax)) i += 1
  return i
}

let logFactorials = new Float64Array(1)

function logFactorialsUpTo(n: number): Float64Array {
  if (logFactorials.length <= n) {
    const longer = new Float64Array(n + 1)
    for (let value = 1; value <= n; value += 1) longer[value] = longer[value - 1]! + Math.log(value)
    logFactorials = longer
  }
  return logFactorials
}
