import { createRandom, drawBeta, drawGamma, type Random } from '#platform/random'
import { blendDelays, estimateDelays, type DelayDistribution } from './delays.ts'
import { optimizeDefaults, optimizeLimits, type OptimizeOptions } from './options.ts'
import { toWeights } from './to-weights.ts'

/** What is known of an arm (an offer, landing or flow), by the age of its clicks. Ages and delays may be rounded up to buckets,
 * the finer the younger: an hour-old click differs from a two-hour-old one, a week-old one from the next hour's hardly.
 */
export type ArmStats = {
  readonly arm_id: string
  /** Integer ≥ 0, of the configuration; 0 takes no clicks and is not learned. */
  readonly weight: number
  readonly clicks: readonly { readonly age_seconds: number; readonly count: number }[]
  readonly conversions: readonly ArmConversions[]
  /** Share of the clicks that it can take until weights are learned again, ≥ 0, as while a cap of it is nearly full; left out: all. */
  readonly share_max?: number
}

export type ArmConversions = {
  /** Age of the clicks that they came of, and how long after the click they came. */
  readonly age_seconds: number
  readonly delay_seconds: number
  readonly count: number
  /** Goal `epc`: what they earned together, and the sum of the squares of what each earned, in units of the currency. */
  readonly earned?: number
  readonly earned_squares?: number
}

/** An arm as it stands, for a person to see. */
export type ArmState = {
  readonly arm_id: string
  readonly clicks: number
  readonly conversions: number
  /** Clicks that have had the time to convert, older ones counting less. */
  readonly effective_clicks: number
  /** Expected conversions or money per click, and the range in which it is in 9 of 10 cases. */
  readonly expected: number
  readonly interval: readonly [low: number, high: number]
  /** How often the arm is the best, by what is known. */
  readonly best_share: number
  /** Share of the clicks that it gets: learned, with the floor. */
  readonly learned_share: number
  /** Where it would get more than it can take: what it can take. */
  readonly share_max?: number
  /** Integer, of 10,000: what is used. */
  readonly weight: number
}

export type LearnedWeights = {
  /** In the order of the arms; they sum to 10,000 unless all weights of the configuration are 0. */
  readonly weights: readonly { readonly arm_id: string; readonly weight: number }[]
  /** Plain JSON. */
  readonly state: {
    readonly mode: OptimizeOptions['mode']
    readonly goal: OptimizeOptions['goal']
    readonly seed: number
    readonly arms: readonly ArmState[]
  }
}

/** Learns the weights of arms by Thompson sampling: the share of an arm is the probability that it is the best. One that would get
 * more than it can take gets that, without a floor; what is left is shared by the chances to be the best of the others.
 *
 * The conversion rate of an arm is Beta(α₀ + s, β₀ + e − s): s conversions of e effective clicks. A click counts by the share
 * of its conversions that its age has let come (see estimateDelays) and by its weight 2^(−age / half-life); a conversion
 * counts by the weight of its click. α₀ = 1 and β₀ = 1/CR − 1 for the CR of all arms: what is known before is worth one
 * conversion. Money per click is this rate × the mean value of a conversion, which is Gamma with the mean of the arm's values,
 * leaning on that of all arms as if by five conversions, and the variance of a mean of so many.
 *
 * Pure: the same statistics, options and seed give the same weights.
 * @param seed integer, e.g. the configuration version
 * @throws {RangeError} more than 200 arms or an arm twice
 * @see Thompson, 1933; Chapelle and Li, "An empirical evaluation of Thompson sampling", 2011; docs/bandit.md
 */
export function learnWeights(stats: readonly ArmStats[], options: OptimizeOptions, seed: number): LearnedWeights {
  assertArms(stats)
  const settings = { ...optimizeDefaults, ...options }
  const configured = toWeights(stats.map(({ weight }) => weight))
  const learned = settings.mode === 'off' ? [] : learnArms(stats, settings, seed)
  const learnedOf = new Map(learned.map((arm) => [arm.arm_id, arm.weight]))
  const weights = stats.map(({ arm_id }, at) => ({
    arm_id,
    weight: settings.mode === 'on' ? (learnedOf.get(arm_id) ?? 0) : configured[at]!,
  }))
  const used = new Map(weights.map(({ arm_id, weight }) => [arm_id, weight]))
  const arms = learned.map((arm) => ({ ...arm, weight: used.get(arm.arm_id)! }))
  return { weights, state: { mode: settings.mode, goal: settings.goal, seed, arms } }
}

