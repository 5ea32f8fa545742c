import { execFile } from 'node:child_process'
import { chmodSync, chownSync, existsSync, statSync } from 'node:fs'
import { userInfo } from 'node:os'
import { promisify } from 'node:util'

import type { Binaries } from './binaries.ts'

/** As whom PostgreSQL runs: a command to put in front of it, or other user and group ids. */
export type ServerUser = {
  readonly prefix: readonly string[]
  readonly ids?: { readonly uid: number; readonly gid: number }
}

const run = promisify(execFile)

/** PostgreSQL refuses to run as root. Root's server is started
 * - as the owner of the data directory, where that is somebody else;
 * - else in a user namespace of its own: there it sees an ordinary user id and keeps root's rights to files, so that a clone
 *   in root's private home works;
 * - else, where namespaces are refused, as the system user `postgres`, who is made when missing.
 * @throws {Error} none of them is possible
 */
export async function chooseServerUser(binaries: Binaries, dataDir: string): Promise<ServerUser> {
  const namespace: ServerUser = { prefix: ['unshare', '--user'] }
  // A container may run as an id that no user has; initdb asks for the name, and in a namespace it is that of nobody.
  if (process.getuid?.() !== 0) return hasName() ? { prefix: [] } : namespace
  if (existsSync(dataDir)) {
    const { uid, gid } = statSync(dataDir)
    if (uid !== 0) return { prefix: [], ids: { uid, gid } }
  }
  const refusal = await tryServer(namespace, binaries)
  if (refusal === undefined) return namespace
  if (existsSync(dataDir)) throw new Error(`The database in ${dataDir} belongs to root, and ${refusal}`)
  return systemUser(binaries, refusal)
}

function hasName(): boolean {
  try {
    userInfo()
    return true
  } catch {
    // Thrown for nothing else than an id without an entry.
    return false
  }
}

/** @returns why PostgreSQL cannot be started so; undefined when it can */
async function tryServer(user: ServerUser, binaries: Binaries): Promise<string | undefined> {
  const [command, ...args] = [...user.prefix, binaries.postgres, '--version']
  try {
    await run(command, args, { ...(user.ids ?? {}) })
    return undefined
  } catch (cause) {
    const { stderr, message } = cause as Error & { stderr?: string }
    return `PostgreSQL cannot be started (${(stderr || message).trim()}).`
  }
}

async function systemUser(binaries: Binaries, refusal: string): Promise<ServerUser> {
  const ids = (await idsOfPostgres()) ?? (await makePostgresUser(refusal))
  const user: ServerUser = { prefix: [], ids }
  const secondRefusal = await tryServer(user, binaries)
  if (secondRefusal === undefined) return user
  throw new Error(
    `As root ${refusal} As user postgres ${secondRefusal} ` +
      'Start Waypost as an ordinary user, or from a directory that user postgres can read, or set DATABASE_URL.',
  )
}

async function idsOfPostgres(): Promise<{ uid: number; gid: number } | undefined> {
  try {
    const [uid, gid] = await Promise.all([run('id', ['-u', 'postgres']), run('id', ['-g', 'postgres'])])
    return { uid: Number(uid.stdout), gid: Number(gid.stdout) }
  } catch (cause) {
    // `id` answers 1 for a user that does not exist; that it is missing itself says the same: there is nobody to ask for.
    if ((cause as { code?: unknown }).code === 1 || (cause as { code?: unknown }).code === 'ENOENT') return undefined
    throw cause
  }
}

async function makePostgresUser(refusal: string): Promise<{ uid: number; gid: number }> {
  try {
    await run('groupadd', ['--system', '--force', 'postgres'])
    await run('useradd', [
      '--system',
      '--gid',
      'postgres',
      '--no-create-home',
      '--shell',
      '/usr/sbin/nologin',
      'postgres',
    ])
  } catch (cause) {
    const message = `As root ${refusal} A system user for it could not be made. Start Waypost as an ordinary user, or set DATABASE_URL.`
    throw new Error(message, { cause })
  }
  const ids = await idsOfPostgres()
  if (ids === undefined) throw new Error('The system user postgres was made and is not found.')
  return ids
}

/** Makes a new file or directory belong to the server's user. */
export function giveTo(user: ServerUser, path: string): void {
  if (user.ids !== undefined) chownSync(path, user.ids.uid, user.ids.gid)
}

/** Lets another user pass through a directory, without seeing what is in it. */
export function letThrough(user: ServerUser, directory: string): void {
  if (user.ids !== undefined) chmodSync(directory, statSync(directory).mode | 0o011)
}
