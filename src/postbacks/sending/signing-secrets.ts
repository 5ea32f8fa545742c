import type { PostbackEndpoint } from '#routing'

type Signing = Pick<PostbackEndpoint, 'secret' | 'previous_secret' | 'previous_secret_until'>

/** The secrets that sign at a moment, the present one first; the one before a rotation for as long as it is kept. */
export function signingSecrets(endpoint: Signing, nowMs: number): readonly string[] {
  const { secret, previous_secret, previous_secret_until = Number.NEGATIVE_INFINITY } = endpoint
  if (secret === undefined) return []
  return previous_secret === undefined || previous_secret_until <= nowMs ? [secret] : [secret, previous_secret]
}
