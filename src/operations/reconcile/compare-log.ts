import type { EventLog, Partition } from '#log'
import { readSound } from '#pipeline'
import type { FactsClient } from '#platform/clickhouse'
import { eventIdentity } from '#records'
import type { RetiredBooks } from '#retention'

import { compare, type Check } from './check.ts'
import type { PartitionCount } from './read-books.ts'

/** Offsets compared at a time: bounds what is held in memory. */
const STRETCH = 200_000
const RECORDS_PER_READ = 10_000
const BYTES_PER_READ = 16 << 20

/** What the log holds of one partition below its position, and which of it the facts do not have. */
type Tally = {
  clicks: number
  events: number
  postbacks: number
  undecodable: number
  damaged: number
  /** Not in the facts at their own offset: right only where another record holds the identity. */
  readonly clicksElsewhere: { readonly offset: number; readonly identity: string }[]
  readonly eventsElsewhere: { readonly offset: number; readonly identity: string }[]
  /** Rows of the facts for which the log has no such record. */
  readonly rowsOfNothing: string[]
}

/** Compares a partition record by record with the facts, up to the position; and both with what was counted.
 * What retention has dropped from the log is compared by its counts only, as are facts whose raw rows were retired.
 */
export async function compareLog(
  log: EventLog,
  facts: FactsClient,
  counted: PartitionCount,
  retired: RetiredBooks,
): Promise<readonly Check[]> {
  const { partition, position } = counted
  const { firstOffset } = await log.bounds(partition)
  const tally = emptyTally()
  for (let from = firstOffset; from < position; from += STRETCH)
    await tallyStretch(log, facts, partition, from, Math.min(from + STRETCH, position), tally, retired)
  const lostClicks = await findLost(tally.clicksElsewhere, (ids) => findClicks(facts, ids))
  const lostEvents = await findLost(tally.eventsElsewhere, (ids) => findEvents(facts, ids))
  const name = (what: string): string => `${partition}: ${what}`
  const lost = (offset: { readonly offset: number; readonly identity: string }): string =>
    `offset ${offset.offset} ${offset.identity}`
  return [
    compare(
      'log_clicks_in_facts',
      name('clicks of the log that are in the facts, by themselves or as their first record'),
      tally.clicks,
      tally.clicks - lostClicks.length,
      lostClicks.map(lost),
    ),
    compare(
      'log_events_in_facts',
      name('events of the log that are in the facts, by themselves or as their first record'),
      tally.events,
      tally.events - lostEvents.length,
      lostEvents.map(lost),
    ),
    compare(
      'facts_of_log',
      name('rows of the facts for which the log has no record'),
      0,
      tally.rowsOfNothing.length,
      tally.rowsOfNothing,
    ),
    ...(firstOffset === 0 ? compareCounts(counted, tally, name, retired) : []),
    ...(await compareFactCounts(facts, counted, name, retired)),
  ]
}

const emptyTally = (): Tally => ({
  clicks: 0,
  events: 0,
  postbacks: 0,
  undecodable: 0,
  damaged: 0,
  clicksElsewhere: [],
  eventsElsewhere: [],
  rowsOfNothing: [],
})

/** Counts of the whole log against the durable counters. */
function compareCounts(
  counted: PartitionCount,
  tally: Tally,
  name: (what: string) => string,
  retired: RetiredBooks,
): readonly Check[] {
  const duplicates = `${tally.clicksElsewhere.length} and ${tally.eventsElsewhere.length} repeated`
  return [
    compare('clicks_counted', name(`clicks in the log and counted (${duplicates})`), tally.clicks, counted.clicks + counted.duplicateClicks),
    compare('events_counted', name('events in the log and counted'), tally.events, counted.events + counted.duplicateEvents),
    // A repeated record of a retired day cannot be told from the one that has a row.
    ...(retired.isEmpty ? [
      compare('duplicate_clicks_counted', name('repeated clicks in the log and counted'), tally.clicksElsewhere.length, counted.duplicateClicks),
      compare('duplicate_events_counted', name('repeated events in the log and counted'), tally.eventsElsewhere.length, counted.duplicateEvents),
    ] : []),
    compare('postbacks_counted', name('postbacks in the log and counted'), tally.postbacks, counted.postbacks),
    compare('undecodable_counted', name('unreadable records in the log and counted'), tally.undecodable, counted.undecodable),
    compare('damaged_counted', name('lost offsets of the log and counted'), tally.damaged, counted.damaged),
  ] // prettier-ignore
}

const factCounts = (from: string): string => `
  SELECT count() AS rows, uniqExact(log_offset) AS offsets FROM ${from}
  WHERE log_partition = {partition:String} AND log_offset < {position:UInt64}`

