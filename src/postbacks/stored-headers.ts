import { WaypostError } from '#platform/errors'
import { secretKeys } from '#secrets'
import { replaceHeaderPlaceholders, placeholderOf } from './secret-placeholders.ts'

/** Filled headers as they are kept: one sealed text, because a door-opening header cannot be told by its name. Rows from before
 * hold them as they are.
 */
export type StoredHeaders = string | Readonly<Record<string, string>>

/** Another process may have made a new key: it is looked for so often at most. */
const KEY_LOOK_MS = 1_000
let lookedAt = Number.NEGATIVE_INFINITY

/** JSON for a jsonb column. */
export function sealHeaders(headers: Readonly<Record<string, string>>): string {
  const now = performance.now()
  if (now - lookedAt >= KEY_LOOK_MS) {
    secretKeys().currentId()
    lookedAt = now
  }
  return JSON.stringify(secretKeys().seal(JSON.stringify(headers)))
}

/** Headers as they are sent, the secrets of the endpoint still to be filled.
 * @throws {WaypostError} secret_key_missing; secret_damaged
 */
export const openHeaders = (stored: StoredHeaders | null): Readonly<Record<string, string>> | null =>
  typeof stored === 'string' ? (JSON.parse(secretKeys().open(stored)) as Readonly<Record<string, string>>) : stored

/** Headers as people may see them once they are masked: secrets by their names. Those whose key is gone cannot be told any more. */
export function showHeaders(stored: StoredHeaders | null | undefined): Readonly<Record<string, string>> | null {
  const headers = openIfPossible(stored ?? null)
  if (headers === null) return null
  return Object.fromEntries(
    Object.entries(headers).map(([name, value]) => [name, replaceHeaderPlaceholders(value, placeholderOf)]),
  )
}

function openIfPossible(stored: StoredHeaders | null): Readonly<Record<string, string>> | null {
  try {
    return openHeaders(stored)
  } catch (error) {
    if (error instanceof WaypostError) return { '(sealed)': '(secret)' }
    throw error
  }
}
