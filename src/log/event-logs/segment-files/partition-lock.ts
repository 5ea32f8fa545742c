import { join } from 'node:path'
import { chmodSync } from 'node:fs'
import { setTimeout as delay } from 'node:timers/promises'
import { DatabaseSync } from 'node:sqlite'
import { WaypostError } from '#platform/errors'
import { FILE_MODE } from './files.ts'

export type PartitionLock = { readonly release: () => void }

const SQLITE_BUSY = 5
/** A reader that recovers a tail holds the lock for a moment; a writer that starts just then waits for it. */
const WAIT_MS_MAX = 1_000
const RETRY_MS = 25

/** What a lock is taken for: to write, or by a reader for the moment in which it recovers the tail. Each keeps the other out. */
export type LockPurpose = 'write' | 'recover'

/** The reader's is the weaker lock of SQLite, beside which others may look: so they can tell it from a writer's. */
const BEGIN = { write: 'BEGIN EXCLUSIVE', recover: 'BEGIN IMMEDIATE' } as const satisfies Record<LockPurpose, string>

/** Takes the partition for this process if nobody else has it.
 *
 * Node offers no file lock, but its SQLite does: an exclusive transaction on an empty database is an fcntl lock, which the
 * kernel gives up when the process ends in whatever way. A file with a process id would need a guess whether that id still
 * means the same process, and would guess wrong over container borders.
 * @returns undefined while another holder lives, in this process or another
 */
export function tryLockPartition(directory: string, purpose: LockPurpose): PartitionLock | undefined {
  const path = pathOf(directory)
  const database = new DatabaseSync(path, { timeout: 0 })
  try {
    database.exec(`PRAGMA journal_mode = MEMORY; ${BEGIN[purpose]}`)
    chmodSync(path, FILE_MODE)
    return { release: () => database.close() }
  } catch (error) {
    database.close()
    if (isBusy(error)) return undefined
    throw error
  }
}

/** Takes the partition, waiting a second at most for one who holds it only to recover the tail.
 * @throws {WaypostError} log_in_use
 */
export async function lockPartition(directory: string): Promise<PartitionLock> {
  for (let waitedMs = 0; ; waitedMs += RETRY_MS) {
    const lock = tryLockPartition(directory, 'write')
    if (lock !== undefined) return lock
    if (waitedMs >= WAIT_MS_MAX) throw new WaypostError('log_in_use', directory)
    await delay(RETRY_MS)
  }
}

/** Takes the partition unless it is written to, waiting a second at most for one who holds it only to recover the tail: to pass
 * it by would leave a partition idle and begin one more after each power cut.
 * @returns undefined where another has it
 */
export async function lockUnwrittenPartition(directory: string): Promise<PartitionLock | undefined> {
  for (let waitedMs = 0; waitedMs < WAIT_MS_MAX; waitedMs += RETRY_MS) {
    const lock = tryLockPartition(directory, 'write')
    if (lock !== undefined) return lock
    if (isWritten(directory)) return undefined
    await delay(RETRY_MS)
  }
  return undefined
}

/** Whether a writer holds the lock: beside a reader's one may still look into the database. */
function isWritten(directory: string): boolean {
  const database = new DatabaseSync(pathOf(directory), { timeout: 0 })
  try {
    database.exec('SELECT count(*) FROM sqlite_schema')
    return false
  } catch (error) {
    if (isBusy(error)) return true
    throw error
  } finally {
    database.close()
  }
}

const pathOf = (directory: string): string => join(directory, 'writer.lock')

const isBusy = (error: unknown): boolean =>
  error instanceof Error && 'errcode' in error && error.errcode === SQLITE_BUSY
