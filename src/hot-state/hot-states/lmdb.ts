import { chmodSync, existsSync, mkdirSync } from 'node:fs'
import { randomBytes } from 'node:crypto'
import { join } from 'node:path'
import { setImmediate } from 'node:timers/promises'
import { open, type Database, type RootDatabase } from 'lmdb'
import type { ClickId } from '#platform/ids'
import { decodeHolders, encodeHolders, judgeClaim } from '../claims.ts'
import type { Claim, ClaimRequest, ClaimSpace, HotState } from '../hot-state.ts'
import { CommitGate, ifUnlocked, openLock, whileLocked } from './open-lock.ts'

export type LmdbHotStateOptions = {
  /** Made where it does not exist, open to its owner only. */
  readonly directory: string
  /** For a process that only looks up. It may start before the state exists: until then every click is unknown. */
  readonly readOnly?: boolean
}

type Bytes = Database<Buffer, Buffer>

type Stores = {
  readonly root: RootDatabase<Buffer, Buffer>
  /** 16 bytes of the click id → payload. */
  readonly clicks: Bytes
  /** Space, key → holders. */
  readonly claims: Bytes
  /** Partition → next offset, append time. */
  readonly positions: Bytes
  /** Time, random → keys of `clicks` that came then; what is old is found without looking at what is not. */
  readonly clicksByTime: Bytes
  /** The same for `claims`. */
  readonly claimsByTime: Bytes
}

/** First byte of a claim's key. Stored: never change a number. */
const SPACE_BYTE: Readonly<Record<ClaimSpace, number>> = {
  event_identity: 1,
  visitor_campaign: 2,
  visitor_offer: 3,
  signature: 4,
  visitor_global: 5,
}

const CLICK_KEY_BYTES = 16
const CLAIM_KEY_BYTES_MAX = 16
/** Keys listed in one entry by time, and so the most that one step of forgetting drops in one transaction: a write that
 * comes meanwhile waits a few milliseconds.
 */
const KEYS_PER_TIME_ENTRY = 1_000

/** Opens the hot state in an LMDB environment. One process writes; any number look up. */
export function openLmdbHotState(options: LmdbHotStateOptions): HotState {
  if (options.readOnly === true) return readOnlyState(options.directory)
  const stores = openStores(options.directory)
  return writableState(stores, new CommitGate(openLock(options.directory)))
}

function openStores(directory: string): Stores {
  mkdirSync(directory, { recursive: true, mode: 0o700 })
  const stores = whileLocked(directory, () => storesOf(directory, false))
  for (const name of [DATA_FILE, 'lock.mdb']) chmodSync(join(directory, name), 0o600)
  return stores
}

const DATA_FILE = 'data.mdb'

// Without overlapping syncs a commit resolves when it is on the disk. Batches of an event turn are off because each makes a
// promise that nobody is given: a commit that fails, as on a full disk, would reject it unseen and so end the process.
const BINARY = { encoding: 'binary', keyEncoding: 'binary', overlappingSync: false, eventTurnBatching: false } as const

/** A click of the usual 1.4 kB comes after those before it, and LMDB splits the last page in halves: of 4 KiB pages each then keeps
 * one click, and the disk gets 4 kB for it. Pages of 16 KiB would save another fifth of the disk, but each of the many small commits
 * copies the pages on the way to what it changes. A state keeps the size it was made with.
 */
const PAGE_BYTES = 8_192

function storesOf(directory: string, readOnly: boolean): Stores {
  const root = open<Buffer, Buffer>({ ...BINARY, path: directory, readOnly, maxDbs: 8, pageSize: PAGE_BYTES })
  const store = (name: string): Bytes => root.openDB<Buffer, Buffer>({ ...BINARY, name })
  try {
    return {
      root,
      clicks: store('clicks'),
      claims: store('claims'),
      positions: store('positions'),
      clicksByTime: store('clicks_by_time'),
      claimsByTime: store('claims_by_time'),
    }
  } catch (error) {
    void root.close()
    throw error
  }
}