async function compareFactCounts(
  facts: FactsClient,
  counted: PartitionCount,
  name: (what: string) => string,
  retired: RetiredBooks,
): Promise<readonly Check[]> {
  const checks: Check[] = [
    compare(
      'counters_sum_to_position',
      name('position and the sum of what was counted'),
      counted.position,
      counted.clicks +
        counted.duplicateClicks +
        counted.events +
        counted.duplicateEvents +
        counted.postbacks +
        counted.undecodable +
        counted.damaged,
    ),
  ]
  for (const table of ['clicks', 'events'] as const) {
    const { partition, position } = counted
    const [row] = await ask<{ rows: string; offsets: string }>(facts, factCounts(retired.raw(table)), {
      partition,
      position,
    })
    checks.push(
      compare(
        `${table}_in_facts`,
        name(`${table} counted and in the facts`),
        counted[table],
        Number(row!.rows) + retired.rowsOf(table, partition),
      ),
      compare(
        `${table}_once_in_facts`,
        name(`${table} in the facts and different among them`),
        row!.offsets,
        row!.rows,
      ),
    )
  }
  return checks
}

async function ask<Row>(
  facts: FactsClient,
  query: string,
  query_params: Record<string, unknown>,
): Promise<readonly Row[]> {
  const answer = await facts.query({ query, query_params, format: 'JSONEachRow' })
  return answer.json<Row>()
}

const OFFSETS = `
  SELECT log_offset AS offset FROM {table:Identifier}
  WHERE log_partition = {partition:String} AND log_offset >= {from:UInt64} AND log_offset < {to:UInt64}`

async function readOffsets(
  facts: FactsClient,
  table: string,
  stretch: { readonly partition: string; readonly from: number; readonly to: number },
): Promise<Set<number>> {
  const rows = await ask<{ offset: string | number }>(facts, OFFSETS, { table, ...stretch })
  return new Set(rows.map(({ offset }) => Number(offset)))
}

async function tallyStretch(
  log: EventLog,
  facts: FactsClient,
  partition: Partition,
  from: number,
  to: number,
  tally: Tally,
  retired: RetiredBooks,
): Promise<void> {
  const clicks = await readOffsets(facts, 'clicks', { partition, from, to })
  const events = await readOffsets(facts, 'events', { partition, from, to })
  for (let offset = from; offset < to;) {
    const batch = await log.read(partition, offset, { maxRecords: RECORDS_PER_READ, maxBytes: BYTES_PER_READ })
    if (batch.nextOffset === offset) break
    const end = Math.min(batch.nextOffset, to)
    const records = batch.records.filter((record) => record.offset < end)
    tally.damaged += end - offset - records.length
    for (const { offset: at, payload } of records)
      tallyRecord(tally, at, payload, clicks, events, (table, atMs) => retired.mayBeRetired(table, partition, at, atMs))
    offset = end
  }
  for (const offset of clicks) tally.rowsOfNothing.push(`click at ${partition} offset ${offset}`)
  for (const offset of events) tally.rowsOfNothing.push(`event at ${partition} offset ${offset}`)
}

/** Takes the offsets that fit out of the sets: what stays there has no record. */
function tallyRecord(
  tally: Tally,
  offset: number,
  payload: Buffer,
  clicks: Set<number>,
  events: Set<number>,
  mayBeRetired: (table: 'clicks' | 'events', atMs: number) => boolean,
): void {
  const record = readSound(payload)?.record
  if (record === undefined) tally.undecodable++
  else if (record.kind === 'click') {
    tally.clicks++
    if (!clicks.delete(offset) && !mayBeRetired('clicks', record.at))
      tally.clicksElsewhere.push({ offset, identity: record.click_id })
  } else if (record.kind === 'event') {
    tally.events++
    if (!events.delete(offset) && !mayBeRetired('events', record.at))
      tally.eventsElsewhere.push({ offset, identity: eventIdentity(record.click_id ?? '', record.type, record.txid) })
  } else tally.postbacks++
}

const IDENTITIES_PER_QUERY = 5_000

/** Those whose identity no row of the facts has. */
export async function findLost<T extends { readonly identity: string }>(
  sought: readonly T[],
  find: (identities: readonly string[]) => Promise<ReadonlySet<string>>,
): Promise<readonly T[]> {
  const lost: T[] = []
  for (let start = 0; start < sought.length; start += IDENTITIES_PER_QUERY) {
    const part = sought.slice(start, start + IDENTITIES_PER_QUERY)
    const found = await find(part.map(({ identity }) => identity))
    lost.push(...part.filter(({ identity }) => !found.has(identity)))
  }
  return lost
}

/** Which of some click ids the facts have. */
export async function findClicks(facts: FactsClient, ids: readonly string[]): Promise<ReadonlySet<string>> {
  const query = 'SELECT DISTINCT toString(click_id) AS id FROM clicks WHERE click_id IN {ids:Array(UUID)}'
  return new Set((await ask<{ id: string }>(facts, query, { ids })).map(({ id }) => id))
}

/** Which of some event identities the facts have as events that count. */
export async function findEvents(facts: FactsClient, ids: readonly string[]): Promise<ReadonlySet<string>> {
  const query = `
    SELECT DISTINCT concat(toString(click_id), '|', type, '|', if(txid = '', '-', txid)) AS id FROM events
    WHERE refusal = '' AND click_id IN {clickIds:Array(UUID)} AND id IN {ids:Array(String)}`
  const clickIds = ids.map((id) => id.slice(0, 36)).filter((id) => id.length === 36 && !id.includes('|'))
  return new Set((await ask<{ id: string }>(facts, query, { ids, clickIds })).map(({ id }) => id))
}
