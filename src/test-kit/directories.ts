import { mkdtempSync, rmSync, statfsSync } from 'node:fs'
import { availableMemory } from 'node:process'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { TestContext } from 'node:test'

/** Type of a file system in memory, as statfs(2) gives it. */
const TMPFS = 0x01021994
const MEMORY_DIRECTORY = '/dev/shm'
/** Free there, and free memory, so that tests may use it. */
const BYTES_MIN = 6 * 1024 ** 3

/** An empty directory, removed after the test; in memory where there is room: databases are thousands of small files, and what a test
 * leaves need not outlive the machine.
 */
export const withTempDir = (t: TestContext): string => removedAfter(t, makeTempDir())

/** The same on a disk: for what a file system in memory does not have, such as O_DIRECT. */
export const withDiskDir = (t: TestContext): string => removedAfter(t, makeDirIn(tmpdir()))

export const makeTempDir = (): string => makeDirIn(temporaryDirectory())

const makeDirIn = (parent: string): string => mkdtempSync(join(parent, 'waypost-test-'))

function removedAfter(t: TestContext, directory: string): string {
  t.after(() => removeDir(directory))
  return directory
}

function temporaryDirectory(): string {
  // Whoever set TMPDIR means it.
  if (tmpdir() !== '/tmp') return tmpdir()
  try {
    const { type, bavail, bsize } = statfsSync(MEMORY_DIRECTORY)
    if (type === TMPFS && Math.min(bavail * bsize, availableMemory()) >= BYTES_MIN) return MEMORY_DIRECTORY
  } catch {
    // Not Linux.
  }
  return tmpdir()
}

/** Tries again while another process (PostgreSQL as it ends) still writes into it. */
export const removeDir = (directory: string): void =>
  rmSync(directory, { recursive: true, force: true, maxRetries: 5, retryDelay: 50 })