function writableState(stores: Stores, gate: CommitGate): HotState {
  return {
    getClick: (clickId) => stores.clicks.getBinary(clickKey(clickId)),
    indexPosition: (partition) => decodePosition(stores.positions.getBinary(Buffer.from(partition))),
    indexClicks: (clicks, position) =>
      commit(stores.root, gate, () => {
        addClicks(stores, clicks, position.appendedAt)
        stores.positions.putSync(Buffer.from(position.partition), encodePosition(position))
      }),
    claim: async (space, requests) => {
      // Checked before the transaction: an error inside would leave it half done.
      const keyed = requests.map((request) => ({ request, key: claimKey(space, request.key) }))
      return commit(stores.root, gate, () => claimAll(stores, keyed))
    },
    isClaimed: (space, key, at) => isHeld(stores, space, key, at),
    forgetBefore: async (limits) => {
      // A reader that was killed in the middle of a look-up would keep the freed pages from being used again.
      stores.root.readerCheck()
      return (
        (await forgetClicks(stores, gate, limits.clicksBeforeMs)) +
        (await forgetClaims(stores, gate, limits.claimsBeforeMs))
      )
    },
    close: async () => {
      await stores.root.close()
      gate.close()
    },
  }
}

/** Runs the work in a transaction of its own; the state is as before when it rejects.
 *
 * LMDB writes by system calls and not through its memory map, so a full disk fails the commit instead of killing the process
 * with SIGBUS, and the next commit starts from the last good one.
 * @throws {Error} the commit failed, with the reason as its cause
 */
async function commit<T>(root: Stores['root'], gate: CommitGate, work: () => T): Promise<T> {
  try {
    return await gate.run(() => root.transaction(work))
  } catch (error) {
    if (!(error instanceof Error && 'commitError' in error)) throw error
    // The reason comes as a promise that rejects; left alone it would end the process as an unhandled rejection.
    const cause: unknown = await Promise.resolve(error.commitError).catch((reason: unknown) => reason)
    const reason = cause instanceof Error ? cause.message : String(cause)
    throw new Error(`The hot state could not be written, as on a full disk: ${reason}`, { cause })
  }
}

/** Looks up in a state that another process writes, and opens it when that process has made it. */
function readOnlyState(directory: string): HotState {
  const view = new LateView(directory)
  const refuse = (): never => {
    throw new Error('the hot state is open for reading only')
  }
  return {
    getClick: (clickId) => view.fresh()?.clicks.getBinary(clickKey(clickId)),
    indexPosition: (partition) => decodePosition(view.fresh()?.positions.getBinary(Buffer.from(partition))),
    indexClicks: async () => refuse(),
    claim: async () => refuse(),
    isClaimed: (space, key, at) => {
      const stores = view.fresh()
      return stores !== undefined && isHeld(stores, space, key, at)
    },
    forgetBefore: async () => refuse(),
    close: () => view.close(),
  }
}

/** The writer leaves others turns of a few milliseconds. */
const RETRY_MS = 1

/** The stores of a state that may not exist yet. Whoever starts waits for them; a look-up never does: it comes from a request, and
 * the writer may hold the lock for as long as the disk takes to commit.
 */
class LateView {
  readonly #directory: string
  #stores: Stores | undefined
  #triedAt = 0

  constructor(directory: string) {
    this.#directory = directory
    this.#stores = openExisting(directory, whileLocked)
  }

  /** With all that is committed; undefined while it cannot be opened. */
  fresh(): Stores | undefined {
    this.#stores ??= this.#tryToOpen()
    // LMDB keeps one view for a millisecond or more, however much the other process has committed since.
    this.#stores?.root.resetReadTxn()
    return this.#stores
  }

