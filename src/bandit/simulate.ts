import { createRandom, drawGamma, drawNormal, type Random } from '#platform/random'
import { learnWeights, type ArmConversions, type ArmStats } from './learn-weights.ts'
import type { OptimizeOptions } from './options.ts'

/** A world to learn in, where it is known what each arm is worth. */
export type World = {
  readonly hours: number
  readonly clicksOfHour: number
  readonly goal: OptimizeOptions['goal']
  /** The arms in each hour: what part of their clicks converts, what a conversion earns on average, how long the half of them
   * takes.
   */
  readonly arms: (hour: number) => readonly ArmOfWorld[]
  /** Left out: every arm takes all clicks. */
  readonly cap?: CapOfWorld
}
/** One arm takes so many clicks a day; the others go to the fallback, or are drawn among the other arms where there is none. */
export type CapOfWorld = { readonly arm: number; readonly clicksOfDay: number; readonly fallback?: number }
export type ArmOfWorld = { readonly rate: number; readonly value: number; readonly delayHours: number }

/** `even`: the same for each arm. `learned`: as learnWeights has it, each hour. `undelayed`: the same, without the correction for
 * conversions still to come; `uncapped`: without knowing what a cap leaves. `best`: all clicks to the arm that is worth most and has room.
 */
export type Policy = 'even' | 'learned' | 'undelayed' | 'uncapped' | 'best'

export type SimulatedRun = {
  /** Worth of all clicks, without the luck of the single ones. */
  readonly earned: number
  /** What `best` would have earned more. */
  readonly regret: number
  /** Share of the clicks of the last quarter that went to the best arm. */
  readonly bestShareAtEnd: number
}

/** Lets clicks come for the hours of a world and weighs its arms anew each hour by what was known then. */
export function simulate(
  world: World,
  policy: Policy,
  seed: number,
  options: Partial<OptimizeOptions> = {},
): SimulatedRun {
  const random = createRandom(seed)
  const histories = world.arms(0).map(() => new History())
  const settings: OptimizeOptions = { mode: 'on', goal: world.goal, draws: 400, ...options }
  let [earned, best, bestAtEnd, atEnd] = [0, 0, 0, 0]
  const [limitsOfRun, limitsOfBest] = [new DayLimits(world), new DayLimits(world)]
  for (let hour = 0; hour < world.hours; hour += 1) {
    const arms = world.arms(hour)
    const worths = arms.map((arm) => (world.goal === 'cr' ? arm.rate : arm.rate * arm.value))
    const limits = limitsOfRun.at(hour)
    const drawn = sharesFor(policy, worths, limits, () => {
      const stats = histories.map((history, at) => ({
        ...history.statsAt(hour, `arm${at}`, policy === 'undelayed'),
        ...(policy !== 'uncapped' && { share_max: limits[at]! }),
      }))
      return learnWeights(stats, settings, seed * 1_000 + hour).weights.map(({ weight }) => weight / 10_000)
    })
    const shares = spill(drawn, limits, world.cap)
    limitsOfRun.take(shares)
    arms.forEach((arm, at) => {
      const clicks = drawCount(random, world.clicksOfHour, shares[at]!)
      histories[at]!.addClicks(random, hour, clicks, arm)
    })
    const worth = sumOf(shares.map((share, at) => share * worths[at]!))
    earned += worth * world.clicksOfHour
    const ofBest = bestShares(worths, limitsOfBest.at(hour))
    limitsOfBest.take(ofBest)
    best += sumOf(ofBest.map((share, at) => share * worths[at]!)) * world.clicksOfHour
    if (hour >= world.hours * 0.75) {
      bestAtEnd += shares[worths.indexOf(Math.max(...worths))]!
      atEnd += 1
    }
  }
  return { earned, regret: best - earned, bestShareAtEnd: bestAtEnd / atEnd }
}

/** What share of the clicks of an hour each arm has room for. */
class DayLimits {
  readonly #world: World
  #taken = 0

  constructor(world: World) {
    this.#world = world
  }

