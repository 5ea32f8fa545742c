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

/** The configuration holds them. */
export const optimizeLimits = { armsMax: 200, halfLifeHoursMax: 24 * 365 } as const
