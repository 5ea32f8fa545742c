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

/** Takes the partition for this process if nobody else has it.
 *
 * Node offers no file lock, but its SQLite does: an exclusive transaction on an empty database is an fcntl lock, which the
 * kernel gives up when the process ends in whatever way. A file with a process id would need a guess whether that id still
 * means the same process, and would guess wrong over container borders.
 * @returns undefined while another holder lives, in this process or another
 */
export function tryLockPartition(directory: string): PartitionLock | undefined {
  const path = join(directory, 'writer.lock')
  const database = new DatabaseSync(path, { timeout: 0 })
  try {
    database.exec('PRAGMA journal_mode = MEMORY; BEGIN EXCLUSIVE')
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
    const lock = tryLockPartition(directory)
    if (lock !== undefined) return lock
    if (waitedMs >= WAIT_MS_MAX) throw new WaypostError('log_in_use', directory)
    await delay(RETRY_MS)
  }
}

const isBusy = (error: unknown): boolean =>
  error instanceof Error && 'errcode' in error && error.errcode === SQLITE_BUSY
