/** How the weights of a campaign's flows, of a flow's offers or of landings are learned; plain JSON of the configuration. */
export type OptimizeOptions = {
  /** `on`: the weights learned are used. `watch`: they are learned and shown, and those of the configuration are used.
   * `off`: nothing is learned.
   */
  readonly mode: 'on' | 'watch' | 'off'
  /** What is earned: conversions per click, or money per click. */
  readonly goal: 'cr' | 'epc'
  /** Every arm keeps at least this share of the clicks, 0 to 1, so that one that gets better is noticed; 0.02 unless given.
   * With more arms than fit, all get the same.
   */
  readonly floor_share?: number
  /** After so many hours a click counts half: the sooner, the faster a change is followed and the more is spent on trying.
   * 168 unless given.
   */
  readonly half_life_hours?: number
  /** Draws by which the shares are found; 2,000 unless given. */
  readonly draws?: number
}

export const optimizeDefaults = { floor_share: 0.02, half_life_hours: 168, draws: 2_000 } as const

export const optimizeLimits = { armsMax: 200, drawsMax: 20_000, halfLifeHoursMax: 24 * 365 } as const

/** What is wrong with options whose shape is right; empty where nothing is. */
export function checkOptimize(options: OptimizeOptions): readonly { path: readonly string[]; expected: string }[] {
  const { floor_share, half_life_hours, draws } = { ...optimizeDefaults, ...options }
  const { drawsMax, halfLifeHoursMax } = optimizeLimits
  return [
    { path: ['floor_share'], isRight: floor_share >= 0 && floor_share <= 1, expected: 'a number from 0 to 1' },
    {
      path: ['half_life_hours'],
      isRight: half_life_hours > 0 && half_life_hours <= halfLifeHoursMax,
      expected: `a number above 0, at most ${halfLifeHoursMax}`,
    },
    {
      path: ['draws'],
      isRight: Number.isInteger(draws) && draws >= 100 && draws <= drawsMax,
      expected: `a whole number from 100 to ${drawsMax}`,
    },
  ]
    .filter(({ isRight }) => !isRight)
    .map(({ path, expected }) => ({ path, expected }))
}
