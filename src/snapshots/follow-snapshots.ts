import { isDeepStrictEqual } from 'node:util'

import type { Clock } from '#platform/clock'
import { WaypostError } from '#platform/errors'
import type { LogLines } from '#platform/log-lines'
import { createPool, type Pool, type Tx } from '#platform/postgres'
import type { LearnedOverlay, Snapshot } from '#routing'
import { openSnapshot, sealSnapshot } from '#secrets'
import { readSnapshotFile, writeSnapshotFile } from './snapshot-file.ts'
import { readNewestLearned, readNewestVersion, type LearnedRow, type VersionKey, type VersionRow } from './store.ts'

/** The newest configuration that this process has seen. */
export type SnapshotFollower = {
  /** Undefined until there was ever one, in the database or on the disk. */
  readonly current: () => Snapshot | undefined
  /** Calls back after each change, in the order of registration; not for the snapshot that is there already.
   * @returns stops the calls
   */
  readonly onChange: (listener: (snapshot: Snapshot) => void) => () => void
  /** Whether the database confirmed the current version within the last five seconds. */
  readonly isFresh: () => boolean
  /** Resolves after the first attempt to ask the database, successful or not. */
  readonly firstLook: () => Promise<void>
  readonly stop: () => Promise<void>
}

export type FollowOptions = {
  /** Left out: only what is on the disk. */
  readonly databaseUrl?: string
  /** Where the last snapshot is kept, 0600. */
  readonly cacheFile: string
  readonly logLines: LogLines
  readonly clock: Clock
}

/** Notifications come at once; the poll finds what a lost connection missed. */
const POLL_INTERVAL_MS = 1_000
const FRESH_WITHIN_MS = 5_000
const CHANNEL = 'waypost_config'

/** Follows config_versions and learned_weights: LISTEN waypost_config and a look each second. Starts with the snapshot on the disk, so that a
 * process that starts while PostgreSQL is down serves the last configuration; each new one is kept there.
 * Failures of the database and a broken file are reported and survived.
 */
export function followSnapshots({ databaseUrl, cacheFile, logLines, clock }: FollowOptions): SnapshotFollower {
  const listeners = new Set<(snapshot: Snapshot) => void>()
  const wait = makeWait()
  let current = readKept(cacheFile, logLines)
  let known: VersionKey | undefined
  let knownLearned: VersionKey | undefined
  /** Those on the disk may be of a database that is no more: they count until this one was asked. */
  let learned: LearnedOverlay | undefined
  let confirmedAt = Number.NEGATIVE_INFINITY
  let isOutageReported = false
  let isStopped = false

  /** @param row @param learnedRow undefined: the known ones stay */
  async function take(row: VersionRow | undefined, learnedRow: LearnedRow | undefined): Promise<void> {
    if (row !== undefined) known = { version: row.version, created_at: row.created_at }
    if (learnedRow !== undefined) {
      knownLearned = { version: learnedRow.version, created_at: learnedRow.created_at }
      learned = { version: learnedRow.version, weights: learnedRow.weights }
    }
    const snapshot = row === undefined ? current : openSnapshot(row.snapshot)
    if (snapshot === undefined) return
    const before = current
    const next = withLearned(snapshot, learned)
    current = next
    if (before !== undefined && isSame(before, next)) return
    for (const listener of listeners) listener(next)
    await keep(cacheFile, next, logLines)
  }

  async function lookUntilBroken(client: Tx): Promise<void> {
    await client.query(`LISTEN ${CHANNEL}`)
    while (!isStopped) {
      const row = await readNewestVersion(client, known)
      const learnedRow = await readNewestLearned(client, knownLearned)
      confirmedAt = clock.now()
      isOutageReported = false
      if (row !== undefined || learnedRow !== undefined) await take(row, learnedRow)
      firstLook.resolve()
      await wait.upTo(POLL_INTERVAL_MS)
    }
  }

  /** At a start the database may still be on its way: that is no failure yet. */
  function reportOutage(failure: Error): void {
    const { message } = failure
    if (failure instanceof WaypostError)
      logLines.error({ reason: message }, 'The configuration cannot be read; the last one stays.') // prettier-ignore
    else if (confirmedAt === Number.NEGATIVE_INFINITY)
      logLines.info({ reason: message }, 'The configuration is read as soon as the database answers.')
    else logLines.warn({ reason: message }, 'The database does not answer; the last configuration stays.')
  }

  async function follow(pool: Pool): Promise<void> {
    while (!isStopped) {
      const failure = await withListener(pool, wait.wake, lookUntilBroken)
      firstLook.resolve()
      if (failure === undefined || isStopped) continue
      if (!isOutageReported) reportOutage(failure)
      isOutageReported = true
      await wait.upTo(POLL_INTERVAL_MS)
    }
    await pool.end()
  }

  const firstLook = Promise.withResolvers<void>()
  if (databaseUrl === undefined) firstLook.resolve()
  const following =
    databaseUrl === undefined
      ? Promise.resolve()
      : follow(createPool(databaseUrl, { max: 1, applicationName: 'waypost snapshots', statementTimeoutMs: 5_000 }))

  return {
    current: () => current,
    onChange(listener) {
      listeners.add(listener)
      return () => void listeners.delete(listener)
    },
    isFresh: () => clock.now() - confirmedAt < FRESH_WITHIN_MS,
    firstLook: () => firstLook.promise,
    async stop() {
      isStopped = true
      wait.wake()
      await following
    },
  }
}

