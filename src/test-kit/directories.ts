import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { TestContext } from 'node:test'

/** An empty directory, removed after the test. */
export function withTempDir(t: TestContext): string {
  const directory = makeTempDir()
  t.after(() => removeDir(directory))
  return directory
}

export const makeTempDir = (): string => mkdtempSync(join(tmpdir(), 'waypost-test-'))

/** Tries again while another process (PostgreSQL as it ends) still writes into it. */
export const removeDir = (directory: string): void =>
  rmSync(directory, { recursive: true, force: true, maxRetries: 5, retryDelay: 50 })
