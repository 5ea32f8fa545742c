import type { IncomingMessage } from 'node:http'

import type { OriginList } from './origins.ts'

/** Pages of other hosts may send (a beacon is never stopped) and cannot read the answer.
 * @param origins those that may; undefined: nobody
 */
export function corsHeaders({ headers }: IncomingMessage, origins: OriginList | undefined): readonly string[] {
  const { origin } = headers
  if (origin === undefined) return []
  const vary = ['Vary', 'Origin']
  if (origins === undefined || !origins.allows(origin)) return vary
  return [...vary, 'Access-Control-Allow-Origin', origin, 'Access-Control-Allow-Credentials', 'true']
}
