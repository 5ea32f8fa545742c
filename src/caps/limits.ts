/** Bounds of caps. The table in docs/limits.md is made of them. */
export const capLimits = {
  capsOfOfferMax: 50,
  fallbacksMax: 20,
  dimensionsMax: 4,
  capIdCharactersMax: 64,
  holdMinutesMax: 43_200,
  plainValueCharactersMax: 40,
  /** A cap id, its letters and two plain values, or a fingerprint. */
  slotBytesMax: 200,
  /** A transaction takes some 10 µs and a step of sweeping some milliseconds. Who holds the lock for longer is stopped. */
  lockWaitMsMax: 2_000,
} as const

/** What each limit bounds, and what happens past it. */
export const capLimitMeanings: Readonly<Record<keyof typeof capLimits, string>> = {
  capsOfOfferMax: 'Caps of an offer.',
  fallbacksMax: 'Offers of `cap_fallbacks`.',
  dimensionsMax: 'Dimensions of `per`.',
  capIdCharactersMax: 'Characters of a `cap_id`.',
  holdMinutesMax: '`hold_minutes` (30 days); at least 1.',
  plainValueCharactersMax: 'Characters of a value of a dimension that `GET /v1/caps` shows as it is; longer ones, and those of other characters, by a fingerprint.',
  slotBytesMax: 'Bytes of the name under which a count is kept; values that do not fit stand in it as a fingerprint.',
  lockWaitMsMax: 'Milliseconds that a click waits for another process that writes counts. Longer: the offer takes no clicks (`caps_unavailable`).',
} // prettier-ignore
