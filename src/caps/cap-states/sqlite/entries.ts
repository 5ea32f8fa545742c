import { DatabaseSync } from 'node:sqlite'

import { capLimits } from '../../limits.ts'

/** Entries by key, in the order of their keys. One connection, for one thread. */
export type Entries = {
  readonly get: (key: Buffer) => Buffer | undefined
  readonly put: (key: Buffer, value: Buffer) => void
  /** @returns whether there was one */
  readonly remove: (key: Buffer) => boolean
  /** The first keys from `start` on that come before `end`. */
  readonly keysBetween: (start: Buffer, end: Buffer, count: number) => readonly Buffer[]
  /** Runs the work as one step among all threads and processes; the entries are as before when it throws.
   * @throws {Error} it cannot be written, as on a full disk, or another holds the lock for two seconds; the reason is its cause
   */
  readonly transact: <T>(work: () => T) => T
  /** Once or more. */
  readonly close: () => void
}

type Row = readonly [Uint8Array]

export function openEntries(file: string, isNoSync: boolean): Entries {
  const database = new DatabaseSync(file)
  database.exec(`PRAGMA synchronous = ${isNoSync ? 'OFF' : 'FULL'}`)
  // Waiting is `begin`'s part: SQLite would sleep a millisecond at the least, hundreds of times what a transaction takes.
  database.exec('PRAGMA busy_timeout = 0')
  const get = database.prepare('SELECT value FROM entries WHERE key = ?')
  const keys = database.prepare('SELECT key FROM entries WHERE key >= ? AND key < ? ORDER BY key LIMIT ?')
  for (const statement of [get, keys]) statement.setReturnArrays(true)
  const put = database.prepare('INSERT INTO entries VALUES (?, ?) ON CONFLICT DO UPDATE SET value = excluded.value')
  const remove = database.prepare('DELETE FROM entries WHERE key = ?')
  const begin = database.prepare('BEGIN IMMEDIATE')
  const commit = database.prepare('COMMIT')

  function transact<T>(work: () => T): T {
    try {
      waitWhileBusy(() => begin.run())
      const result = work()
      commit.run()
      return result
    } catch (cause) {
      if (database.isTransaction) database.exec('ROLLBACK')
      const reason = cause instanceof Error ? cause.message : String(cause)
      throw new Error(`The caps could not be counted, as on a full disk: ${reason}`, { cause })
    }
  }

  return {
    get: (key) => {
      const row = waitWhileBusy(() => get.get(key)) as Row | undefined
      return row && bufferOf(row[0])
    },
    put: (key, value) => void put.run(key, value),
    remove: (key) => remove.run(key).changes !== 0,
    keysBetween: (start, end, count) =>
      (waitWhileBusy(() => keys.all(start, end, count)) as unknown as readonly Row[]).map(([key]) => bufferOf(key)),
    transact,
    close: () => {
      if (database.isOpen) database.close()
    },
  }
}

const bufferOf = (bytes: Uint8Array): Buffer => Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)

/** At first it is asked for again and again, as to sleep takes longer than another's transaction. */
const TRIES_AT_ONCE = 50
const SLEEP_MS = 0.05

const SQLITE_BUSY = 5
const sleeper = new Int32Array(new SharedArrayBuffer(4))

function waitWhileBusy<T>(work: () => T): T {
  try {
    return work()
  } catch (error) {
    if (!isBusy(error)) throw error
  }
  const stackTraceLimit = Error.stackTraceLimit
  const giveUpAt = performance.now() + capLimits.lockWaitMsMax
  try {
    // Most of what a failed try costs is its stack trace, which nobody sees.
    Error.stackTraceLimit = 0
    for (let tries = 1; ; tries++) {
      try {
        return work()
      } catch (error) {
        if (!isBusy(error) || performance.now() > giveUpAt) throw error
      }
      if (tries > TRIES_AT_ONCE) Atomics.wait(sleeper, 0, 0, SLEEP_MS)
    }
  } finally {
    Error.stackTraceLimit = stackTraceLimit
  }
}

/** Extended codes have the plain one in their lowest byte. */
const isBusy = (error: unknown): boolean =>
  error instanceof Error && 'errcode' in error && (Number(error.errcode) & 0xff) === SQLITE_BUSY
