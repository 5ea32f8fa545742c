import type { Clock } from '#platform/clock'

const WINDOW_MS = 60_000
/** Keys counted at the same time; past that all counts start again, which favours the caller. */
const KEYS_MAX = 10_000

/** Counts requests by key in windows of a minute. */
export type RateLimit = { readonly isOver: (key: string) => boolean; readonly count: (key: string) => void }

export function createRateLimit(perMinuteMax: number, clock: Clock): RateLimit {
  let counts = new Map<string, number>()
  let window = 0
  const turn = (): void => {
    const now = Math.floor(clock.now() / WINDOW_MS)
    if (now === window && counts.size < KEYS_MAX) return
    window = now
    counts = new Map()
  }
  return {
    isOver: (key) => {
      turn()
      return (counts.get(key) ?? 0) >= perMinuteMax
    },
    count: (key) => {
      turn()
      counts.set(key, (counts.get(key) ?? 0) + 1)
    },
  }
}
