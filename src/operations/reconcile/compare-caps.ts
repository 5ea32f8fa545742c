import { metricOfCount, type CapBooks, type CountedConversion } from '#caps'
import { findVersion, listVersions } from '#configuration'
import type { Pool } from '#platform/postgres'
import type { ClickRecord } from '#records'
import { compileCappedOffers, type CompiledOfferCaps } from '#routing'

import { compare, EXAMPLES_MAX, type Check } from './check.ts'

/** Compares what caps have counted of conversions with what was booked, as far as that can be exact:
 *
 * 1. what a conversion has counted is worth what the revision says that was counted; revisions never change;
 * 2. a count is the sum of what conversions have counted in it;
 * 3. conversions that came in since the configuration was last changed have counted in the caps that it has for them, by their
 *    last revision or a later one.
 *
 * Older conversions may have come before a cap was there, or while it was for others, so that what they should have counted
 * cannot be told from the configuration of today. Counts of clicks are not compared: a click that the edge reserved for and was
 * killed before it could record is counted and nowhere else.
 * @param place revisions below are counted
 */
export async function compareCaps(
  pool: Pool,
  books: CapBooks,
  { place, nowMs }: { readonly place: number; readonly nowMs: number },
): Promise<readonly Check[]> {
  const sums = new Map<string, Sum>()
  const unlike = await findUnlikeRevision(pool, books, sums)
  const miscounted = findMiscounted(books, sums, await mayHaveForgotten(pool, nowMs), nowMs)
  const missing = await findMissing(pool, books, place)
  return [
    none('caps_as_revisions', 'conversions that have counted in caps what their revision does not say', unlike),
    none('caps_as_conversions', 'counts of caps that are not the sum of what conversions have counted', miscounted),
    none('caps_complete', 'conversions since the last change of the configuration that caps have not counted', missing),
  ]
}

type Wrong = { count: number; readonly examples: string[] }

const noneWrong = (): Wrong => ({ count: 0, examples: [] })

function note(wrong: Wrong, example: string): void {
  wrong.count += 1
  if (wrong.examples.length < EXAMPLES_MAX) wrong.examples.push(example)
}

const none = (check: string, what: string, { count, examples }: Wrong): Check =>
  compare(check, what, 0, count, examples)

/** What conversions have counted in one count. */
type Sum = { amount: number; readonly periodEndMs: number }

type Revision = {
  readonly conversion_id: string
  readonly revision: number
  readonly status: string
  readonly payout_micros: bigint
  readonly revenue_micros: bigint
}

const REVISIONS = `
  SELECT r.conversion_id, r.revision, r.status, r.payout_micros, r.revenue_micros
  FROM unnest($1::uuid[], $2::integer[]) AS asked (conversion_id, revision)
  JOIN conversion_revisions r USING (conversion_id, revision)`

const PER_QUERY = 1_000

async function findUnlikeRevision(pool: Pool, books: CapBooks, sums: Map<string, Sum>): Promise<Wrong> {
  const wrong = noneWrong()
  for (const part of inParts(books.conversions())) {
    const ids = part.map(([conversionId]) => conversionId)
    const numbers = part.map(([, { revision }]) => revision)
    const { rows } = await pool.query<Revision>(REVISIONS, [ids, numbers])
    const revisions = new Map(rows.map((row) => [row.conversion_id, row]))
    for (const [conversionId, counted] of part) {
      for (const { key, periodEndMs, amount } of counted.entries) {
        const sum = sums.get(key) ?? { amount: 0, periodEndMs }
        sum.amount += amount
        sums.set(key, sum)
      }
      if (!isOfRevision(counted, revisions.get(conversionId)))
        note(wrong, `conversion ${conversionId} revision ${counted.revision}`)
    }
  }
  return wrong
}

function* inParts<T>(all: Iterable<T>): Generator<readonly T[]> {
  let part: T[] = []
  for (const one of all) {
    if (part.push(one) < PER_QUERY) continue
    yield part
    part = []
  }
  if (part.length > 0) yield part
}

function isOfRevision({ entries }: CountedConversion, revision: Revision | undefined): boolean {
  if (revision === undefined) return false
  if (revision.status === 'rejected') return entries.length === 0
  return entries.every(({ key, amount }) => amount === worthIn(key, revision))
}

function worthIn(key: string, { payout_micros, revenue_micros }: Revision): number | undefined {
  const metric = metricOfCount(key)
  if (metric === 'payout') return Number(payout_micros)
  if (metric === 'revenue') return Number(revenue_micros)
  return metric === 'conversions' ? 1 : undefined
}

