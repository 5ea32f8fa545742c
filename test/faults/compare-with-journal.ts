import { join } from 'node:path'
import { openClickHouse } from '#platform/clickhouse'
import { createPool, type Pool } from '#platform/postgres'
import type { ReceivedWebhook } from '../e2e/webhook-receiver.ts'
import { compareCaps } from './compare-caps.ts'
import type { Acknowledged } from './journal.ts'

/** What the installation holds beside what it promised. Every number but the first of each pair must be 0. */
export type Comparison = {
  readonly clicks_acknowledged: number
  readonly clicks_lost: number
  readonly clicks_counted_twice: number
  readonly events_acknowledged: number
  readonly events_lost: number
  readonly events_counted_twice: number
  readonly conversions_expected: number
  readonly conversions_lost: number
  /** In the facts, counted by sign: more or less than once. */
  readonly conversions_miscounted: number
  /** Affiliate's and advertiser's balances against the conversions, in micros. */
  readonly ledger_difference_micros: number
  readonly deliveries_expected: number
  readonly deliveries_missing: number
  /** Partners were told of a conversion that does not exist. */
  readonly deliveries_of_nothing: number
  readonly deliveries_unsigned: number
  /** Deliveries whose rows contradict each other: two ends, waiting although ended, two tries under one number. */
  readonly deliveries_contradictory: number
  /** Clicks that offers with caps have counted. */
  readonly caps_clicks_counted: number
  /** Clicks sent to an offer beyond its limit. */
  readonly caps_clicks_over: number
  /** Clicks sent to an offer and not counted. */
  readonly caps_clicks_missing: number
  readonly caps_conversions_miscounted: number
  /** Room that a killed edge took for clicks that it did not record; allowed, said so that it is known. */
  readonly caps_clicks_in_vain: number
  /** Allowed (at least once); said so that it is known. */
  readonly deliveries_repeated: number
}

/** Names of the figures that must be 0. */
export const mustBeZero = [
  'clicks_lost',
  'clicks_counted_twice',
  'events_lost',
  'events_counted_twice',
  'conversions_lost',
  'conversions_miscounted',
  'ledger_difference_micros',
  'deliveries_missing',
  'deliveries_of_nothing',
  'deliveries_unsigned',
  'deliveries_contradictory',
  'caps_clicks_over',
  'caps_clicks_missing',
  'caps_conversions_miscounted',
] as const satisfies readonly (keyof Comparison)[]

/** Compares the client's journal and the receiver's memory with the engines, by statements of its own: reconcile is not
 * asked. The installation's roles must have stopped, since the facts' directory belongs to one process.
 */
export async function compareWithJournal(
  dataDir: string,
  databaseUrl: string,
  journal: readonly Acknowledged[],
  received: readonly ReceivedWebhook[],
): Promise<Comparison> {
  const facts = await openClickHouse({ path: join(dataDir, 'clickhouse') })
  const pool = createPool(databaseUrl, { max: 2, applicationName: 'fault run' })
  try {
    const query = async <Row>(text: string): Promise<readonly Row[]> =>
      (await facts.query({ query: text, format: 'JSONEachRow' })).json<Row>()
    return {
      ...compareClicks(journal, await query<CountedRow>(CLICKS)),
      ...compareEvents(journal, await query<CountedRow>(EVENTS)),
      ...(await compareConversions(journal, pool, await query<SignedRow>(CONVERSION_FACTS))),
      ...(await compareLedger(pool)),
      ...(await compareDeliveries(pool, received)),
      ...(await compareCaps(dataDir, pool, query)),
    }
  } finally {
    await facts.close()
    await pool.end()
  }
}

type CountedRow = { readonly key: string; readonly times: string | number }
type SignedRow = { readonly key: string; readonly times: string | number; readonly payout: string | number }

const CLICKS = `SELECT toString(click_id) AS key, count() AS times FROM clicks GROUP BY key`

const EVENTS = `SELECT concat(toString(click_id), '|', type, '|', txid) AS key, count() AS times
  FROM events WHERE refusal = '' GROUP BY key`

const CONVERSION_FACTS = `SELECT toString(conversion_id) AS key, sum(sign) AS times, sum(payout_micros * sign) AS payout
  FROM conversions GROUP BY key`

function compareCounts(promised: readonly string[], held: readonly CountedRow[]): { lost: number; twice: number } {
  const timesByKey = new Map(held.map((row) => [row.key, Number(row.times)]))
  return {
    lost: promised.filter((key) => !timesByKey.has(key)).length,
    twice: [...timesByKey.values()].filter((times) => times > 1).length,
  }
}

function compareClicks(journal: readonly Acknowledged[], held: readonly CountedRow[]) {
  const promised = journal.filter((line) => line.kind === 'click').map((line) => line.clickId)
  const { lost, twice } = compareCounts(promised, held)
  return { clicks_acknowledged: promised.length, clicks_lost: lost, clicks_counted_twice: twice }
}

function compareEvents(journal: readonly Acknowledged[], held: readonly CountedRow[]) {
  const promised = journal
    .filter((line) => line.kind === 'event')
    .map((line) => `${line.clickId}|${line.type}|${line.txid}`)
  const { lost, twice } = compareCounts(promised, held)
  return { events_acknowledged: promised.length, events_lost: lost, events_counted_twice: twice }
}

type ConversionRow = { readonly conversion_id: string; readonly key: string; readonly payout_micros: bigint }