/** The arms that take clicks, with the weights learned. */
function learnArms(stats: readonly ArmStats[], settings: Required<OptimizeOptions>, seed: number): readonly ArmState[] {
  const arms = stats.filter(({ weight }) => weight > 0)
  const beliefs = beliefsOf(arms, settings)
  const drawn = drawValues(beliefs, settings, createRandom(seed))
  const bestShares = bestSharesOf(drawn)
  const { shares, isLimited } = shareOut(arms, drawn, settings.floor_share)
  const weights = toWeights(shares)
  return arms.map(({ arm_id, clicks, conversions }, at) => ({
    arm_id,
    clicks: countOf(clicks),
    conversions: countOf(conversions),
    effective_clicks: beliefs[at]!.effectiveClicks,
    expected: meanOf(beliefs[at]!, settings.goal),
    interval: intervalOf(drawn[at]!),
    best_share: bestShares[at]!,
    learned_share: shares[at]!,
    ...(isLimited[at]! && { share_max: arms[at]!.share_max! }),
    weight: weights[at]!,
  }))
}

const countOf = (parts: readonly { readonly count: number }[]): number =>
  parts.reduce((sum, { count }) => sum + count, 0)

function assertArms(stats: readonly ArmStats[]): void {
  if (stats.length > optimizeLimits.armsMax) throw new RangeError(`${stats.length} arms are more than can be compared.`)
  if (new Set(stats.map(({ arm_id }) => arm_id)).size < stats.length) throw new RangeError('An arm is there twice.')
}

/** What is believed of an arm. */
type Belief = {
  readonly effectiveClicks: number
  /** Beta distribution of the conversion rate. */
  readonly alpha: number
  readonly beta: number
  /** Gamma distribution of the mean value of a conversion. */
  readonly valueShape: number
  readonly valueScale: number
}

/** The prior mean value leans on that of all arms as if by so many conversions. */
const VALUE_PRIOR_CONVERSIONS = 5

type Evidence = { clicks: number; conversions: number; valued: number; earned: number; earnedSquares: number }

function beliefsOf(arms: readonly ArmStats[], settings: Required<OptimizeOptions>): readonly Belief[] {
  const allDelays = estimateDelays(arms.flatMap(delayedOf))
  const evidence = arms.map((arm) =>
    weigh(arm, blendDelays(estimateDelays(delayedOf(arm)), allDelays), settings.half_life_hours),
  )
  const all = evidence.reduce(addEvidence, { clicks: 0, conversions: 0, valued: 0, earned: 0, earnedSquares: 0 })
  // Half a conversion more, so that none at all is a small rate and no certainty.
  const rate = Math.min(0.5, (all.conversions + 0.5) / (all.clicks + 1))
  const prior = { alpha: 1, beta: 1 / rate - 1 }
  const allValue = { mean: all.valued > 0 ? all.earned / all.valued : 1, variance: varianceOf(all) }
  return evidence.map((own) => ({
    effectiveClicks: own.clicks,
    alpha: prior.alpha + own.conversions,
    beta: prior.beta + Math.max(0, own.clicks - own.conversions),
    ...believeValue(own, allValue),
  }))
}

const delayedOf = ({ conversions }: ArmStats) =>
  conversions.map(({ age_seconds, delay_seconds, count }) => ({
    clickAgeSeconds: age_seconds,
    delaySeconds: delay_seconds,
    count,
  }))

function weigh({ clicks, conversions }: ArmStats, delays: DelayDistribution, halfLifeHours: number): Evidence {
  const freshness = (ageSeconds: number): number => 2 ** (-ageSeconds / (halfLifeHours * 3600))
  const evidence: Evidence = { clicks: 0, conversions: 0, valued: 0, earned: 0, earnedSquares: 0 }
  for (const { age_seconds, count } of clicks) {
    evidence.clicks += count * freshness(age_seconds) * delays.shareWithin(age_seconds)
  }
  for (const { age_seconds, count, earned, earned_squares } of conversions) {
    const weight = freshness(age_seconds)
    evidence.conversions += count * weight
    if (earned === undefined) continue
    evidence.valued += count * weight
    evidence.earned += earned * weight
    evidence.earnedSquares += (earned_squares ?? (earned * earned) / Math.max(1, count)) * weight
  }
  return evidence
}

const addEvidence = (a: Evidence, b: Evidence): Evidence => ({
  clicks: a.clicks + b.clicks,
  conversions: a.conversions + b.conversions,
  valued: a.valued + b.valued,
  earned: a.earned + b.earned,
  earnedSquares: a.earnedSquares + b.earnedSquares,
})

