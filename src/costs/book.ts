/** The life of an import:
 *
 *   (nothing) --import--> booking --> booked --correction, respread--> booking --> booked … --deletion--> booking --> booked
 *
 * A version is written to PostgreSQL as `booking`, with everything that decides which rows it has in the facts. Then its chunks are
 * inserted: the opposite of the version before, and its own. When they are all in and sum to its amounts, it is `booked`. Who dies in
 * between leaves it `booking`: whoever comes next sends the same chunks again, those that are in are skipped or dropped by their token.
 */
import { createHash } from 'node:crypto'

import type { FactsClient } from '#platform/clickhouse'
import type { Clock } from '#platform/clock'
import { newUuidV7 } from '#platform/ids'
import { inTransaction, type Pool } from '#platform/postgres'

import type { CostRow, Spread } from './cost-row.ts'
import { refusePartlyRetired, refuseRetiredShares } from './retired-days.ts'
import { insertChunk, insertReversal, planSpread, type Booking, type SpreadPlan } from './spread.ts'
import {
  addVersion,
  findById,
  findByIdempotencyKey,
  findByKey,
  listUnfinished,
  markBooked,
  readPositions,
  type CostVersion,
  type NewVersion,
  type VersionKind,
} from './store.ts'
import { cutIntoDays, insertUnallocated } from './unallocated.ts'

export type CostBooks = { readonly pool: Pool; readonly facts: FactsClient; readonly clock: Clock }

export type CostImport = {
  readonly advertiserId: string
  /** Of the import: the same again with other rows corrects it. */
  readonly key: string
  /** Of this request: the same again answers what it did. */
  readonly idempotencyKey?: string | undefined
  readonly timezone: string
  readonly spread: Spread
  readonly rows: readonly CostRow[]
  /** For a person. */
  readonly by: string
}

export type ImportOutcome =
  | { readonly kind: 'booked'; readonly version: CostVersion }
  /** Nothing was booked: it is in already. */
  | { readonly kind: 'unchanged'; readonly version: CostVersion }
  /** Another process books this import at the moment. */
  | { readonly kind: 'busy' }

/** Books an import, or the correction of one.
 * @throws {Error} an engine is away; called again, it goes on where it stopped
 * @throws {WaypostError} conflict: clicks that bear a part of it were retired
 */
export async function importCosts(books: CostBooks, wanted: CostImport): Promise<ImportOutcome> {
  return alone(books, wanted.advertiserId, wanted.key, async () => {
    const last = await finishLast(books, wanted.advertiserId, wanted.key)
    const repeated =
      wanted.idempotencyKey === undefined
        ? undefined
        : await findByIdempotencyKey(books.pool, wanted.advertiserId, wanted.idempotencyKey)
    if (repeated !== undefined) return { kind: 'unchanged', version: repeated }
    const contentHash = hashOf(wanted)
    if (last !== undefined && last.kind !== 'deletion' && last.contentHash === contentHash)
      return { kind: 'unchanged', version: last }
    const kind = last === undefined || last.kind === 'deletion' ? 'import' : 'correction'
    const { idempotencyKey, ...rest } = wanted
    if (kind === 'correction') await refuseRetiredShares(books.facts, wanted.advertiserId, last!.rows)
    await refusePartlyRetired(books.facts, wanted.advertiserId, wanted.rows)
    return bookNext(books, last, { ...rest, idempotencyKey, kind, contentHash })
  })
}

/** Spreads an import over the clicks that are there by now, where there are more than there were.
 * @returns undefined: there is no such import, or it is deleted
 * @throws {WaypostError} conflict: clicks that bear a part of it were retired
 */
