/** A token bucket: `perSecond` on average, `burst` at once. Pure. */
export type Bucket = { readonly tokens: number; readonly at: number }

export type Rate = { readonly perSecond: number; readonly burst: number }

export const fullBucket = (rate: Rate, now: number): Bucket => ({ tokens: rate.burst, at: now })

/** What is in it at a moment. A rate that was lowered meanwhile takes away what is too much. */
export function tokensAt({ tokens, at }: Bucket, rate: Rate, now: number): number {
  const passedMs = Math.max(0, now - at)
  return Math.min(rate.burst, tokens + (passedMs / 1_000) * rate.perSecond)
}

/** @param count at most what is in it */
export const take = (bucket: Bucket, rate: Rate, now: number, count: number): Bucket => ({
  tokens: tokensAt(bucket, rate, now) - count,
  at: Math.max(now, bucket.at),
})

/** Milliseconds until a whole token is there; 0: now. */
export const waitForToken = (bucket: Bucket, rate: Rate, now: number): number => {
  const missing = 1 - tokensAt(bucket, rate, now)
  return missing <= 0 ? 0 : Math.ceil((missing / rate.perSecond) * 1_000)
}
