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

type Sealed = { readonly keyId: string; readonly json: string }
/** Headers without macros are the same object in all messages of an endpoint: they are sealed once. */
const sealedByHeaders = new WeakMap<Readonly<Record<string, string>>, Sealed>()

/** JSON for a jsonb column. */
export function sealHeaders(headers: Readonly<Record<string, string>>): string {
  const now = performance.now()
  if (now - lookedAt >= KEY_LOOK_MS) {
    secretKeys().currentId()
    lookedAt = now
  }
  const keyId = secretKeys().ids()[0]!
  const known = sealedByHeaders.get(headers)
  if (known?.keyId === keyId) return known.json
  const json = JSON.stringify(secretKeys().seal(JSON.stringify(headers)))
  sealedByHeaders.set(headers, { keyId, json })
  return json
}

/** What was opened lately: messages of an endpoint share a sealed text, and tries of a message. */
const opened = new Map<string, Readonly<Record<string, string>>>()
const OPENED_MAX = 1_000

/** Headers as they are sent, the secrets of the endpoint still to be filled.
 * @throws {WaypostError} secret_key_missing; secret_damaged
 */
export function openHeaders(stored: StoredHeaders | null): Readonly<Record<string, string>> | null {
  if (typeof stored !== 'string') return stored
  const known = opened.get(stored)
  if (known !== undefined) return known
  const headers = JSON.parse(secretKeys().open(stored)) as Readonly<Record<string, string>>
  if (opened.size >= OPENED_MAX) opened.clear()
  opened.set(stored, headers)
  return headers
}

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
