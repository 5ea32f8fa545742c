import { scanForExcess, type TieGroup } from './scan-test.ts'

/** `too_fast`: too many conversions too soon after their clicks, as where clicks are injected into conversions under way.
 * `too_slow`: too many too late, as where clicks are spammed for people who convert on their own. `too_few`: nothing can be said.
 */
export type CtitVerdict = 'consistent' | 'too_fast' | 'too_slow' | 'too_few'

export type CtitComparison = {
  /** By how much the share of the sample's conversions beyond `seconds` exceeds that of the reference, 0 to 1: at least so many
   * of them are not like those of the others.
   */
  readonly statistic: number
  /** How often so large a difference comes by chance, all values of `seconds` considered. */
  readonly p_value: number
  readonly verdict: CtitVerdict
  /** Where the two differ most tellingly; 0 where they do not. */
  readonly seconds: number
  /** Share of the conversions up to `seconds` (`too_slow`: from there on). */
  readonly sample_share: number
  readonly reference_share: number
  readonly sample_size: number
  readonly reference_size: number
  /** For a person. */
  readonly explanation: string
}

export type CtitOptions = {
  /** A difference counts where chance makes one so large less often than this; 0.01 unless given. */
  readonly p_value_max?: number
  /** With fewer conversions nothing is said; 20 and 100 unless given. */
  readonly sample_size_min?: number
  readonly reference_size_min?: number
}

export const P_VALUE_MAX = 0.01
export const SAMPLE_SIZE_MIN = 20
export const REFERENCE_SIZE_MIN = 100

/** More values are thinned evenly, in the order given: the test takes O(N·n) steps, 15 ms for these sizes. */
const TESTED_SAMPLE_MAX = 1_000
const TESTED_REFERENCE_MAX = 2_000

/** With thousands of conversions a difference of one per cent is significant, and every honest audience has one. To count it must
 * also be large: so large a share, or a smaller one that is many times that of the others.
 */
const EXCESS_MIN = 0.25
const EXCESS_MIN_IF_MANIFOLD = 0.05
const MANIFOLD = 4

/** Compares the times from click to conversion of one affiliate with those of others of the same offer.
 * @param sample seconds ≥ 0, of the affiliate
 * @param reference seconds ≥ 0, of others than the affiliate
 * @throws {RangeError} a value is negative or no number
 * @see docs/fraud.md; scanForExcess
 */
export function compareCtit(
  sample: readonly number[],
  reference: readonly number[],
  options: CtitOptions = {},
): CtitComparison {
  assertSeconds(sample)
  assertSeconds(reference)
  const sizes = { sample_size: sample.length, reference_size: reference.length }
  const { sample_size_min = SAMPLE_SIZE_MIN, reference_size_min = REFERENCE_SIZE_MIN } = options
  if (sample.length < sample_size_min || reference.length < reference_size_min) return nothingSaid(sizes)
  const fast = findExcess(sample, reference, 'too_fast')
  const slow = findExcess(sample, reference, 'too_slow')
  const found = fast.p < slow.p ? fast : slow
  return judgeDifference({
    ...sizes,
    ...found.difference,
    // Two questions were asked, either of which could have been answered by chance.
    p_value: Math.min(1, 2 * found.p),
    p_value_max: options.p_value_max ?? P_VALUE_MAX,
    side: found.side,
  })
}

type Side = 'too_fast' | 'too_slow'
type Sizes = Pick<CtitComparison, 'sample_size' | 'reference_size'>
type Difference = Pick<CtitComparison, 'seconds' | 'sample_share' | 'reference_share'>

function assertSeconds(values: readonly number[]): void {
  if (!values.every((value) => value >= 0 && value < Infinity))
    throw new RangeError('a time to convert is no number ≥ 0')
}

const nothingSaid = (sizes: Sizes): CtitComparison => ({
  ...sizes,
  ...{ statistic: 0, p_value: 1, seconds: 0, sample_share: 0, reference_share: 0 },
  verdict: 'too_few',
  explanation: `${count(sizes.sample_size)} conversions against ${count(sizes.reference_size)} of others are too few to say anything.`,
})

