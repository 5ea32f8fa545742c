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
} from 'node:fs'
import { join } from 'node:path'
import { backup, DatabaseSync } from 'node:sqlite'
import type { CapGap } from '../../cap-state.ts'
import { encodeGap, GAP_KEY } from './encoding.ts'
import { openEntries, type Entries } from './entries.ts'

/** One directory for each run of the operating system.
 *
 *     caps/run-<id>/caps.db, -wal, -shm    counts of this run, written without ever waiting for the disk
 *     caps/saved-<ms>.db                   copy that is whole and on the disk, as of that time
 *
 * What processes wrote outlives them in the page cache, so a kill loses nothing. A power cut leaves of it what the kernel happened
 * to have written, in any order; such a database is never opened again, because the next run has another id. It begins with
 * the last saved copy, and the log tells the clicks since.
 */
const DATABASE = 'caps.db'

/** A click reserves within moments of being timed; those that the copy may or may not have are given again by the log, and then
 * count twice rather than not at all.
 */
const SAVED_MARGIN_MS = 1_000

/** @param bootId of the running operating system; undefined where it cannot be told: then each commit waits for the disk */
export function openEnvironment(directory: string, bootId: string | undefined, nowMs: number): Entries {
  mkdirSync(directory, { recursive: true, mode: 0o700 })
  const path = directoryOfRun(directory, bootId)
  if (!existsSync(path)) beginRun(directory, path, nowMs)
  return openEntries(join(path, DATABASE), bootId !== undefined)
}

const directoryOfRun = (directory: string, bootId: string | undefined): string =>
  join(directory, `run-${bootId ?? 'any'}`)
export const databaseOfRun = (directory: string, bootId: string | undefined): string =>
  join(directoryOfRun(directory, bootId), DATABASE)

/** Makes the database of this run, whole, beside its place. Whoever renames first wins; the others find that one there. */
function beginRun(directory: string, path: string, nowMs: number): void {
  const made = join(directory, `.new-${randomBytes(8).toString('hex')}`)
  try {
    mkdirSync(made, { mode: 0o700 })
    makeDatabase(join(made, DATABASE), directory, nowMs)
    renameSync(made, path)
  } catch (error) {
    rmSync(made, { recursive: true, force: true })
    if (!existsSync(path)) throw error
    return
  }
  for (const name of readdirSync(directory))
    if (/^(?:run-|\.new-|\.saving-)/.test(name) && join(directory, name) !== path)
      rmSync(join(directory, name), { recursive: true, force: true })
}

function makeDatabase(file: string, directory: string, nowMs: number): void {
  const saved = savedCopies(directory)[0]
  if (saved !== undefined) copyFileSync(join(directory, saved.name), file)
  const database = new DatabaseSync(file)
  try {
    chmodSync(file, 0o600)
    // Readers go on beside a writer, and a commit appends. The mode stays with the file.
    database.exec('PRAGMA journal_mode = WAL')
    database.exec('CREATE TABLE IF NOT EXISTS entries (key BLOB PRIMARY KEY, value BLOB NOT NULL) WITHOUT ROWID')
    const gap: CapGap = { sinceMs: saved === undefined ? 0 : saved.atMs - SAVED_MARGIN_MS, untilMs: nowMs }
    database.prepare('INSERT INTO entries VALUES (?, ?)').run(GAP_KEY, encodeGap(gap))
  } finally {
    database.close()
  }
}

type Saved = { readonly name: string; readonly atMs: number }

/** The newest first. */
const savedCopies = (directory: string): readonly Saved[] =>
  readdirSync(directory)
    .map((name) => ({ name, atMs: Number(/^saved-(\d+)\.db$/.exec(name)?.[1]) }))
    .filter(({ atMs }) => !Number.isNaN(atMs))
    .toSorted((a, b) => b.atMs - a.atMs)

/** Writes a copy as of a moment not before `nowMs`, waits for the disk, and drops earlier copies. Others count meanwhile. */
export async function saveCopy(directory: string, bootId: string | undefined, nowMs: number): Promise<void> {
  const saving = join(directory, `.saving-${randomBytes(8).toString('hex')}`)
  // A connection of its own: the copy would block the one that clicks use.
  const source = new DatabaseSync(databaseOfRun(directory, bootId), { readOnly: true })
  try {
    // In one step, which sees one state: between several each commit of another process would make it begin anew.
    await backup(source, saving, { rate: PAGES_OF_ONE_STEP })
    chmodSync(saving, 0o600)
    flush(saving)
    renameSync(saving, join(directory, `saved-${nowMs}.db`))
    flush(directory)
  } finally {
    source.close()
    rmSync(saving, { force: true })
  }
  for (const { name } of savedCopies(directory).slice(1)) rmSync(join(directory, name), { force: true })
}

/** More than any database has: 8 TB. */
const PAGES_OF_ONE_STEP = 2 ** 31 - 1

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
