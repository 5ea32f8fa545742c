import { execFileSync } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import {
  chmodSync,
  closeSync,
  copyFileSync,
  existsSync,
  fsyncSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} from 'node:fs'
import { join } from 'node:path'
import { open, type RootDatabase } from 'lmdb'
import type { CapGap } from '../../cap-state.ts'

/** An environment for each run of the operating system.
 *
 *     caps/boot-<id>/data.mdb, lock.mdb    counts of this run, written without waiting for the disk
 *     caps/boot-<id>/gap.json              which clicks they lack
 *     caps/saved-<ms>.mdb                  copy that is whole and on the disk, as of that time
 *
 * What processes wrote outlives them in the page cache, so a kill loses nothing. A power cut leaves of it what the kernel happened
 * to have written, in any order; such an environment is never opened again, because the next run has another id. It begins with
 * the last saved copy, and the log tells the clicks since.
 */
export type CapEnvironment = {
  readonly root: RootDatabase<Buffer, Buffer>
  readonly gap: CapGap
}

/** A click reserves within moments of being timed; those that the copy may or may not have are given again by the log, and then
 * count twice rather than not at all.
 */
const SAVED_MARGIN_MS = 1_000

/** Address space, not disk: a map that grows while other processes write would have to be exchanged under them. */
const MAP_BYTES = 64 * 2 ** 30

/** @param bootId of the running operating system; undefined where it cannot be told: then each commit waits for the disk */
export function openEnvironment(directory: string, bootId: string | undefined, nowMs: number): CapEnvironment {
  mkdirSync(directory, { recursive: true, mode: 0o700 })
  const path = join(directory, `boot-${bootId ?? 'any'}`)
  if (!existsSync(path)) beginRun(directory, path, nowMs)
  const root = open<Buffer, Buffer>({
    path,
    encoding: 'binary',
    keyEncoding: 'binary',
    // Each alone would make the caller wait for the disk, or answer later than in the same turn.
    noSync: bootId !== undefined,
    overlappingSync: false,
    eventTurnBatching: false,
    mapSize: MAP_BYTES,
    // Small pages: a commit writes each page on the way to what it changes.
    pageSize: 4_096,
  })
  for (const name of ['data.mdb', 'lock.mdb']) chmodSync(join(path, name), 0o600)
  return { root, gap: JSON.parse(readFileSync(join(path, 'gap.json'), 'utf8')) as CapGap }
}

/** Makes the environment of this run. Whoever renames first wins; the others find its directory there. */
function beginRun(directory: string, path: string, nowMs: number): void {
  const made = join(directory, `.new-${randomBytes(8).toString('hex')}`)
  try {
    mkdirSync(made, { mode: 0o700 })
    const saved = newestSaved(directory)
    if (saved !== undefined) copyFileSync(join(directory, saved.name), join(made, 'data.mdb'))
    const sinceMs = saved === undefined ? 0 : saved.atMs - SAVED_MARGIN_MS
    writeFileSync(join(made, 'gap.json'), JSON.stringify({ sinceMs, untilMs: nowMs } satisfies CapGap), { mode: 0o600 })
    renameSync(made, path)
  } catch (error) {
    rmSync(made, { recursive: true, force: true })
    if (!existsSync(path)) throw error
    return
  }
  for (const name of readdirSync(directory))
    if (/^(?:boot-|\.new-|\.saving-)/.test(name) && join(directory, name) !== path)
      rmSync(join(directory, name), { recursive: true, force: true })
}

type Saved = { readonly name: string; readonly atMs: number }

const savedCopies = (directory: string): readonly Saved[] =>
  readdirSync(directory)
    .map((name) => ({ name, atMs: Number(/^saved-(\d+)\.mdb$/.exec(name)?.[1]) }))
    .filter(({ atMs }) => !Number.isNaN(atMs))
    .toSorted((a, b) => b.atMs - a.atMs)

const newestSaved = (directory: string): Saved | undefined => savedCopies(directory)[0]

/** Writes a copy of the environment as of a moment not before `nowMs`, waits for the disk, and drops earlier copies. */
export async function saveCopy(root: CapEnvironment['root'], directory: string, nowMs: number): Promise<void> {
  const saving = join(directory, `.saving-${randomBytes(8).toString('hex')}`)
  try {
    mkdirSync(saving, { mode: 0o700 })
    await root.backup(saving, true)
    flush(join(saving, 'data.mdb'))
    chmodSync(join(saving, 'data.mdb'), 0o600)
    renameSync(join(saving, 'data.mdb'), join(directory, `saved-${nowMs}.mdb`))
    flush(directory)
  } finally {
    rmSync(saving, { recursive: true, force: true })
  }
  for (const { name } of savedCopies(directory).slice(1)) rmSync(join(directory, name), { force: true })
}

function flush(path: string): void {
  const file = openSync(path, 'r')
  try {
    fsyncSync(file)
  } finally {
    closeSync(file)
  }
}

/** Which run of the operating system this is. @returns undefined where the system does not say */
export function readBootId(): string | undefined {
  if (process.platform === 'linux') return readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim()
  if (process.platform === 'darwin')
    return execFileSync('/usr/sbin/sysctl', ['-n', 'kern.bootsessionuuid'], { encoding: 'utf8' }).trim()
  return undefined
}
