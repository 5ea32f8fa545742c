import { randomBytes } from 'node:crypto'
import { closeSync, fsyncSync, mkdirSync, openSync, readFileSync, renameSync, statSync, writeSync } from 'node:fs'
import { dirname, join } from 'node:path'

/** Where each thing that Waypost keeps lies in the data directory. */
export type DataPaths = {
  readonly directory: string
  readonly secrets: string
  readonly secretKeys: string
  readonly postgres: string
  readonly clickhouse: string
  readonly log: string
  readonly hotState: string
  readonly caps: string
  readonly ports: string
  readonly snapshot: string
  readonly geo: string
  /** Raw facts that were dropped, as Parquet. */
  readonly archive: string
  readonly exports: string
}

export const dataPaths = (directory: string): DataPaths => ({
  directory,
  secrets: join(directory, 'secrets.json'),
  secretKeys: join(directory, 'secret-keys.json'),
  postgres: join(directory, 'postgres'),
  clickhouse: join(directory, 'clickhouse'),
  log: join(directory, 'log'),
  hotState: join(directory, 'hot-state'),
  caps: join(directory, 'caps'),
  ports: join(directory, 'edge-ports'),
  snapshot: join(directory, 'snapshot.json'),
  geo: join(directory, 'geo'),
  archive: join(directory, 'archive'),
  exports: join(directory, 'exports'),
})

/** Makes the data directory, readable by its owner only.
 * @throws {Error} with one clear sentence when it cannot be made or written
 */
export function makeDataDirectory(paths: DataPaths): void {
  try {
    for (const directory of [paths.directory, paths.log, paths.hotState, paths.caps, paths.geo])
      makeDirectory(directory)
  } catch (cause) {
    const { code } = cause as NodeJS.ErrnoException
    const why = code === 'EEXIST' || code === 'ENOTDIR' ? 'there is a file of that name' : code
    throw new Error(`The data directory ${paths.directory} cannot be made or written (${why}).`, { cause })
  }
}

/** Parents first, one by one: the recursive form of mkdir never ends where a file system like /proc refuses new names with
 * ENOENT.
 */
function makeDirectory(directory: string): void {
  if (statSync(directory, { throwIfNoEntry: false })?.isDirectory()) return
  const parent = dirname(directory)
  if (parent !== directory) makeDirectory(parent)
  mkdirSync(directory, { mode: 0o700 })
}

/** Generated once per installation. */
export type Secrets = { readonly postgresPassword: string; readonly ownerApiKey: string }

/** The secrets of the installation, made at the first call and kept in a file that only its owner may read.
 * @throws {Error} the file is there and cannot be read as ours; it is never overwritten
 */
export function readOrMakeSecrets(file: string): Secrets {
  const text = readIfThere(file)
  if (text !== undefined) return parseSecrets(file, text)
  const secrets: Secrets = {
    postgresPassword: randomBytes(24).toString('base64url'),
    ownerApiKey: `wp_${randomBytes(24).toString('base64url')}`,
  }
  writeOnce(file, JSON.stringify({ postgres_password: secrets.postgresPassword, owner_api_key: secrets.ownerApiKey }, null, 2)) // prettier-ignore
  return secrets
}

function readIfThere(file: string): string | undefined {
  try {
    return readFileSync(file, 'utf8')
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code === 'ENOENT') return undefined
    throw cause
  }
}

function parseSecrets(file: string, text: string): Secrets {
  const broken = `${file} is damaged. Without the password in it the database cannot be opened: put it back from a backup.`
  let content: unknown
  try {
    content = JSON.parse(text)
  } catch (cause) {
    throw new Error(broken, { cause })
  }
  const { postgres_password, owner_api_key } = content as Record<string, unknown>
  if (typeof postgres_password !== 'string' || typeof owner_api_key !== 'string') throw new Error(broken)
  return { postgresPassword: postgres_password, ownerApiKey: owner_api_key }
}

/** On the disk before it is used: a database whose password was lost in a power cut would be locked for ever. */
function writeOnce(file: string, text: string): void {
  const unfinished = `${file}.new`
  const descriptor = openSync(unfinished, 'w', 0o600)
  writeSync(descriptor, `${text}\n`)
  fsyncSync(descriptor)
  closeSync(descriptor)
  renameSync(unfinished, file)
}
