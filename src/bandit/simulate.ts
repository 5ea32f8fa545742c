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
}
export type ArmOfWorld = { readonly rate: number; readonly value: number; readonly delayHours: number }

/** `even`: the same for each arm. `learned`: as learnWeights has it, each hour. `undelayed`: the same, without the correction for
 * conversions still to come. `best`: all clicks to the arm that is worth most.
 */
export type Policy = 'even' | 'learned' | 'undelayed' | 'best'

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
  for (let hour = 0; hour < world.hours; hour += 1) {
    const arms = world.arms(hour)
    const worths = arms.map((arm) => (world.goal === 'cr' ? arm.rate : arm.rate * arm.value))
    const shares = sharesFor(policy, worths, () =>
      learnWeights(
        histories.map((history, at) => history.statsAt(hour, `arm${at}`, policy === 'undelayed')),
        settings,
        seed * 1_000 + hour,
      ).weights.map(({ weight }) => weight / 10_000),
    )
    arms.forEach((arm, at) => {
      const clicks = drawCount(random, world.clicksOfHour, shares[at]!)
      histories[at]!.addClicks(random, hour, clicks, arm)
    })
    const worth = shares.reduce((sum, share, at) => sum + share * worths[at]!, 0)
    earned += worth * world.clicksOfHour
    best += Math.max(...worths) * world.clicksOfHour
    if (hour >= world.hours * 0.75) {
      bestAtEnd += shares[worths.indexOf(Math.max(...worths))]!
      atEnd += 1
    }
  }
  return { earned, regret: best - earned, bestShareAtEnd: bestAtEnd / atEnd }
}

function sharesFor(policy: Policy, worths: readonly number[], learn: () => readonly number[]): readonly number[] {
  if (policy === 'even') return worths.map(() => 1 / worths.length)
  if (policy === 'best')
    return worths.map((worth, at) => (at === worths.indexOf(Math.max(...worths)) && worth > 0 ? 1 : 0))
  return learn()
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
} as const satisfies Readonly<Record<string, World>>
