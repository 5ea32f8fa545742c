import type { Tenant } from '#accounts'
import type { FactsClient } from '#platform/clickhouse'
import { WaypostError } from '#platform/errors'

import type { FactsTable } from './measures.ts'
import type { TimeRange } from './time-range.ts'

/** The table that the rows of now are in: what stands after FROM. */
export const factsSource = (table: FactsTable): string => table

/** One place where rows of a table are. Each row is in exactly one. */
export type RowsSource = {
  /** What stands after FROM. */
  readonly from: string
  /** Whether a row says in `sign` for how many it stands; else it is one. */
  readonly isSigned: boolean
  /** Whether it is the table itself, or a part of its rows. */
  readonly isRaw: boolean
  /** Whether it is the table itself, with all that only a table has. */
  readonly isTable: boolean
}

/** Days that an answer cannot be about, and why. */
export type MissingDays = {
  readonly table: string
  /** First and last day, UTC. */
  readonly from: string
  readonly to: string
  /** Columns that are no longer there. */
  readonly columns: readonly string[]
  readonly why: string
}

/** A question over a table. */
export type RowsQuestion = {
  readonly table: FactsTable
  /** Its conditions, groups and sums: what it needs is read from them. */
  readonly sql: string
  readonly range: TimeRange
  /** Whether its days and hours are hours of UTC too. */
  readonly isWholeHours: boolean
  readonly time: 'event' | 'click'
  /** Whether it reads the table itself, and so neither what is kept nor archives. */
  readonly needsRawRows?: boolean
}

/** Where rows are, for one report: also those that were retired. */
export type RowsSources = {
  readonly find: (question: RowsQuestion) => readonly RowsSource[]
  /** What was asked of `find` so far and is not there. */
  readonly missing: () => readonly MissingDays[]
}

/** Looks what was retired of some ranges; `hasArchive`: archives are to be read for what is not kept. */
export type FindSources = (asked: {
  readonly ranges: readonly TimeRange[]
  readonly time: 'event' | 'click'
  readonly advertiserId: string | undefined
  readonly hasArchive: boolean
}) => Promise<RowsSources>

/** What is known of retired rows, beside the client that reports ask. */
export type RetiredFacts = {
  readonly find: FindSources
  /** Errors that are about an archive, in words that tell no secrets. */
  readonly explain: (cause: unknown) => unknown
}

const retired = new WeakMap<FactsClient, RetiredFacts>()

/** Lets every report over a client find rows that were retired. */
export const knowRetired = (facts: FactsClient, found: RetiredFacts): void => void retired.set(facts, found)

/** Rows that were never retired. */
export const rawSource = (table: FactsTable): RowsSource => ({
  from: factsSource(table),
  isSigned: table === 'conversions',
  isRaw: true,
  isTable: true,
})

type Asked = {
  readonly range: TimeRange
  readonly compare: { readonly range: TimeRange } | undefined
  readonly time: 'event' | 'click'
  readonly hasArchive?: boolean | undefined
}

/** @returns undefined: nothing is retired behind this client */
export async function findSources(facts: FactsClient, tenant: Tenant, asked: Asked): Promise<RowsSources | undefined> {
  return retired.get(facts)?.find({
    ranges: [asked.range, ...(asked.compare === undefined ? [] : [asked.compare.range])],
    time: asked.time,
    advertiserId: advertiserOf(tenant),
    hasArchive: asked.hasArchive ?? false,
  })
}

/** Rows of a table, read one by one: as they came in, with the columns that nothing else keeps. */
export type RawRows = {
  readonly table: FactsTable
  /** Moments of the rows. */
  readonly range: TimeRange
  /** What tells the rows apart or puts them together. */
  readonly column: string
}

/** Days that an answer made of raw rows lacks. Whoever reads a table of facts directly asks this right before, and says what it says.
 * @param read a table that stands there more than once is read from the first moment to the last
 */
export async function findMissingDays(
  facts: FactsClient,
  tenant: Tenant,
  read: readonly RawRows[],
): Promise<readonly MissingDays[]> {
  const found = await retired.get(facts)?.find({
    ...{ ranges: read.map(({ range }) => range), time: 'event', hasArchive: false },
    advertiserId: advertiserOf(tenant),
  })
  if (found === undefined) return []
  for (const [table, rows] of Map.groupBy(read, ({ table }) => table)) {
    const range = {
      fromMs: Math.min(...rows.map(({ range }) => range.fromMs)),
      toMs: Math.max(...rows.map(({ range }) => range.toMs)),
    }
    const sql = rows.map(({ column }) => column).join(' ')
    found.find({ table, sql, range, isWholeHours: true, time: 'event', needsRawRows: true })
  }
  return found.missing()
}

/** Refuses an answer that has no place to say what it lacks.
 * @param what it is, at the beginning of a sentence
 * @throws {WaypostError} conflict: it lacks days; which, why, and what can be done
 */
export function refuseMissing(what: string, missing: readonly MissingDays[]): void {
  if (missing.length === 0) return
  const lacks = missing.map(({ table, from, to, columns, why }) => {
    const days = from === to ? from : `${from} to ${to}`
    return `${columns.join(', ')} of ${table} of ${days} (${why})`
  })
  const isNone = (...reasons: readonly string[]): boolean => missing.every(({ why }) => !reasons.includes(why))
  const ways = [
    ...(missing.every(({ why }) => why === 'archive_not_asked') ? ['ask with archive=true'] : []),
    ...(isNone('not_archived', 'not_whole_hours') ? ['put the days back (waypost retention restore)'] : []),
    'ask for a range without them',
  ]
  throw new WaypostError(
    'conflict',
    `${what} has no place to name retired days, and needs ${lacks.join('; ')}: ${ways.join(', or ')}.`,
  )
}

const advertiserOf = (tenant: Tenant): string | undefined => (tenant.role === 'owner' ? undefined : tenant.advertiserId)

export const explainFactsError = (facts: FactsClient, cause: unknown): unknown =>
  retired.get(facts)?.explain(cause) ?? cause

const HOUR_MS = 3_600_000

/** Whether a range begins and ends on the hour, in a zone that is whole hours from UTC all the while. */
export function isWholeHours({ fromMs, toMs }: TimeRange, timezone: string): boolean {
  if (fromMs % HOUR_MS !== 0 || toMs % HOUR_MS !== 0) return false
  if (timezone === 'UTC') return true
  const isWhole = (moment: Temporal.ZonedDateTime): boolean => moment.offsetNanoseconds % (HOUR_MS * 1e6) === 0
  let moment: Temporal.ZonedDateTime | null =
    Temporal.Instant.fromEpochMilliseconds(fromMs).toZonedDateTimeISO(timezone)
  while (moment !== null && moment.epochMilliseconds < toMs) {
    if (!isWhole(moment)) return false
    moment = moment.getTimeZoneTransition('next')
  }
  return true
}