const DAY_MS = 86_400_000
/** What conversions have counted is forgotten after 800 days; caps that never begin again keep the count. */
const CONVERSIONS_KNOWN_MS = 799 * DAY_MS

const OLDEST = 'SELECT EXISTS (SELECT FROM conversions WHERE created_at < to_timestamp($1 / 1000.0)) AS is_old'

async function mayHaveForgotten(pool: Pool, nowMs: number): Promise<boolean> {
  const { rows } = await pool.query<{ is_old: boolean }>(OLDEST, [nowMs - CONVERSIONS_KNOWN_MS])
  return rows[0]!.is_old
}

/** A count of a period that is over may have been forgotten, those under way may not. */
function findMiscounted(books: CapBooks, sums: ReadonlyMap<string, Sum>, isForgetful: boolean, nowMs: number): Wrong {
  const wrong = noneWrong()
  const known = new Set<string>()
  for (const { key, periodEndMs, used } of books.counts()) {
    if (metricOfCount(key) === 'clicks') continue
    known.add(key)
    const sum = sums.get(key)?.amount ?? 0
    const isEndless = periodEndMs >= Number.MAX_SAFE_INTEGER
    const isRight = isForgetful && isEndless ? used >= sum : used === sum
    if (!isRight) note(wrong, `count ${key}: ${used}, by conversions ${sum}`)
  }
  for (const [key, { amount, periodEndMs }] of sums)
    if (!known.has(key) && amount !== 0 && periodEndMs > nowMs)
      note(wrong, `count ${key}: none, by conversions ${amount}`)
  return wrong
}

type RecentConversion = {
  readonly conversion_id: string
  readonly offer_id: string
  readonly created_at: Date
  readonly click: ClickRecord
  /** The last one below the place. */
  readonly revision: number
  /** By revision, also those past the place. */
  readonly statuses: Readonly<Record<string, string>>
}

const RECENT = `
  SELECT c.conversion_id, c.offer_id, c.created_at, c.click, max(r.revision) FILTER (WHERE r.seq < $3) AS revision,
    jsonb_object_agg(r.revision, r.status) AS statuses
  FROM conversions c JOIN conversion_revisions r USING (conversion_id)
  WHERE c.created_at >= $1 AND c.offer_id = ANY($2) AND c.conversion_id > $4
  GROUP BY c.conversion_id HAVING bool_or(r.seq < $3) ORDER BY c.conversion_id LIMIT ${PER_QUERY}`

/** Other processes have a new version within a second. */
const VERSION_KNOWN_AFTER_MS = 60_000
const FIRST_ID = '00000000-0000-0000-0000-000000000000'

async function findMissing(pool: Pool, books: CapBooks, place: number): Promise<Wrong> {
  const wrong = noneWrong()
  const newest = await findVersion(pool, undefined)
  if (newest === undefined) return wrong
  const offers = compileCappedOffers(newest.snapshot)
  const since = new Date(newest.createdAt.getTime() + VERSION_KNOWN_AFTER_MS)
  for (let after = FIRST_ID; ;) {
    const { rows } = await pool.query<RecentConversion>(RECENT, [since, [...offers.keys()], place, after])
    for (const row of rows)
      if (!hasCounted(row, books.conversion(row.conversion_id), offers.get(row.offer_id)!))
        note(wrong, `conversion ${row.conversion_id} revision ${row.revision}`)
    if (rows.length < PER_QUERY) break
    after = rows.at(-1)!.conversion_id
  }
  // What was counted by the version that came meanwhile is not compared with the one before.
  const [last] = await listVersions(pool, undefined, 1)
  return last?.version === newest.version ? wrong : noneWrong()
}

const NO_WORTH = { payoutMicros: 0, revenueMicros: 0 }

/** In the counts that the caps name for it, or in none because it is rejected; how much it counts there was compared with its
 * revision.
 */
function hasCounted(row: RecentConversion, counted: CountedConversion | undefined, caps: CompiledOfferCaps): boolean {
  if (counted === undefined || counted.revision < row.revision) return false
  if (row.statuses[counted.revision] === 'rejected') return counted.entries.length === 0
  const named = caps.keysOfConversion(row.click, row.created_at.getTime(), NO_WORTH)
  return isSame(named.map(({ key }) => key), counted.entries.map(({ key }) => key)) // prettier-ignore
}

const isSame = (left: readonly string[], right: readonly string[]): boolean =>
  left.length === right.length && left.every((one) => right.includes(one))
