import {
  compareCtit,
  judgeDifference,
  P_VALUE_MAX,
  REFERENCE_SIZE_MIN,
  SAMPLE_SIZE_MIN,
  thin,
  type CtitComparison,
  type CtitOptions,
} from './compare-ctit.ts'

/** Fewer are no company in which one could stand out: of two that differ either may be the odd one. */
const AFFILIATES_MIN = 3
/** Of each affiliate at most so many conversions are in the reference, so that a large one is not the measure of all. */
const REFERENCE_PART_MAX = 300
/** The reference is mended so often at most; two rounds are the rule. */
const ROUNDS_MAX = 5

/** Compares each affiliate of an offer with the others of it.
 *
 * Who the others are must not depend on the cheats, or a large one makes the honest look slow. So the first reference is the half
 * of the affiliates whose medians are the most usual ones; whoever is consistent with it makes the next reference, until that
 * changes nothing. It holds as long as most affiliates of the offer (not of its conversions) are honest.
 *
 * The p-values are corrected for the number of affiliates (Holm), which holds also where they depend on each other, as here where
 * all share a reference: that even one of all honest affiliates of an offer is named has at most the probability `p_value_max`.
 * @param ctits seconds from click to conversion, by affiliate
 * @returns one comparison for each affiliate
 * @throws {RangeError} a value is negative or no number
 */
export function compareAffiliates(
  ctits: ReadonlyMap<string, readonly number[]>,
  options: CtitOptions = {},
): ReadonlyMap<string, CtitComparison> {
  let reference = mostUsualHalf(ctits, options)
  let comparisons = compareAll(ctits, reference, options)
  for (let round = 1; round < ROUNDS_MAX; round += 1) {
    const consistent = [...comparisons].filter(([, { verdict }]) => verdict === 'consistent').map(([name]) => name)
    const next = new Set(consistent)
    // Fewer than the first half would mean that there is no usual picture to go by.
    if (next.size < reference.size || (next.size === reference.size && next.isSubsetOf(reference))) break
    reference = next
    comparisons = compareAll(ctits, reference, options)
  }
  return comparisons
}

/** Of the affiliates with enough conversions the half, rounded up, whose medians are nearest to the median of all medians, by
 * ratio; more of them where a half has too few conversions to compare each of its own with the rest of it.
 */
function mostUsualHalf(ctits: ReadonlyMap<string, readonly number[]>, options: CtitOptions): ReadonlySet<string> {
  const { sample_size_min = SAMPLE_SIZE_MIN, reference_size_min = REFERENCE_SIZE_MIN } = options
  const medians = [...ctits]
    .filter(([, values]) => values.length >= sample_size_min)
    .map(([affiliate, values]) => ({ affiliate, size: values.length, median: Math.log1p(medianOf(values)) }))
  if (medians.length < AFFILIATES_MIN) return new Set()
  const usual = medianOf(medians.map(({ median }) => median))
  const distanceOf = ({ median }: { median: number }): number => Math.abs(median - usual)
  const nearest = medians.toSorted((a, b) => distanceOf(a) - distanceOf(b))
  let taken = Math.ceil(nearest.length / 2)
  const sizes = nearest.map(({ size }) => Math.min(size, REFERENCE_PART_MAX))
  while (taken < sizes.length && sizeWithoutLargest(sizes.slice(0, taken)) < reference_size_min) taken += 1
  return new Set(nearest.slice(0, taken).map(({ affiliate }) => affiliate))
}

const sizeWithoutLargest = (sizes: readonly number[]): number =>
  sizes.reduce((sum, size) => sum + size, 0) - Math.max(...sizes)

const medianOf = (values: readonly number[]): number =>
  values.toSorted((a, b) => a - b)[Math.floor((values.length - 1) / 2)]!

function compareAll(
  ctits: ReadonlyMap<string, readonly number[]>,
  reference: ReadonlySet<string>,
  options: CtitOptions,
): ReadonlyMap<string, CtitComparison> {
  const parts = [...ctits]
    .filter(([affiliate]) => reference.has(affiliate))
    .map(([affiliate, values]) => [affiliate, thin(values, REFERENCE_PART_MAX)] as const)
  const referenceFor = (affiliate: string): readonly number[] =>
    parts.flatMap(([other, values]) => (other === affiliate ? [] : values))
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
  return judgeDifference({ ...measured, p_value, p_value_max: options.p_value_max ?? P_VALUE_MAX, side })
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