function withLearned({ learned: _before, ...snapshot }: Snapshot, learned: LearnedOverlay | undefined): Snapshot {
  return learned === undefined ? snapshot : { ...snapshot, learned }
}

const isSame = (before: Snapshot, after: Snapshot): boolean =>
  before.version === after.version &&
  before.created_at === after.created_at &&
  isDeepStrictEqual(before.learned, after.learned)

/** @returns why the connection ended; undefined when the work ended by itself */
async function withListener(
  pool: Pool,
  wake: () => void,
  work: (client: Tx) => Promise<void>,
): Promise<Error | undefined> {
  let client: Tx | undefined
  try {
    client = await pool.connect()
    client.on('notification', wake)
    // A connection that dies while nothing is asked must not cost a second.
    client.on('end', wake)
    await work(client)
    return undefined
  } catch (error) {
    return error instanceof Error ? error : new Error(String(error))
  } finally {
    // The connection listens: it cannot be lent to anyone else.
    client?.release(true)
  }
}

function readKept(cacheFile: string, logLines: LogLines): Snapshot | undefined {
  const kept = readSnapshotFile(cacheFile, openSnapshot)
  if (kept.kind === 'read') return kept.snapshot
  if (kept.kind === 'broken') logLines.error({ file: cacheFile, why: kept.why }, 'The kept configuration is ignored.')
  return undefined
}

async function keep(cacheFile: string, snapshot: Snapshot, logLines: LogLines): Promise<void> {
  try {
    await writeSnapshotFile(cacheFile, sealSnapshot(snapshot))
  } catch (error) {
    logLines.error({ err: error, file: cacheFile }, 'The configuration could not be kept on the disk.')
  }
}

/** A pause that can be cut short; a wake-up that comes when nobody waits ends the next pause at once. */
function makeWait(): { readonly upTo: (ms: number) => Promise<void>; readonly wake: () => void } {
  let isAwake = false
  let end: (() => void) | undefined
  return {
    upTo(ms) {
      if (isAwake) {
        isAwake = false
        return Promise.resolve()
      }
      return new Promise((resolve) => {
        const timer = setTimeout(() => end?.(), ms)
        end = () => {
          clearTimeout(timer)
          end = undefined
          isAwake = false
          resolve()
        }
      })
    },
    wake() {
      isAwake = true
      end?.()
    },
  }
}
