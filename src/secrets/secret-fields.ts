import type { Snapshot } from '#routing'
import { secretKeys } from './secret-keys.ts'

/** Names of everything in the configuration that opens a door or signs a message. What has one of these names is sealed where it is kept
 * and masked where it is shown.
 */
const SECRET_NAMES: ReadonlySet<string> = new Set([
  ...['secret', 'secrets', 'hmac_secrets', 'previous_secret', 'previous_secrets', 'redirect_key', 'headers'],
])

export const isSecretName = (name: string): boolean => SECRET_NAMES.has(name)

/** An object of the configuration with its secrets sealed; without secrets, the same object. */
export const sealSecrets = <Value>(value: Value): Value => changeSecrets(value, secretKeys().seal) as Value

/** An object of the configuration with its secrets as they are used.
 * @throws {WaypostError} secret_key_missing; secret_damaged
 */
export const openSecrets = <Value>(value: Value): Value =>
  changeSecrets(value, (text) => secretKeys().open(text)) as Value

/** A snapshot as it is kept: in the database and on the disk. */
export function sealSnapshot(snapshot: Snapshot): Snapshot {
  // Another process may have made a new key and forgotten the one known here.
  secretKeys().currentId()
  return changeSnapshot(snapshot, sealSecrets)
}

/** A snapshot as it is used.
 * @throws {WaypostError} secret_key_missing; secret_damaged
 */
export const openSnapshot = (snapshot: Snapshot): Snapshot => changeSnapshot(snapshot, openSecrets)

/** Only offers and endpoints have secrets: the rest, which may be large, is not looked through. */
function changeSnapshot(snapshot: Snapshot, change: <Value>(value: Value) => Value): Snapshot {
  const { redirect_key } = change({ redirect_key: snapshot.redirect_key })
  return {
    ...snapshot,
    ...(redirect_key !== undefined && { redirect_key }),
    offers: snapshot.offers.map((offer) => ({ ...offer, postback: change(offer.postback) })),
    endpoints: snapshot.endpoints.map((endpoint) => change(endpoint)),
  }
}

/** Rows of the database hold dates as well, which are objects and no maps. */
const isPlain = (value: unknown): value is object =>
  typeof value === 'object' && value !== null && [Object.prototype, null].includes(Object.getPrototypeOf(value) as null)

function changeSecrets(value: unknown, change: (text: string) => string): unknown {
  if (Array.isArray(value)) return value.map((one) => changeSecrets(one, change))
  if (!isPlain(value)) return value
  return Object.fromEntries(
    Object.entries(value).map(([name, inner]) => [
      name,
      isSecretName(name) ? changeTexts(inner, change) : changeSecrets(inner, change),
    ]),
  )
}

function changeTexts(value: unknown, change: (text: string) => string): unknown {
  if (typeof value === 'string') return change(value)
  if (Array.isArray(value)) return value.map((one) => changeTexts(one, change))
  if (!isPlain(value)) return value
  return Object.fromEntries(Object.entries(value).map(([name, inner]) => [name, changeTexts(inner, change)]))
}
