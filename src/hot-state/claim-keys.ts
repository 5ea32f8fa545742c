import { hash } from 'node:crypto'

import { isUuid, uuidV7Time } from '#platform/ids'
import type { ClickRecord } from '#records'

const KEY_BYTES = 16
const TIME_BYTES = 6

/** Key of a claim: 16 bytes of a hash of the identity, of which the first six are replaced by those of a UUID in it. A UUIDv7 begins
 * with its millisecond, so the keys of new visitors and new clicks stand side by side: a batch touches few pages of the hot state
 * instead of nearly all. The other ten bytes tell apart what came within one millisecond.
 */
export function claimKeyOf(identity: string, uuid: string | undefined): Buffer {
  const key = hash('sha256', identity, 'buffer').subarray(0, KEY_BYTES)
  if (uuid !== undefined && isUuid(uuid)) key.write(uuid.slice(0, 8) + uuid.slice(9, 13), 0, TIME_BYTES, 'hex')
  return key
}

/** Key under which a visitor holds a campaign or an offer.
 * @param visitor a visitor code, or what newcomerOf gives
 */
export const visitorClaimKey = (scopeId: string, visitor: string): Buffer =>
  claimKeyOf(`${scopeId}\n${visitor}`, visitor)

/** Address and user agent, by which a visitor is known who brought no code: there is none, or the edge has made it for this very
 * click, as the millisecond in it says. @returns undefined for one who brought a code
 */
export function newcomerOf(click: Pick<ClickRecord, 'visitor_code' | 'at' | 'ip' | 'user_agent'>): string | undefined {
  const { visitor_code, at, ip, user_agent } = click
  const isNew = visitor_code === undefined || uuidV7Time(visitor_code) === at
  return isNew ? `${ip}\n${user_agent ?? ''}` : undefined
}
