import { deviationOf, type HourValue, type Scale } from './find-unusual.ts'
import { anomalyLimits } from './limits.ts'

/** What a value of a dimension had in an anomaly, and usually. */
export type ValueChange = { readonly value: string; readonly actual: HourValue; readonly expected: HourValue }

export type ExplainingValue = {
  readonly value: string
  /** The sum or quotient; null: nothing to divide by. */
  readonly actual: number | null
  readonly expected: number | null
  /** Part of the whole difference that comes from it. */
  readonly contribution: number
  /** Of a ratio: the part of the contribution that comes from another share of the traffic, and from another ratio in it. */
  readonly mix: number | undefined
  readonly rate: number | undefined
}

export type Explanation = {
  readonly dimension: string
  /** Part of the difference that its values explain together. */
  readonly explained: number
  /** How differently they share in it than usual: 0 as always. */
  readonly surprise: number
  readonly values: readonly ExplainingValue[]
}

/** A value must explain this part of the difference, and those of a dimension together this part. */
const CONTRIBUTION_MIN = 0.1
const EXPLAINED_MIN = 2 / 3
/** Deviations by which a value must differ from what it would be, had everything changed alike. */
const TELLING_DEVIATIONS = 3

/** The values of a dimension that explain a difference, those with the most surprising share first; undefined: none, as where
 * everything changed alike.
 * @see Bhagwan et al., "Adtributor: Revenue Debugging in Advertising Systems", NSDI 2014
 */
export function explainBy(
  dimension: string,
  changes: readonly ValueChange[],
  { scale, isRatio, isOfCounts }: { readonly scale: Scale; readonly isRatio: boolean; readonly isOfCounts: boolean },
): Explanation | undefined {
  const totals = totalsOf(changes)
  const parts = changes.map((change) => ({
    change,
    surprise: surpriseOf(change, totals, isRatio),
    contribution: isRatio ? ratioContribution(change, totals) : sumContribution(change, totals),
  }))
  const telling = parts.filter(
    ({ change, contribution }) =>
      contribution.contribution >= CONTRIBUTION_MIN && isTelling(change, totals, scale, isRatio, isOfCounts),
  )
  telling.sort((a, b) => b.surprise - a.surprise)
  const chosen: typeof telling = []
  const explainedBy = (list: typeof telling): number =>
    list.reduce((sum, one) => sum + one.contribution.contribution, 0)
  for (const one of telling.slice(0, anomalyLimits.valuesOfExplanationMax))
    if (explainedBy(chosen) < EXPLAINED_MIN) chosen.push(one)
  if (explainedBy(chosen) < EXPLAINED_MIN) return undefined
  return {
    dimension,
    explained: explainedBy(chosen),
    surprise: chosen.reduce((sum, one) => sum + one.surprise, 0),
    values: chosen.map(({ change, contribution }) => ({
      value: change.value,
      actual: isRatio ? quotient(change.actual) : change.actual.part,
      expected: isRatio ? quotient(change.expected) : change.expected.part,
      ...contribution,
    })),
  }
}

type Totals = { readonly actual: HourValue; readonly expected: HourValue }
type Contribution = Pick<ExplainingValue, 'contribution' | 'mix' | 'rate'>

const add = (one: HourValue, other: HourValue): HourValue => ({
  ...{ part: one.part + other.part, whole: one.whole + other.whole },
})
const totalsOf = (changes: readonly ValueChange[]): Totals => ({
  actual: changes.reduce((sum, { actual }) => add(sum, actual), { part: 0, whole: 0 }),
  expected: changes.reduce((sum, { expected }) => add(sum, expected), { part: 0, whole: 0 }),
})

const quotient = ({ part, whole }: HourValue): number | null => (whole === 0 ? null : part / whole)

function sumContribution({ actual, expected }: ValueChange, totals: Totals): Contribution {
  const whole = totals.actual.part - totals.expected.part
  return { contribution: whole === 0 ? 0 : (actual.part - expected.part) / whole, mix: undefined, rate: undefined }
}

/** A ratio changes because the traffic is another mix, or because the ratio of a value is another: with the means of both times as
 * weights the two add up to the whole difference exactly.
 */
function ratioContribution({ actual, expected }: ValueChange, totals: Totals): Contribution {
  const [after, before] = [quotient(totals.actual) ?? 0, quotient(totals.expected) ?? 0]
  const shareAfter = totals.actual.whole === 0 ? 0 : actual.whole / totals.actual.whole
  const shareBefore = totals.expected.whole === 0 ? 0 : expected.whole / totals.expected.whole
  // Where a value was not there it takes the ratio of all, or what it had at the other time: then all of it is mix.
  const rateAfter = quotient(actual) ?? quotient(expected) ?? after
  const rateBefore = quotient(expected) ?? quotient(actual) ?? before
  const mix = (shareAfter - shareBefore) * ((rateAfter + rateBefore) / 2 - (after + before) / 2)
  const rate = (rateAfter - rateBefore) * ((shareAfter + shareBefore) / 2)
  const whole = after - before
  if (whole === 0) return { contribution: 0, mix: 0, rate: 0 }
  // Adding 0 makes 0 of -0.
  return { contribution: (mix + rate) / whole, mix: mix / whole + 0, rate: rate / whole + 0 }
}

/** The part of the Jensen–Shannon divergence, in nats, between the shares of all values then and usually that is of this one. */
function surpriseOf({ actual, expected }: ValueChange, totals: Totals, isRatio: boolean): number {
  const parts = divergence(shareOf(expected.part, totals.expected.part), shareOf(actual.part, totals.actual.part))
  if (!isRatio) return parts
  return parts + divergence(shareOf(expected.whole, totals.expected.whole), shareOf(actual.whole, totals.actual.whole))
}

/** Of amounts that may be negative only their size is compared. */
const shareOf = (value: number, whole: number): number => (whole === 0 ? 0 : Math.min(1, Math.abs(value / whole)))

function divergence(p: number, q: number): number {
  const of = (one: number): number => (one === 0 ? 0 : one * Math.log((2 * one) / (p + q)))
  return (of(p) + of(q)) / 2
}

/** Whether a value did something else than all others together did. Where there are no others, nothing is told by it. */
function isTelling(change: ValueChange, totals: Totals, scale: Scale, isRatio: boolean, isOfCounts: boolean): boolean {
  const { actual, expected } = change
  const others = { actual: less(totals.actual, actual), expected: less(totals.expected, expected) }
  const alike = (name: keyof HourValue): number | undefined =>
    others.expected[name] === 0 ? undefined : (expected[name] * others.actual[name]) / others.expected[name]
  if (!isRatio) {
    const part = alike('part')
    if (part === undefined) return false
    const deviation = deviationOf(part, 1, scale, false, isOfCounts)
    return Math.abs(actual.part - part) >= TELLING_DEVIATIONS * deviation
  }
  const whole = alike('whole')
  if (whole === undefined) return false
  if (Math.abs(actual.whole - whole) >= TELLING_DEVIATIONS * Math.sqrt(Math.abs(whole) + 1)) return true
  const [own, usual] = [quotient(actual), quotient(expected)]
  const [after, before] = [quotient(others.actual), quotient(others.expected)]
  if (own === null || usual === null || after === null || before === null || before === 0) return false
  const rate = (usual * after) / before
  return Math.abs(own - rate) >= TELLING_DEVIATIONS * deviationOf(rate, actual.whole, scale, true, isOfCounts)
}

const less = (one: HourValue, other: HourValue): HourValue => ({
  ...{ part: one.part - other.part, whole: one.whole - other.whole },
})