function findExcess(sample: readonly number[], reference: readonly number[], side: Side) {
  const groups = groupTies(thin(sample, TESTED_SAMPLE_MAX), thin(reference, TESTED_REFERENCE_MAX), side)
  const { group, pValue } = scanForExcess(groups)
  const seconds = group === undefined ? 0 : groups[group]!.value
  const shareOf = (values: readonly number[]): number =>
    values.filter((value) => (side === 'too_fast' ? value <= seconds : value >= seconds)).length / values.length
  const difference: Difference =
    group === undefined
      ? { seconds, sample_share: 0, reference_share: 0 }
      : { seconds, sample_share: shareOf(sample), reference_share: shareOf(reference) }
  return { side, p: pValue, difference }
}

/** At most so many values, evenly taken in the order given. */
export const thin = (values: readonly number[], countMax: number): readonly number[] =>
  values.length <= countMax
    ? values
    : Array.from({ length: countMax }, (_, index) => values[Math.floor((index * values.length) / countMax)]!)

/** Ascending for `too_fast`, else descending, so that the telling end comes first. */
function groupTies(sample: readonly number[], reference: readonly number[], side: Side) {
  const tagged = [
    ...sample.map((value) => ({ value, ofSample: 1 })),
    ...reference.map((value) => ({ value, ofSample: 0 })),
  ].sort((a, b) => (side === 'too_fast' ? a.value - b.value : b.value - a.value))
  const groups: (TieGroup & { readonly value: number })[] = []
  for (const { value, ofSample } of tagged) {
    const last = groups.at(-1)
    if (last?.value === value) {
      groups[groups.length - 1] = { value, count: last.count + 1, ofSample: last.ofSample + ofSample }
    } else groups.push({ value, count: 1, ofSample })
  }
  return groups
}

/** Verdict and explanation of a difference that was measured.
 * @param measured `p_value` as it is after every correction
 */
export function judgeDifference(
  measured: Sizes & Difference & { readonly p_value: number; readonly p_value_max: number; readonly side: Side },
): CtitComparison {
  const { p_value_max, side, ...rest } = measured
  const statistic = Math.max(0, rest.sample_share - rest.reference_share)
  const isSignificant = rest.p_value <= p_value_max
  const isLarge =
    statistic >= EXCESS_MIN ||
    (statistic >= EXCESS_MIN_IF_MANIFOLD && rest.sample_share >= MANIFOLD * rest.reference_share)
  const verdict = isSignificant && isLarge ? side : 'consistent'
  return { ...rest, statistic, verdict, explanation: explain({ ...rest, statistic, side, isSignificant, verdict }) }
}

function explain(
  found: Sizes &
    Difference & { statistic: number; p_value: number; side: Side; isSignificant: boolean; verdict: CtitVerdict },
): string {
  if (!found.isSignificant) {
    return `Nothing unusual: chance alone makes a difference like this in ${percent(found.p_value)} of comparisons.`
  }
  const when = found.side === 'too_fast' ? `within ${duration(found.seconds)}` : `${duration(found.seconds)} or more`
  const facts =
    `${percent(found.sample_share)} of ${count(found.sample_size)} conversions came ${when} after the click; ` +
    `of the ${count(found.reference_size)} of others it was ${percent(found.reference_share)}. `
  const chance = `Chance alone makes such a difference in ${percent(found.p_value)} of comparisons. `
  if (found.verdict === 'consistent')
    return `${facts}${chance}It is no accident, but too small to count: audiences differ.`
  const typical = found.side === 'too_fast' ? TYPICAL_FAST : TYPICAL_SLOW
  return `${facts}${chance}At least ${percent(found.statistic)} of them are not like those of others. ${typical}`
}

const TYPICAL_FAST =
  'Typical of clicks that are injected when somebody converts anyway. Rule out a faster page, a returning audience and test orders.'
const TYPICAL_SLOW =
  'Typical of clicks that are sent for people who never clicked and convert on their own. Rule out a longer decision of this audience.'

const count = (value: number): string => value.toLocaleString('en-US')

function percent(share: number): string {
  if (share > 0 && share < 0.0001) return 'less than 0.01 %'
  const value = share * 100
  return `${value >= 10 ? value.toFixed(0) : value.toFixed(value >= 1 ? 1 : 2)} %`
}

function duration(seconds: number): string {
  if (seconds < 120) return `${Math.round(seconds)} seconds`
  if (seconds < 7_200) return `${Math.round(seconds / 60)} minutes`
  return seconds < 172_800 ? `${Math.round(seconds / 3_600)} hours` : `${Math.round(seconds / 86_400)} days`
}
