/** Bounds of what is counted for fraud and of its settings. The table in docs/limits.md is made of them. */
export const fraudLimits = {
  clicksOfWindowMax: 65_000,
  windowSecondsMax: 86_400,
  /** 8 MB a kind: at 1,000 clicks a second and a window of a minute an address is over-counted by more than 1.7 in at most 1.8
   * of 100 cases. Pages that no click has touched take no memory.
   */
  counterCellsOfRow: 131_072,
  /** 2 MB: the duplicates of 10 seconds at 20,000 clicks a second. */
  visitsRemembered: 262_144,
  counterBytes: 35_651_648,
  referrersMax: 10_000,
  ownRulesMax: 50,
  ctitSecondsMinMax: 86_400,
  ctitSecondsMaxMax: 34_560_000,
  conversionsLimitMax: 1_000,
  conversionHoursMax: 8_760,
  /** More than a limit can be, since a click may have several. */
  conversionsCountedMax: 5_000,
} as const

/** What each limit bounds, and what happens past it. */
export const fraudLimitMeanings: Readonly<Record<keyof typeof fraudLimits, string>> = {
  clicksOfWindowMax: 'Clicks that a limit of a window can be set to. Counters stop at 65,535 in each third of a window.',
  windowSecondsMax: 'Seconds of a window of clicks, and of `duplicate_seconds`; at least 1.',
  counterCellsOfRow: 'Cells in each of the four rows of a counter. Counts get too high with more clicks in a window, never too low.',
  visitsRemembered: 'Visits remembered to find duplicates; the oldest make place.',
  counterBytes: 'Bytes of all counters of an edge process, whatever the number of its threads.',
  referrersMax: 'Entries of a list of referrers.',
  ownRulesMax: 'Rules of your own in the settings of the installation, and in those of an offer.',
  ctitSecondsMinMax: '`ctit.seconds_min`',
  ctitSecondsMaxMax: '`ctit.seconds_max`',
  conversionsLimitMax: '`conversions.per_ip` and `conversions.per_device`',
  conversionHoursMax: '`conversions.window_hours`',
  conversionsCountedMax:
    'Conversions of an address or device that are looked at, the newest; a click of several conversions counts once.',
} // prettier-ignore