const CONVERSIONS = `SELECT conversion_id, click_id || '|' || type || '|' || txid AS key, payout_micros FROM conversions`

async function compareConversions(journal: readonly Acknowledged[], pool: Pool, facts: readonly SignedRow[]) {
  const promised = new Set(journal.filter((line) => line.kind !== 'click').map(conversionKey))
  const { rows } = await pool.query<ConversionRow>(CONVERSIONS)
  const held = new Set(rows.map((row) => row.key))
  const factsById = new Map(facts.map((row) => [row.key, row]))
  const miscounted = rows.filter((row) => {
    const fact = factsById.get(row.conversion_id)
    return Number(fact?.times ?? 0) !== 1 || BigInt(fact!.payout) !== row.payout_micros
  })
  return {
    conversions_expected: promised.size,
    conversions_lost: [...promised].filter((key) => !held.has(key)).length,
    conversions_miscounted:
      miscounted.length + facts.filter((row) => !rows.some((one) => one.conversion_id === row.key)).length,
  }
}

function conversionKey(line: Acknowledged): string {
  if (line.kind === 'click') throw new Error('a click is no conversion')
  const type = line.kind === 'event' && line.type === 'reg' ? 'lead' : 'sale'
  return `${line.clickId}|${type}|${line.txid}`
}

/** Debit is positive: what an affiliate is owed and what platform and advertiser hold sum up to the conversions' prices. */
const LEDGER = `
  SELECT coalesce(sum(amount_micros) FILTER (WHERE owner = 'affiliate'), 0)::bigint AS affiliate,
         coalesce(sum(amount_micros) FILTER (WHERE owner = 'platform' AND kind = 'revenue'), 0)::bigint AS revenue,
         (SELECT coalesce(sum(payout_micros), 0)::bigint FROM conversions WHERE status <> 'rejected') AS payout_expected,
         (SELECT coalesce(sum(revenue_micros), 0)::bigint FROM conversions WHERE status <> 'rejected') AS revenue_expected
    FROM ledger_entries JOIN ledger_accounts USING (account_id)`

async function compareLedger(pool: Pool): Promise<{ ledger_difference_micros: number }> {
  const { rows } =
    await pool.query<Record<'affiliate' | 'revenue' | 'payout_expected' | 'revenue_expected', bigint>>(LEDGER)
  const { affiliate, revenue, payout_expected, revenue_expected } = rows[0]!
  const difference = (a: bigint, b: bigint): number => Math.abs(Math.abs(Number(a)) - Number(b))
  return { ledger_difference_micros: difference(affiliate, payout_expected) + difference(revenue, revenue_expected) }
}

/** The first state of every conversion is a lead or sale that the endpoint of the fault run wants to hear of. */
const DELIVERIES_EXPECTED = `SELECT conversion_id::text AS conversion_id FROM conversions`

const CONTRADICTIONS = `
  SELECT count(*)::int AS contradictions FROM (
    SELECT delivery_id FROM delivery_ends GROUP BY delivery_id HAVING count(*) > 1
    UNION
    SELECT delivery_id FROM delivery_attempts WHERE NOT is_fenced GROUP BY delivery_id, attempt_no HAVING count(*) > 1
    UNION
    SELECT delivery_id FROM (
      SELECT delivery_id FROM delivery_ready
      UNION ALL SELECT delivery_id FROM delivery_deferred UNION ALL SELECT delivery_id FROM delivery_held
      UNION ALL SELECT delivery_id FROM delivery_ends
    ) places GROUP BY delivery_id HAVING count(*) > 1
    UNION
    SELECT delivery_id FROM deliveries WHERE delivery_id NOT IN (
      SELECT delivery_id FROM delivery_ready
      UNION ALL SELECT delivery_id FROM delivery_deferred UNION ALL SELECT delivery_id FROM delivery_held
      UNION ALL SELECT delivery_id FROM delivery_ends)
    UNION
    SELECT delivery_id FROM delivery_ends f WHERE state = 'delivered' AND NOT EXISTS (
      SELECT FROM delivery_attempts a WHERE a.delivery_id = f.delivery_id AND a.outcome = 'delivered' AND NOT a.is_fenced)
  ) contradictory`

async function compareDeliveries(pool: Pool, received: readonly ReceivedWebhook[]) {
  const { rows: expected } = await pool.query<{ conversion_id: string }>(DELIVERIES_EXPECTED)
  const { rows } = await pool.query<{ contradictions: number }>(CONTRADICTIONS)
  const known = new Set(expected.map(({ conversion_id }) => conversion_id))
  const arrived = new Map<string, number>()
  for (const message of received) {
    const conversionId = conversionOf(message)
    arrived.set(conversionId, (arrived.get(conversionId) ?? 0) + 1)
  }
  return {
    deliveries_expected: expected.length,
    deliveries_missing: expected.filter(({ conversion_id }) => !arrived.has(conversion_id)).length,
    deliveries_of_nothing: [...arrived.keys()].filter((id) => !known.has(id)).length,
    deliveries_unsigned: received.filter(({ isSignatureRight }) => !isSignatureRight).length,
    deliveries_contradictory: rows[0]!.contradictions,
    deliveries_repeated: received.length - arrived.size,
  }
}

function conversionOf(message: ReceivedWebhook): string {
  const body = JSON.parse(message.body) as { readonly data: { readonly conversion_id: string } }
  return body.data.conversion_id
}
