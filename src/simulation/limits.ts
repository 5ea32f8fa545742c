/** Bounds of what a simulation counts and answers. The table in docs/limits.md is made of them. */
export const simulationLimits = {
  kindsMax: 50_000,
  rowsMax: 500,
  examplesMax: 10,
} as const

/** What each limit bounds, and what happens past it. */
export const simulationLimitMeanings: Readonly<Record<keyof typeof simulationLimits, string>> = {
  kindsMax: 'Destinations, movements, and pairs of offer and country that are told apart. Further ones are counted together, in `not_shown`.',
  rowsMax: 'Rows of `before`, `after` and `movements`: the largest. The clicks of the others are in `not_shown`.',
  examplesMax: 'Ids in `not_reproduced_examples`.',
} // prettier-ignore
