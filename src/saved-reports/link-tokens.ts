import { isUuid } from '#platform/ids'
import { secretKeys } from '#secrets'

/** What a link opens. */
export type LinkSubject = 'shared_report' | 'report_file'

/** A link's token says what it opens and until when, sealed with the installation's keys: nobody else can make one or change it, and
 * none is kept in the database. A link that is in use longer than an old key is kept ends with that key.
 */
export const makeLinkToken = (subject: LinkSubject, id: string, expiresAtMs: number): string => {
  const [, , keyId, sealed] = secretKeys().seal(`link ${subject} ${id} ${expiresAtMs}`).split(':')
  return `${keyId}.${sealed}`
}

const TOKEN = /^([0-9a-f]{8})\.([A-Za-z0-9_-]{38,400})$/
const TEXT = /^link (\w+) ([0-9a-f-]{36}) (\d{1,16})$/

/** @returns the id of what the token opens; undefined: it is no token of ours, of something else, or over */
export function readLinkToken(subject: LinkSubject, token: string, nowMs: number): string | undefined {
  const [, keyId, sealed] = TOKEN.exec(token) ?? []
  if (keyId === undefined) return undefined
  const [, of, id, expiresAtMs] = TEXT.exec(openSealed(`sealed:1:${keyId}:${sealed}`)) ?? []
  return of === subject && id !== undefined && isUuid(id) && Number(expiresAtMs) > nowMs ? id : undefined
}

function openSealed(value: string): string {
  try {
    return secretKeys().open(value)
  } catch {
    // Somebody else's, changed on the way, or of a key that is gone: it opens nothing, and which of these is nobody's business.
    return ''
  }
}
