/** Bounds of a decision and of its trace. The table in docs/limits.md is made of them. */
export const routingLimits = {
  campaignsMax: 6,
  /** A campaign with hundreds of flows may not blow up its records. */
  traceStepsMax: 60,
  traceStepsKeptAtEnd: 12,
  conditionCharactersMax: 200,
} as const

/** What each limit bounds, and what happens past it. */
export const routingLimitMeanings: Readonly<Record<keyof typeof routingLimits, string>> = {
  campaignsMax: 'Campaigns that a click goes through, where flows lead to others. More: `campaign_loop`.',
  traceStepsMax:
    'Steps of a trace. Of more the ones in the middle are counted and not kept, but for up to four that the end hangs on.',
  traceStepsKeptAtEnd: 'Steps at the end of a trace that are kept of more.',
  conditionCharactersMax: 'Characters of a condition in the sentences of a decision. Longer: cut.',
}