  at(hour: number): readonly number[] {
    const { arms, cap, clicksOfHour } = this.#world
    if (hour % 24 === 0) this.#taken = 0
    return arms(hour).map((_, at) => (at === cap?.arm ? Math.max(0, cap.clicksOfDay - this.#taken) / clicksOfHour : 1))
  }

  take(shares: readonly number[]): void {
    const { cap, clicksOfHour } = this.#world
    if (cap !== undefined) this.#taken += shares[cap.arm]! * clicksOfHour
  }
}

const sumOf = (values: readonly number[]): number => values.reduce((sum, value) => sum + value, 0)

function sharesFor(
  policy: Policy,
  worths: readonly number[],
  limits: readonly number[],
  learn: () => readonly number[],
): readonly number[] {
  if (policy === 'even') return worths.map(() => 1 / worths.length)
  return policy === 'best' ? bestShares(worths, limits) : learn()
}

/** As many as it takes to the best arm, then to the next. */
function bestShares(worths: readonly number[], limits: readonly number[]): readonly number[] {
  const shares = worths.map(() => 0)
  let left = 1
  for (const arm of worths.map((_, at) => at).toSorted((a, b) => worths[b]! - worths[a]!)) {
    shares[arm] = Math.min(left, limits[arm]!)
    left -= shares[arm]
  }
  return shares
}

/** Where visitors go who were drawn for an arm that is full. */
function spill(shares: readonly number[], limits: readonly number[], cap: CapOfWorld | undefined): readonly number[] {
  const over = cap === undefined ? 0 : shares[cap.arm]! - limits[cap.arm]!
  if (cap === undefined || over <= 0) return shares
  const others = 1 - shares[cap.arm]!
  return shares.map((share, at) => {
    if (at === cap.arm) return limits[at]!
    if (cap.fallback !== undefined) return share + (at === cap.fallback ? over : 0)
    return share + over * (others > 0 ? share / others : 1 / (shares.length - 1))
  })
}

/** Clicks and conversions of one arm, by the hour of the click. */
class History {
  readonly #clicks: number[] = []
  readonly #conversions: { hour: number; delayHours: number; earned: number }[] = []

  addClicks(random: Random, hour: number, clicks: number, { rate, value, delayHours }: ArmOfWorld): void {
    this.#clicks[hour] = clicks
    const conversions = drawCount(random, clicks, rate)
    for (let conversion = 0; conversion < conversions; conversion += 1) {
      this.#conversions.push({
        hour,
        delayHours: delayHours * Math.exp(drawNormal(random)),
        earned: (value * drawGamma(random, 2)) / 2,
      })
    }
  }

  /** What is known at the beginning of an hour; a click is as old as the middle of its hour. */
  statsAt(now: number, armId: string, isUndelayed: boolean): ArmStats {
    const known = this.#conversions.filter(({ hour, delayHours }) => hour + 0.5 + delayHours <= now)
    return {
      arm_id: armId,
      weight: 1,
      clicks: this.#clicks.map((count, hour) => ({ age_seconds: (now - hour - 0.5) * 3600, count })),
      conversions: known.map(({ hour, delayHours, earned }): ArmConversions => ({
        age_seconds: (now - hour - 0.5) * 3600,
        delay_seconds: isUndelayed ? 0 : delayHours * 3600,
        count: 1,
        earned,
        earned_squares: earned * earned,
      })),
    }
  }
}

/** How many of so many tries succeed. */
function drawCount(random: Random, tries: number, chance: number): number {
  let count = 0
  for (let left = tries; left > 0; left -= 1) if (random() < chance) count += 1
  return count
}

const days = (count: number): number => count * 24

/** Five arms each, 3 % at best; one or two weeks of 300 clicks an hour. */
const RATES = [0.02, 0.024, 0.03, 0.018, 0.022] as const
const steadyArms = RATES.map((rate) => ({ rate, value: 1, delayHours: 0.2 }))

/** The second best earns twice what the others do on average. */
const cappedArms = [0.012, 0.03, 0.04, 0.008, 0.016].map((rate) => ({ rate, value: 1, delayHours: 0.2 }))

/** Each shows one thing that learning must cope with. */
export const worlds = {
  /** Conversions come at once and nothing changes. */
  steady: { hours: days(7), clicksOfHour: 300, goal: 'cr', arms: () => steadyArms },
  /** The best arm converts a day after the click, the others within the hour. */
  delayed: {
    hours: days(14),
    clicksOfHour: 300,
    goal: 'cr',
    arms: () => steadyArms.map((arm, at) => (at === 2 ? { ...arm, delayHours: 24 } : { ...arm, delayHours: 1 })),
  },
  /** After half of the time the best arm and the worst change places. */
  drifting: {
    hours: days(14),
    clicksOfHour: 300,
    goal: 'cr',
    arms: (hour) =>
      hour < days(7) ? steadyArms : steadyArms.map((arm, at) => steadyArms[[0, 1, 3, 2, 4][at]!] ?? arm),
  },
  /** Money per click: the arm that converts most earns least. */
  earnings: {
    hours: days(7),
    clicksOfHour: 300,
    goal: 'epc',
    arms: () => RATES.map((rate, at) => ({ rate, value: [1, 1.2, 0.4, 2.4, 1.1][at]!, delayHours: 2 })),
  },
  /** The best arm takes 2,000 of the 7,200 clicks of a day. */
  capped: {
    hours: days(7),
    clicksOfHour: 300,
    goal: 'cr',
    arms: () => cappedArms,
    cap: { arm: 2, clicksOfDay: 2_000 },
  },
  /** The same, and the worst arm takes its visitors. */
  fallback: {
    hours: days(7),
    clicksOfHour: 300,
    goal: 'cr',
    arms: () => cappedArms,
    cap: { arm: 2, clicksOfDay: 2_000, fallback: 3 },
  },
} as const satisfies Readonly<Record<string, World>>
