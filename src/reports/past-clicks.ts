import type { FactsClient } from '#platform/clickhouse'
import type { ClickId } from '#platform/ids'
import { subNames } from '#records'

import { askFacts, askFactsLines } from './ask-facts.ts'

/** Clicks of a period as they were decided, and what they earned: for the simulation of another configuration. Of the whole
 * installation: only its owner may ask.
 */

export type Period = { readonly fromMs: number; readonly toMs: number }

/** Offsets of the log that are read there and not here: those from `firstOffset` on. */
export type LogStart = { readonly partition: string; readonly firstOffset: number }

const IN_PERIOD = `at >= fromUnixTimestamp64Milli({from_ms:Int64}) AND at < fromUnixTimestamp64Milli({to_ms:Int64})`
const IS_CLICK = `class = 'click'`
const BEFORE_LOG = `log_offset < transform(log_partition, {partitions:Array(String)}, {offsets:Array(UInt64)}, toUInt64(18446744073709551615))`
/** The column is an IPv6 one, which shows `192.0.2.1` as `::ffff:192.0.2.1`. */
const PLAIN_IP = `replaceRegexpOne(toString(ip), '^::ffff:([0-9]+[.][0-9.]+)$', '\\\\1') AS ip`

const COUNT = `
  SELECT count() AS clicks, countIf(${BEFORE_LOG}) AS before_log FROM clicks WHERE ${IN_PERIOD} AND ${IS_CLICK}`

const NEWEST_OFFSETS = `
  SELECT log_partition AS partition, max(log_offset) + 1 AS next_offset FROM clicks WHERE ${IN_PERIOD} GROUP BY log_partition`

/** Parts of a sample are told by this many steps. */
export const SAMPLE_STEPS = 1_000_000

const PAGE = `
  SELECT * REPLACE (${PLAIN_IP}) FROM clicks
  WHERE ${IN_PERIOD} AND ${IS_CLICK} AND ${BEFORE_LOG} AND sipHash64(click_id) % ${SAMPLE_STEPS} < {sample:UInt32}
    AND (at, click_id) > (fromUnixTimestamp64Milli({after_ms:Int64}), {after_id:UUID})
  ORDER BY at, click_id LIMIT {limit:UInt32}`

type Counts = {
  /** Clicks of the period. */
  readonly clicks: number
  /** Those of them that the log no longer has. */
  readonly beforeLog: number
  /** First offset of each partition that the facts do not know of, as far as the period goes. */
  readonly nextOffsets: ReadonlyMap<string, number>
}

const parametersOf = ({ fromMs, toMs }: Period, starts: readonly LogStart[]) => ({
  from_ms: fromMs,
  to_ms: toMs,
  // The function needs something to look in.
  partitions: ['', ...starts.map(({ partition }) => partition)],
  offsets: [0, ...starts.map(({ firstOffset }) => firstOffset)],
})

/** How many clicks the facts have of a period. */
export async function countPastClicks(
  facts: FactsClient,
  period: Period,
  starts: readonly LogStart[],
): Promise<Counts> {
  const params = parametersOf(period, starts)
  const [counted] = await askFacts<{ clicks: string; before_log: string }>(facts, { sql: COUNT, params })
  const newest = await askFacts<{ partition: string; next_offset: string }>(facts, { sql: NEWEST_OFFSETS, params })
  return {
    clicks: Number(counted?.clicks ?? 0),
    beforeLog: Number(counted?.before_log ?? 0),
    nextOffsets: new Map(newest.map(({ partition, next_offset }) => [partition, Number(next_offset)])),
  }
}

const NO_ID = '00000000-0000-0000-0000-000000000000'

/** Clicks of a period that the log no longer has, in pages of rows of JSON, one on each line, oldest first.
 * @param sample of SAMPLE_STEPS; all: SAMPLE_STEPS
 */
export async function* readPastClicks(
  facts: FactsClient,
  period: Period,
  starts: readonly LogStart[],
  { sample, pageRows }: { readonly sample: number; readonly pageRows: number },
): AsyncGenerator<string> {
  let after = { after_ms: period.fromMs - 1, after_id: NO_ID }
  for (;;) {
    const params = { ...parametersOf(period, starts), ...after, sample, limit: pageRows }
    const lines = await askFactsLines(facts, { sql: PAGE, params })
    const last = lines.trimEnd().split('\n').at(-1)
    if (last === undefined || last === '') return
    yield lines
    const { at, click_id } = JSON.parse(last) as { at: string; click_id: string }
    after = { after_ms: Date.parse(`${at.replace(' ', 'T')}Z`), after_id: click_id }
  }
}

const CLICKS_BY_OFFER = `
  SELECT offer_id, country, count() AS clicks FROM clicks
  WHERE ${IN_PERIOD} AND ${IS_CLICK} AND outcome = 'redirected' AND offer_id != ''
  GROUP BY offer_id, country ORDER BY clicks DESC LIMIT {rows:UInt32}`

/** Each row counts with its sign: a revision takes back the values before it. Conversions come after their clicks. */
const CONVERSIONS_BY_OFFER = `
  SELECT offer_id, country, currency, sum(sign) AS conversions,
    sum(revenue_micros * sign) AS revenue, sum(payout_micros * sign) AS payout,
    sum(pow(toFloat64(revenue_micros), 2) * sign) AS revenue_squares, sum(pow(toFloat64(payout_micros), 2) * sign) AS payout_squares
  FROM conversions
  WHERE at >= fromUnixTimestamp64Milli({from_ms:Int64}) - INTERVAL 1 DAY
    AND click_at >= fromUnixTimestamp64Milli({from_ms:Int64}) AND click_at < fromUnixTimestamp64Milli({to_ms:Int64})
    AND status != 'rejected'
  GROUP BY offer_id, country, currency HAVING conversions > 0 ORDER BY conversions DESC LIMIT {rows:UInt32}`