  #tryToOpen(): Stores | undefined {
    const now = performance.now()
    if (now - this.#triedAt < RETRY_MS) return undefined
    this.#triedAt = now
    return openExisting(this.#directory, ifUnlocked)
  }

  async close(): Promise<void> {
    await this.#stores?.root.close()
  }
}

function openExisting(directory: string, locked: typeof ifUnlocked): Stores | undefined {
  if (!existsSync(join(directory, DATA_FILE))) return undefined
  try {
    return locked(directory, () => storesOf(directory, true))
  } catch (error) {
    // The writer has made the file and not yet all databases in it.
    if (error instanceof Error && error.message === 'Database not found') return undefined
    throw error
  }
}

/** Clicks go in by id: neighbours share pages, which halves time and disk. Sorting keeps the first of equal ids first. */
function addClicks(stores: Stores, clicks: Parameters<HotState['indexClicks']>[0], appendedAt: number): void {
  const added: Buffer[] = []
  for (const { clickId, payload } of clicks.toSorted((a, b) =>
    a.clickId < b.clickId ? -1 : Number(a.clickId > b.clickId),
  )) {
    const key = clickKey(clickId)
    if (stores.clicks.doesExist(key)) continue
    stores.clicks.putSync(key, payload)
    added.push(key)
  }
  listByTime(stores.clicksByTime, appendedAt, added)
}

type KeyedRequest = { readonly request: ClaimRequest; readonly key: Buffer }

function claimAll(stores: Stores, requests: readonly KeyedRequest[]): readonly Claim[] {
  const changed: Buffer[] = []
  let latestAt = 0
  const answers = requests.map(({ request, key }) => {
    const stored = stores.claims.getBinaryFast(key)
    const { claim, holders } = judgeClaim(stored === undefined ? [] : decodeHolders(stored), request)
    if (holders === undefined) return claim
    stores.claims.putSync(key, encodeHolders(holders))
    changed.push(key)
    latestAt = Math.max(latestAt, request.at)
    return claim
  })
  listByTime(stores.claimsByTime, latestAt, changed)
  return answers
}

function isHeld(stores: Stores, space: ClaimSpace, key: Buffer, at: number): boolean {
  const stored = stores.claims.getBinary(claimKey(space, key))
  return stored !== undefined && decodeHolders(stored).some((holder) => holder.expiresAt >= at)
}

/** Lists keys under a time, length before each. */
function listByTime(store: Bytes, at: number, keys: readonly Buffer[]): void {
  for (let from = 0; from < keys.length; from += KEYS_PER_TIME_ENTRY) {
    const listed = keys.slice(from, from + KEYS_PER_TIME_ENTRY)
    const bytes = Buffer.concat(listed.flatMap((key) => [Buffer.of(key.length), key]))
    store.putSync(Buffer.concat([timeKey(at), randomBytes(8)]), bytes)
  }
}

function listedKeys(bytes: Buffer): readonly Buffer[] {
  const keys: Buffer[] = []
  for (let at = 0; at < bytes.length; at += 1 + bytes[at]!) keys.push(bytes.subarray(at + 1, at + 1 + bytes[at]!))
  return keys
}

const forgetClicks = (stores: Stores, gate: CommitGate, beforeMs: number): Promise<number> =>
  forgetByTime(stores.root, gate, stores.clicksByTime, beforeMs, (key) => stores.clicks.removeSync(key))

/** A claim that was taken over since is listed again under the later time and stays until then. */
const forgetClaims = (stores: Stores, gate: CommitGate, beforeMs: number): Promise<number> =>
  forgetByTime(stores.root, gate, stores.claimsByTime, beforeMs, (key) => {
    const stored = stores.claims.getBinary(key)
    const last = stored && decodeHolders(stored).at(-1)
    return last !== undefined && last.at < beforeMs && stores.claims.removeSync(key)
  })

/** Drops what is listed before a time, one entry in each transaction, and lets others work in between. */
async function forgetByTime(
  root: Stores['root'],
  gate: CommitGate,
  byTime: Bytes,
  beforeMs: number,
  forget: (key: Buffer) => boolean,
): Promise<number> {
  let dropped = 0
  for (;;) {
    const entry = byTime
      .getRange({ end: timeKey(beforeMs), limit: 1 })
      [Symbol.iterator]()
      .next()
    if (entry.done === true) return dropped
    const { key, value } = entry.value
    dropped += await commit(root, gate, () => {
      byTime.removeSync(key)
      return listedKeys(value).filter(forget).length
    })
    await setImmediate()
  }
}

/** Sorts as the time does. */
function timeKey(ms: number): Buffer {
  const key = Buffer.alloc(8)
  key.writeBigUInt64BE(BigInt(Math.max(0, Math.floor(Math.min(ms, Number.MAX_SAFE_INTEGER)))))
  return key
}

function clickKey(clickId: ClickId): Buffer {
  const key = Buffer.allocUnsafe(CLICK_KEY_BYTES)
  key.write(clickId.replaceAll('-', ''), 'hex')
  return key
}

function claimKey(space: ClaimSpace, key: Buffer): Buffer {
  if (key.length === 0 || key.length > CLAIM_KEY_BYTES_MAX) throw new RangeError('a claim key has 1 to 16 bytes')
  const bytes = Buffer.allocUnsafe(1 + key.length)
  bytes[0] = SPACE_BYTE[space]
  key.copy(bytes, 1)
  return bytes
}

function encodePosition(position: { nextOffset: number; appendedAt: number }): Buffer {
  const bytes = Buffer.allocUnsafe(16)
  bytes.writeDoubleLE(position.nextOffset, 0)
  bytes.writeDoubleLE(position.appendedAt, 8)
  return bytes
}

function decodePosition(bytes: Buffer | undefined): { nextOffset: number; appendedAt: number } | undefined {
  return bytes && { nextOffset: bytes.readDoubleLE(0), appendedAt: bytes.readDoubleLE(8) }
}