export const respreadImport = (books: CostBooks, importId: string, by: string): Promise<ImportOutcome | undefined> =>
  changeImport(books, importId, async (last) => {
    if (last.kind === 'deletion') return undefined
    const positions = await readPositions(books.pool)
    const { clicks } = await planSpread(books.facts, { ...last, positions })
    if (last.rows.every((row) => (clicks.get(row.rowNo) ?? 0) <= (row.clicks ?? 0)))
      return { kind: 'unchanged', version: last }
    await refuseRetiredShares(books.facts, last.advertiserId, last.rows)
    await refusePartlyRetired(books.facts, last.advertiserId, last.rows)
    return bookNext(books, last, { ...last, key: last.importKey, by, idempotencyKey: undefined, kind: 'respread' })
  })

/** Books the opposite of an import. @returns undefined: there is no such import, or it is deleted already */
export const deleteImport = (books: CostBooks, importId: string, by: string): Promise<ImportOutcome | undefined> =>
  changeImport(books, importId, async (last) =>
    last.kind === 'deletion'
      ? undefined
      : bookNext(books, last, {
          ...{ ...last, key: last.importKey, by, idempotencyKey: undefined },
          ...{ kind: 'deletion', rows: [] },
        }),
  )

async function changeImport(
  books: CostBooks,
  importId: string,
  change: (last: CostVersion) => Promise<ImportOutcome | undefined>,
): Promise<ImportOutcome | undefined> {
  const found = await findById(books.pool, importId)
  if (found === undefined) return undefined
  return alone(books, found.advertiserId, found.importKey, async () => {
    const last = await finishLast(books, found.advertiserId, found.importKey)
    return last && change(last)
  })
}

/** Completes what was cut off: for the start of a process, and now and then. @returns how many were */
export async function finishBookings(books: CostBooks): Promise<number> {
  let finished = 0
  for (const { advertiserId, importKey } of await listUnfinished(books.pool)) {
    const outcome = await alone(books, advertiserId, importKey, async () => {
      await finishLast(books, advertiserId, importKey)
      return { kind: 'finished' as const }
    })
    if (outcome.kind === 'finished') finished++
  }
  return finished
}

/** What an import would do. @throws {WaypostError} conflict: clicks of a part of its days were retired */
export async function planImport(
  books: CostBooks,
  wanted: Pick<CostImport, 'advertiserId' | 'spread' | 'rows'>,
): Promise<SpreadPlan> {
  await refusePartlyRetired(books.facts, wanted.advertiserId, wanted.rows)
  return planSpread(books.facts, { ...wanted, positions: await readPositions(books.pool) })
}

async function finishLast(books: CostBooks, advertiserId: string, key: string): Promise<CostVersion | undefined> {
  const last = await findByKey(books.pool, advertiserId, key)
  return last?.state === 'booking' ? book(books, last) : last
}

type Next = CostImport & { readonly kind: VersionKind; readonly contentHash: string }

async function bookNext(books: CostBooks, last: CostVersion | undefined, next: Next): Promise<ImportOutcome> {
  const createdAt = new Date(books.clock.now())
  const version: NewVersion = {
    ...{ importId: last?.importId ?? newUuidV7(createdAt.getTime()), version: (last?.version ?? 0) + 1 },
    ...{ importKey: next.key, kind: next.kind, contentHash: next.contentHash, idempotencyKey: next.idempotencyKey },
    ...{ advertiserId: next.advertiserId, timezone: next.timezone, spread: next.spread, rows: next.rows },
    ...{ createdBy: next.by, createdAt },
  }
  const added = await inTransaction(books.pool, (tx) => addVersion(tx, version))
  return { kind: 'booked', version: await book(books, added) }
}

/** Puts a version into the facts, what of it is not there yet. */
async function book(books: CostBooks, version: CostVersion): Promise<CostVersion> {
  const { facts, pool, clock } = books
  const booking: Booking = { importId: version.importId, version: version.version }
  const present = await findChunks(facts, booking)
  const before = { importId: version.importId, version: version.version - 1 }
  for (const chunk of before.version === 0 ? [] : await findChunks(facts, before, false))
    if (!present.has(`r${before.version}.${chunk}`))
      await insertReversal(facts, booking, { version: before.version, chunk })
  const plan = await planSpread(facts, version)
  for (const chunk of plan.chunks) if (!present.has(chunk.name)) await insertChunk(facts, version, chunk, booking)
  const unallocated = version.rows.filter(({ rowNo }) => !plan.clicks.has(rowNo))
  for (const day of cutIntoDays(unallocated, version.timezone))
    if (!present.has(day.chunk)) await insertUnallocated(facts, day, booking, version.advertiserId)
  await checkSums(facts, version)
  await inTransaction(pool, (tx) => markBooked(tx, version, plan.clicks, new Date(clock.now())))
  const rows = version.rows.map((row) => ({ ...row, clicks: plan.clicks.get(row.rowNo) ?? 0 }))
  return { ...version, state: 'booked', rows }
}

