import { compareCtit, judgeDifference, thin, type CtitComparison, type CtitOptions } from './compare-ctit.ts'

/** Fewer are no company in which one could stand out: of two that differ either may be the odd one. */
const AFFILIATES_MIN = 3
/** Of each affiliate at most so many conversions are in the reference, so that a large one is not the measure of all. */
const REFERENCE_PART_MAX = 300
/** After so many affiliates taken out the rest is judged as it stands. */
const TAKEN_OUT_MAX = 20

/** Compares each affiliate of an offer with the others of it. An affiliate that stands out is taken out of what the rest is
 * compared with, the worst first, until nobody does, as long as most are left: else a large cheat makes the honest ones look
 * slow. The p-values are corrected for the number of affiliates (Holm), which holds also where they depend on each other, as
 * here where all share a reference: that even one of all honest affiliates of an offer is named has at most the probability
 * `p_value_max`.
 * @param ctits seconds from click to conversion, by affiliate
 * @returns one comparison for each affiliate
 */
export function compareAffiliates(
  ctits: ReadonlyMap<string, readonly number[]>,
  options: CtitOptions = {},
): ReadonlyMap<string, CtitComparison> {
  const takenOut = new Set<string>()
  for (;;) {
    const comparisons = compareAll(ctits, takenOut, options)
    const worst = worstOf(comparisons, takenOut)
    const left = ctits.size - takenOut.size - 1
    if (worst === undefined || takenOut.size === TAKEN_OUT_MAX || left * 2 < ctits.size) return comparisons
    takenOut.add(worst)
  }
}

function worstOf(comparisons: ReadonlyMap<string, CtitComparison>, takenOut: ReadonlySet<string>): string | undefined {
  return [...comparisons]
    .filter(
      ([affiliate, { verdict }]) => !takenOut.has(affiliate) && (verdict === 'too_fast' || verdict === 'too_slow'),
    )
    .toSorted(([, a], [, b]) => b.statistic - a.statistic)[0]?.[0]
}

function compareAll(
  ctits: ReadonlyMap<string, readonly number[]>,
  takenOut: ReadonlySet<string>,
  options: CtitOptions,
): ReadonlyMap<string, CtitComparison> {
  const parts = [...ctits]
    .filter(([affiliate]) => !takenOut.has(affiliate))
    .map(([affiliate, values]) => [affiliate, thin(values, REFERENCE_PART_MAX)] as const)
  const referenceFor = (affiliate: string): readonly number[] =>
    ctits.size < AFFILIATES_MIN ? [] : parts.flatMap(([other, values]) => (other === affiliate ? [] : values))
  const comparisons = [...ctits].map(
    ([affiliate, values]) => [affiliate, compareCtit(values, referenceFor(affiliate), options)] as const,
  )
  const corrected = correctByHolm(comparisons.map(([, { verdict, p_value }]) => (verdict === 'too_few' ? 1 : p_value)))
  return new Map(comparisons.map(([affiliate, found], at) => [affiliate, judgeAgain(found, corrected[at]!, options)]))
}

function judgeAgain(found: CtitComparison, p_value: number, options: CtitOptions): CtitComparison {
  // A correction only ever raises the p-value: what is not unusual stays so.
  if (found.verdict === 'too_few' || found.verdict === 'consistent') {
    return found.verdict === 'too_few' ? found : { ...found, p_value }
  }
  const { statistic: _, explanation: __, verdict: side, ...measured } = found
  return judgeDifference({ ...measured, p_value, p_value_max: options.p_value_max ?? 0.01, side })
}

/** p-values such that the smallest of m is multiplied by m, the next by m − 1, and so on, never falling; at most 1.
 * @see Holm, "A simple sequentially rejective multiple test procedure", 1979
 */
export function correctByHolm(pValues: readonly number[]): readonly number[] {
  const corrected = new Array<number>(pValues.length).fill(1)
  const ascending = pValues.map((_, at) => at).toSorted((a, b) => pValues[a]! - pValues[b]!)
  let before = 0
  ascending.forEach((at, rank) => {
    before = Math.min(1, Math.max(before, pValues[at]! * (pValues.length - rank)))
    corrected[at] = before
  })
  return corrected
}