const varianceOf = ({ valued, earned, earnedSquares }: Evidence): number =>
  valued === 0 ? 0 : Math.max(0, earnedSquares / valued - (earned / valued) ** 2)

/** Mean and variance of the mean, as the shape and scale of a Gamma. Values that are all the same leave a hundredth of the mean
 * as doubt; earnings below nothing (more taken back than earned) are taken for next to nothing.
 */
function believeValue(own: Evidence, all: { mean: number; variance: number }) {
  const count = own.valued + VALUE_PRIOR_CONVERSIONS
  const smallest = 1e-6 * Math.abs(all.mean) + 1e-9
  const mean = Math.max(smallest, (own.earned + VALUE_PRIOR_CONVERSIONS * all.mean) / count)
  const spread = (own.valued * varianceOf(own) + VALUE_PRIOR_CONVERSIONS * all.variance) / count
  const variance = Math.max(spread, (0.01 * mean) ** 2) / count
  return { valueShape: (mean * mean) / variance, valueScale: variance / mean }
}

function meanOf({ alpha, beta, valueShape, valueScale }: Belief, goal: OptimizeOptions['goal']): number {
  const rate = alpha / (alpha + beta)
  return goal === 'cr' ? rate : rate * valueShape * valueScale
}

function drawFrom(random: Random, belief: Belief, goal: OptimizeOptions['goal']): number {
  const rate = drawBeta(random, belief.alpha, belief.beta)
  return goal === 'cr' ? rate : rate * drawGamma(random, belief.valueShape) * belief.valueScale
}

/** What the arms are worth, each as often as is drawn. */
function drawValues(
  beliefs: readonly Belief[],
  { draws, goal }: Required<OptimizeOptions>,
  random: Random,
): readonly Float64Array[] {
  const drawn = beliefs.map(() => new Float64Array(draws))
  for (let round = 0; round < draws; round += 1)
    beliefs.forEach((belief, arm) => (drawn[arm]![round] = drawFrom(random, belief, goal)))
  return drawn
}

/** How often each is the best of these. */
function bestSharesOf(drawn: readonly Float64Array[]): readonly number[] {
  const wins = drawn.map(() => 0)
  const draws = drawn[0]?.length ?? 0
  for (let round = 0; round < draws; round += 1) {
    let best = 0
    for (let arm = 1; arm < drawn.length; arm += 1) if (drawn[arm]![round]! > drawn[best]![round]!) best = arm
    wins[best]! += 1
  }
  return wins.map((won) => won / draws)
}

function intervalOf(drawn: Float64Array): readonly [number, number] {
  const sorted = drawn.toSorted()
  return [sorted[Math.floor(0.05 * sorted.length)]!, sorted[Math.floor(0.95 * sorted.length)]!]
}

type Shared = { readonly shares: readonly number[]; readonly isLimited: readonly boolean[] }

/** Each round gives arms that would get more than they can take just that, and compares the others once more. Where all arms together
 * can take less than all clicks, they share them by what they can take; where none can take any, as if all could.
 */
function shareOut(arms: readonly ArmStats[], drawn: readonly Float64Array[], floorShare: number): Shared {
  const shares = arms.map(() => 0)
  const isLimited = arms.map(() => false)
  const limitOf = (arm: number): number => arms[arm]!.share_max ?? Infinity
  let open = arms.map((_, arm) => arm)
  let left = 1
  while (open.length > 0) {
    const floor = left > 0 ? floorShare / left : 0
    const found = withFloor(bestSharesOf(open.map((arm) => drawn[arm]!)), floor).map((share) => share * left)
    const over = open.filter((arm, at) => found[at]! > limitOf(arm))
    if (over.length === 0) {
      open.forEach((arm, at) => (shares[arm] = found[at]!))
      return { shares, isLimited }
    }
    for (const arm of over) {
      shares[arm] = limitOf(arm)
      isLimited[arm] = true
      left -= shares[arm]
    }
    open = open.filter((arm) => !isLimited[arm])
  }
  const sum = shares.reduce((total, share) => total + share, 0)
  if (sum > 0) return { shares: shares.map((share) => share / sum), isLimited }
  return { shares: withFloor(bestSharesOf(drawn), floorShare), isLimited }
}

/** What is left over the floors is shared by the chances to be the best. */
function withFloor(bestShares: readonly number[], floorShare: number): readonly number[] {
  const floor = Math.min(floorShare, 1 / bestShares.length)
  return bestShares.map((share) => floor + (1 - bestShares.length * floor) * share)
}
