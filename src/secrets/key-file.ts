import { randomBytes } from 'node:crypto'
import { closeSync, fsyncSync, linkSync, openSync, readFileSync, renameSync, rmSync, writeSync } from 'node:fs'
import { threadId } from 'node:worker_threads'
import { createSecretKeys, KEY_BYTES, type SecretKeys } from './secret-keys.ts'

/** Keys of the installation in a file that only its owner may read, made at the first start: `{ "keys": ["<base64>", …] }`, the newest
 * first. Earlier ones stay until they are forgotten on purpose, because a copy of the configuration elsewhere may need them.
 */
export type KeptSecretKeys = SecretKeys & {
  /** Makes a new key, which seals from now on, in every process that uses the file. */
  readonly add: () => void
  /** Takes all but the newest away. */
  readonly forgetOld: () => void
}

/** @throws {Error} the file is there and cannot be read as ours; it is never overwritten then */
export function keptSecretKeys(file: string): KeptSecretKeys {
  readOrMake(file)
  const keys = createSecretKeys(() => readOrMake(file), file)
  return {
    ...keys,
    add: () => replace(file, [newKey(), ...readOrMake(file)]),
    forgetOld: () => replace(file, readOrMake(file).slice(0, 1)),
  }
}

const newKey = (): Buffer => randomBytes(KEY_BYTES)

function readOrMake(file: string): readonly Buffer[] {
  const known = readIfThere(file)
  if (known !== undefined) return known
  const draft = write(file, [newKey()])
  try {
    // Unlike a rename this leaves the file of another process that was quicker.
    linkSync(draft, file)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error
  } finally {
    rmSync(draft, { force: true })
  }
  return readIfThere(file)!
}

function readIfThere(file: string): readonly Buffer[] | undefined {
  try {
    return parse(file, readFileSync(file, 'utf8'))
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined
    throw error
  }
}

function parse(file: string, text: string): readonly Buffer[] {
  const keys = keysIn(text)?.map((key) => Buffer.from(key, 'base64'))
  if (keys !== undefined && keys.length > 0 && keys.every((key) => key.length === KEY_BYTES)) return keys
  throw new Error(
    `${file} is damaged. Without its keys no secret in the database can be read: put it back from a backup.`,
  )
}

function keysIn(text: string): readonly string[] | undefined {
  try {
    const { keys } = JSON.parse(text) as { readonly keys?: unknown }
    return Array.isArray(keys) && keys.every((key) => typeof key === 'string') ? keys : undefined
  } catch {
    // What it says instead may hold parts of keys: the caller's message says enough.
    return undefined
  }
}

const replace = (file: string, keys: readonly Buffer[]): void => renameSync(write(file, keys), file)

/** On the disk before it is used: secrets whose key was lost in a power cut would be lost with it. */
function write(file: string, keys: readonly Buffer[]): string {
  // Threads of one process may write at the same time too.
  const draft = `${file}.${process.pid}.${threadId}.new`
  const descriptor = openSync(draft, 'w', 0o600)
  writeSync(descriptor, `${JSON.stringify({ keys: keys.map((key) => key.toString('base64')) }, null, 2)}\n`)
  fsyncSync(descriptor)
  closeSync(descriptor)
  return draft
}
