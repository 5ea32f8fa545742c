import type { IncomingMessage } from 'node:http'

import type { LiveConfig } from './live-config.ts'

/** Pages of other hosts may send (a beacon is never stopped) and cannot read the answer. */
export function corsHeaders(
  live: Pick<LiveConfig, 'origins'> | undefined,
  { headers }: IncomingMessage,
): readonly string[] {
  const { origin } = headers
  if (origin === undefined) return []
  const vary = ['Vary', 'Origin']
  if (live === undefined || !live.origins.allows(origin)) return vary
  return [...vary, 'Access-Control-Allow-Origin', origin, 'Access-Control-Allow-Credentials', 'true']
}
