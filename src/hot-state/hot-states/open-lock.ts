import { chmodSync } from 'node:fs'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'

/** Keeps the opening of the environment and commits to it apart, among all processes.
 *
 * lmdb-js sets the transaction number that all processes share anew whenever one opens the environment, for reading too: a commit
 * that is made in that moment may be lost or torn. The lock is that of SQLite on an empty database, which the kernel gives
 * up with the process that held it.
 */
export type OpenLock = {
  /** @throws {Error} it was not free for ten seconds */
  readonly take: () => void
  readonly release: () => void
  readonly close: () => void
}

/** A commit is over in some tens of milliseconds, an opening sooner. */
const WAIT_MS_MAX = 10_000

/** @param directory of the state, which exists */
export function openLock(directory: string): OpenLock {
  const database = openDatabase(directory)
  takeSoon(() => keepNoJournal(database))
  const begin = database.prepare('BEGIN EXCLUSIVE')
  const end = database.prepare('ROLLBACK')
  return {
    take: () => takeSoon(() => begin.run()),
    release: () => void end.run(),
    close: () => {
      if (database.isOpen) database.close()
    },
  }
}

function openDatabase(directory: string): DatabaseSync {
  const path = join(directory, 'open.lock')
  const database = new DatabaseSync(path, { timeout: 0 })
  chmodSync(path, 0o600)
  return database
}

const keepNoJournal = (database: DatabaseSync): void => database.exec('PRAGMA journal_mode = MEMORY')

const nobody = new Int32Array(new SharedArrayBuffer(Int32Array.BYTES_PER_ELEMENT))

/** Asks each millisecond: SQLite's own waiting asks less and less often and would miss the short moments between two commits. */
function takeSoon(take: () => unknown): void {
  for (const startedAt = performance.now(); !isTaken(take);) {
    if (performance.now() - startedAt > WAIT_MS_MAX) throw new Error('the hot state was not free for ten seconds')
    Atomics.wait(nobody, 0, 0, 1)
  }
}

const SQLITE_BUSY = 5

function isTaken(take: () => unknown): boolean {
  try {
    take()
    return true
  } catch (error) {
    if (error instanceof Error && 'errcode' in error && error.errcode === SQLITE_BUSY) return false
    throw error
  }
}

/** Opens under the lock.
 * @throws {Error} it was not free for ten seconds
 */
export function whileLocked<T>(directory: string, work: () => T): T {
  const lock = openLock(directory)
  try {
    lock.take()
    return work()
  } finally {
    // Its end gives the lock back.
    lock.close()
  }
}

/** Opens under the lock where it is free at once; else gives `undefined` and has not waited. */
export function ifUnlocked<T>(directory: string, work: () => T): T | undefined {
  const database = openDatabase(directory)
  try {
    const isFree = isTaken(() => {
      keepNoJournal(database)
      database.exec('BEGIN EXCLUSIVE')
    })
    return isFree ? work() : undefined
  } finally {
    database.close()
  }
}

/** Lets commits through together while nobody opens; after this long those under way are let finish, so that whoever waits to open
 * gets a turn.
 */
const TURN_MS = 500
/** Long enough for one who asks each millisecond. */
const GAP_MS = 3

/** The writer's side: holds the lock while any commit is under way. */
export class CommitGate {
  readonly #lock: OpenLock
  #underWay = 0
  #turnEndsAt = 0
  #turn: PromiseWithResolvers<void> | undefined

  constructor(lock: OpenLock) {
    this.#lock = lock
  }

  async run<T>(commit: () => Promise<T>): Promise<T> {
    while (this.#turn !== undefined) await this.#turn.promise
    this.#enter()
    try {
      return await commit()
    } finally {
      this.#leave()
    }
  }

  close(): void {
    this.#lock.close()
  }

  #enter(): void {
    if (this.#underWay === 0) {
      this.#lock.take()
      this.#turnEndsAt = performance.now() + TURN_MS
    }
    this.#underWay++
    if (performance.now() > this.#turnEndsAt) this.#turn = Promise.withResolvers()
  }

  #leave(): void {
    this.#underWay--
    if (this.#underWay > 0) return
    this.#lock.release()
    if (this.#turn !== undefined) setTimeout(() => this.#nextTurn(), GAP_MS)
  }

  #nextTurn(): void {
    this.#turn?.resolve()
    this.#turn = undefined
  }
}