/** Names of the chunks of a version that are in the facts. @param isReversal left out: all; false: its own only */
async function findChunks(
  facts: FactsClient,
  { importId, version }: Booking,
  isReversal?: false,
): Promise<ReadonlySet<string>> {
  const answer = await facts.query({
    query: `SELECT DISTINCT chunk FROM costs WHERE import_id = {import_id:UUID} AND import_version = {version:UInt32}
      ${isReversal === false ? 'AND NOT is_reversal' : ''} ORDER BY chunk`,
    query_params: { import_id: importId, version },
    format: 'JSONEachRow',
  })
  return new Set((await answer.json<{ chunk: string }>()).map(({ chunk }) => chunk))
}

/** A version that does not sum to its amounts is not booked: somebody has to look. Clicks of its time that were dropped since its booking
 * began would be a reason.
 */
async function checkSums(facts: FactsClient, { importId, version, rows }: CostVersion): Promise<void> {
  const answer = await facts.query({
    query: `SELECT currency, toString(sum(cost_micros)) AS micros FROM costs
      WHERE import_id = {import_id:UUID} AND import_version <= {version:UInt32} GROUP BY currency`,
    query_params: { import_id: importId, version },
    format: 'JSONEachRow',
  })
  const found = new Map((await answer.json<{ currency: string; micros: string }>()).map((one) => [one.currency, BigInt(one.micros)])) // prettier-ignore
  const expected = sumByCurrency(rows)
  for (const currency of new Set([...found.keys(), ...expected.keys()])) {
    const [is, should] = [found.get(currency) ?? 0n, expected.get(currency) ?? 0n]
    if (is !== should)
      throw new Error(`Version ${version} of the cost import ${importId} has ${is} micros of ${currency} in the facts, expected ${should}.`) // prettier-ignore
  }
}

/** Micros by currency. */
export function sumByCurrency(
  rows: readonly Pick<CostRow, 'currency' | 'amountMicros'>[],
): ReadonlyMap<string, bigint> {
  const sums = new Map<string, bigint>()
  for (const { currency, amountMicros } of rows) sums.set(currency, (sums.get(currency) ?? 0n) + amountMicros)
  return sums
}

const hashOf = ({ timezone, spread, rows }: CostImport): string =>
  createHash('sha256')
    .update(
      JSON.stringify([
        timezone,
        spread,
        rows.map((row) => [row.startsMs, row.endsMs, row.dimensions, String(row.amountMicros), row.currency]),
      ]),
    )
    .digest('hex')

const TRY_LOCK = `SELECT pg_try_advisory_lock(hashtextextended($1, 0)) AS is_ours`
const UNLOCK = `SELECT pg_advisory_unlock(hashtextextended($1, 0))`

/** Only one process books an import at a time; who dies lets go with its connection. */
async function alone<T>(
  { pool }: CostBooks,
  advertiserId: string,
  key: string,
  work: () => Promise<T>,
): Promise<T | { readonly kind: 'busy' }> {
  const name = `cost import ${advertiserId} ${key}`
  const holder = await pool.connect()
  try {
    const { rows } = await holder.query<{ is_ours: boolean }>(TRY_LOCK, [name])
    if (!rows[0]!.is_ours) return { kind: 'busy' }
    try {
      return await work()
    } finally {
      await holder.query(UNLOCK, [name])
    }
  } finally {
    holder.release()
  }
}