export type OfferClicks = { readonly offerId: string; readonly country: string; readonly clicks: number }

/** Conversions of the clicks of a period that were not rejected. */
export type OfferConversions = {
  readonly offerId: string
  readonly country: string
  readonly currency: string
  readonly conversions: number
  readonly revenueMicros: bigint
  readonly payoutMicros: bigint
  /** Sums of the squares of the single values, for the uncertainty of the sums. */
  readonly revenueSquares: number
  readonly payoutSquares: number
}

/** Pairs of offer and country that are told apart: those with the most clicks. */
const PAIRS_MAX = 10_000

/** What the offers earned in a period, by the country of the click. */
export async function readOfferEarnings(
  facts: FactsClient,
  period: Period,
): Promise<{ readonly clicks: readonly OfferClicks[]; readonly conversions: readonly OfferConversions[] }> {
  const params = { from_ms: period.fromMs, to_ms: period.toMs, rows: PAIRS_MAX }
  const clicks = await askFacts<Readonly<Record<string, string>>>(facts, { sql: CLICKS_BY_OFFER, params })
  const conversions = await askFacts<Readonly<Record<string, string>>>(facts, { sql: CONVERSIONS_BY_OFFER, params })
  return {
    clicks: clicks.map((row) => ({
      offerId: row['offer_id']!,
      country: row['country']!,
      clicks: Number(row['clicks']),
    })),
    conversions: conversions.map((row) => ({
      offerId: row['offer_id']!,
      country: row['country']!,
      currency: row['currency']!,
      conversions: Number(row['conversions']),
      revenueMicros: BigInt(row['revenue']!),
      payoutMicros: BigInt(row['payout']!),
      revenueSquares: Number(row['revenue_squares']),
      payoutSquares: Number(row['payout_squares']),
    })),
  }
}

const PAGE_ROWS = 5_000

/** What caps read of the click of a conversion that came before everything that is looked at. */
const CLICK_COLUMNS = ['campaign_id', 'flow_id', 'landing_id', 'affiliate_id', 'country', ...subNames].join(', ')

/** The revisions as they were made: the rows that take back what was before are left out. */
const REVISIONS = `
  SELECT conversion_id, revision, seq, click_id, offer_id, status, payout_micros, revenue_micros, toUnixTimestamp64Milli(at) AS came_at,
    toUnixTimestamp64Milli(revised_at) AS revised_at, toUnixTimestamp64Milli(click_at) AS clicked_at, ${CLICK_COLUMNS}
  FROM conversions
  WHERE at >= fromUnixTimestamp64Milli({from_ms:Int64}) AND conversions.revised_at < fromUnixTimestamp64Milli({to_ms:Int64}) AND sign = 1
    AND offer_id IN {offers:Array(String)} AND seq > {after:UInt64}
  ORDER BY seq LIMIT ${PAGE_ROWS}`

/** One revision of a conversion. Plain data: it goes to another thread. Times are milliseconds since the epoch. */
export type PastConversion = {
  readonly conversionId: string
  readonly revision: number
  readonly clickId: ClickId
  readonly offerId: string
  readonly isRejected: boolean
  readonly payoutMicros: number
  readonly revenueMicros: number
  /** When the conversion came in, and when this revision was made. */
  readonly at: number
  readonly revisedAt: number
  readonly clickAt: number
  /** Of its click; only where that was before the period. */
  readonly click?: Readonly<Record<string, string>>
}

/** Revisions of the conversions of these offers that came in and were revised in a period, in the order of their revisions.
 * @param rowsMax of more the first are taken
 */
export async function readPastConversions(
  facts: FactsClient,
  { fromMs, toMs }: Period,
  offerIds: readonly string[],
  rowsMax: number,
): Promise<{ readonly conversions: readonly PastConversion[]; readonly isCut: boolean }> {
  const conversions: PastConversion[] = []
  if (offerIds.length === 0) return { conversions, isCut: false }
  for (let after = '0'; ;) {
    const params = { from_ms: fromMs, to_ms: toMs, offers: offerIds, after }
    const rows = await askFacts<Readonly<Record<string, string>>>(facts, { sql: REVISIONS, params })
    for (const row of rows) {
      if (conversions.length === rowsMax) return { conversions, isCut: true }
      conversions.push(pastConversionOf(row, fromMs))
    }
    if (rows.length < PAGE_ROWS) break
    after = rows.at(-1)!['seq']!
  }
  return { conversions: conversions.sort((a, b) => a.revisedAt - b.revisedAt), isCut: false }
}

function pastConversionOf(row: Readonly<Record<string, string>>, fromMs: number): PastConversion {
  const clickAt = Number(row['clicked_at'])
  return {
    conversionId: row['conversion_id']!,
    revision: Number(row['revision']),
    clickId: row['click_id'] as ClickId,
    offerId: row['offer_id']!,
    isRejected: row['status'] === 'rejected',
    payoutMicros: Number(row['payout_micros']),
    revenueMicros: Number(row['revenue_micros']),
    at: Number(row['came_at']),
    revisedAt: Number(row['revised_at']),
    clickAt,
    ...(clickAt < fromMs && { click: clickColumnsOf(row) }),
  }
}

const clickColumnsOf = (row: Readonly<Record<string, string>>): Readonly<Record<string, string>> =>
  Object.fromEntries(CLICK_COLUMNS.split(', ').flatMap((name) => (row[name] ? [[name, row[name]]] : [])))
