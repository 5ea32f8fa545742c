/** Where code gets the time from, so that a test can hold it still. */
export type Clock = {
  /** Milliseconds since the epoch, integer. */
  readonly now: () => number
}

export const systemClock: Clock = { now: () => Date.now() }

/** A clock that moves only when told to. */
export function fixedClock(startMs: number): Clock & { advance: (ms: number) => void } {
  let nowMs = startMs
  return { now: () => nowMs, advance: (ms) => void (nowMs += ms) }
}
