import { createCipheriv, createDecipheriv, createHash, hkdfSync, randomBytes } from 'node:crypto'
import { WaypostError } from '#platform/errors'

/** What secrets are sealed with before they go to the database or the disk, so that a dump or a backup of either opens no door.
 *
 *   sealed:1:<key id>:<base64url of nonce (12 bytes), AES-256-GCM ciphertext, tag (16 bytes)>
 *
 * The key id is the first 8 hexadecimal digits of the key's SHA-256 and, with the words before it, authenticated along. The nonce is
 * random: far fewer values are sealed than 2^32 under one key.
 */
const PREFIX = 'sealed:1:'
const SEALED = /^sealed:1:([0-9a-f]{8}):([A-Za-z0-9_-]{38,})$/
const NONCE_BYTES = 12
const TAG_BYTES = 16
export const KEY_BYTES = 32

export type SecretKeys = {
  /** Id of the key that seals: the newest, also where another process has just made it. */
  readonly currentId: () => string
  /** Ids of all keys, the newest first. */
  readonly ids: () => readonly string[]
  readonly seal: (text: string) => string
  /** The text of a sealed value; anything else as it is, since what was written before there was a key is not sealed.
   * @throws {WaypostError} secret_key_missing; secret_damaged
   */
  readonly open: (value: string) => string
  /** Keys for signing, one of each key, the newest first: sign with the first, believe any. No purpose can make those of another. */
  readonly signingKeys: (purpose: string) => readonly Buffer[]
}

const SIGNING_KEY_BYTES = 32
const signingKey = (key: Buffer, purpose: string): Buffer =>
  Buffer.from(hkdfSync('sha256', key, '', `waypost ${purpose}`, SIGNING_KEY_BYTES))

/** @param read gives the keys, 32 bytes each, the newest first, at least one
 * @param place where they are, for the message when one is missing
 */
export function createSecretKeys(read: () => readonly Buffer[], place: string): SecretKeys {
  let keys = byId(read())
  const currentId = (): string => {
    keys = byId(read())
    return keys.keys().next().value!
  }
  const find = (id: string): Buffer => {
    // Another process may have made a new one.
    if (!keys.has(id)) keys = byId(read())
    const key = keys.get(id)
    if (key !== undefined) return key
    throw new WaypostError('secret_key_missing', `It is the key ${id}; ${place} has ${[...keys.keys()].join(', ')}.`)
  }
  return {
    currentId,
    ids: () => [...keys.keys()],
    seal: (text) => {
      const [id, key] = keys.entries().next().value!
      return sealWith(id, key, text)
    },
    signingKeys: (purpose) => {
      keys = byId(read())
      return [...keys.values()].map((key) => signingKey(key, purpose))
    },
    open: (value) => {
      const [, id, sealed] = SEALED.exec(value) ?? []
      return id === undefined ? value : openWith(id, find(id), Buffer.from(sealed!, 'base64url'))
    },
  }
}

/** Keys that do not change while the process runs.
 * @param keys base64 of 32 bytes, the newest first, at least one
 */
export function givenSecretKeys(keys: readonly string[], place = 'WAYPOST_SECRET_KEY'): SecretKeys {
  const given = keys.map((key) => Buffer.from(key, 'base64'))
  return createSecretKeys(() => given, place)
}

const byId = (keys: readonly Buffer[]): ReadonlyMap<string, Buffer> => new Map(keys.map((key) => [idOf(key), key]))
const idOf = (key: Buffer): string => createHash('sha256').update(key).digest('hex').slice(0, 8)

function sealWith(id: string, key: Buffer, text: string): string {
  const nonce = randomBytes(NONCE_BYTES)
  const cipher = createCipheriv('aes-256-gcm', key, nonce).setAAD(Buffer.from(PREFIX + id))
  const sealed = Buffer.concat([nonce, cipher.update(text, 'utf8'), cipher.final(), cipher.getAuthTag()])
  return `${PREFIX}${id}:${sealed.toString('base64url')}`
}

function openWith(id: string, key: Buffer, sealed: Buffer): string {
  const end = sealed.length - TAG_BYTES
  const decipher = createDecipheriv('aes-256-gcm', key, sealed.subarray(0, NONCE_BYTES))
  decipher.setAAD(Buffer.from(PREFIX + id)).setAuthTag(sealed.subarray(end))
  try {
    return decipher.update(sealed.subarray(NONCE_BYTES, end), undefined, 'utf8') + decipher.final('utf8')
  } catch (cause) {
    throw new WaypostError('secret_damaged', `It names the key ${id}.`, { cause })
  }
}

let inUse: SecretKeys | undefined

/** Sets the keys of this process, at its start. One process has one set, as it has one environment: everything that reads or writes the
 * configuration uses it, and without it a secret can be neither written nor read.
 */
export function useSecretKeys(keys: SecretKeys): void {
  inUse = keys
}

/** The keys of this process.
 * @throws {Error} programmer error: nobody called useSecretKeys
 */
export function secretKeys(): SecretKeys {
  if (inUse === undefined) throw new Error('This process was started without useSecretKeys.')
  return inUse
}
