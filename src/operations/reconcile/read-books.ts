import { listBookedAmounts, type BookedAmount } from '#costs'
import { target, type BookedState } from '#ledger'
import { CONVERSION_FACTS, PIPELINE_CONSUMER } from '#pipeline'
import type { Pool, Tx } from '#platform/postgres'

import { EXAMPLES_MAX } from './check.ts'
import { readBookedMoney, type BookedMoney } from './compare-money.ts'

/** What became of the records of a partition, as counted in the transactions that moved its position. */
export type PartitionCount = {
  readonly partition: string
  readonly position: number
  readonly clicks: bigint
  readonly duplicateClicks: bigint
  readonly events: bigint
  readonly duplicateEvents: bigint
  readonly postbacks: bigint
  readonly undecodable: bigint
  readonly damaged: bigint
}

/** Conversions in one status; sums of micros over all currencies, which only a comparison may do. */
export type StatusTotal = {
  readonly status: string
  readonly count: string
  readonly payout: string
  readonly revenue: string
  readonly sales: string
}

/** What was found wrong, and ids of some. */
export type Wrong = { readonly count: number; readonly examples: readonly string[] }

/** PostgreSQL at one moment. */
export type Books = {
  readonly partitions: readonly PartitionCount[]
  /** Revisions below are in the facts. */
  readonly factsSeq: number
  /** By the last revision below factsSeq. */
  readonly totals: readonly StatusTotal[]
  readonly inboundPostbacks: bigint
  readonly conversions: bigint
  readonly conversionsUnlikeLastRevision: Wrong
  readonly conversionsUnlikeLedger: Wrong
  readonly transactionsOutOfBalance: Wrong
  readonly revisions: bigint
  readonly revisionsExpected: bigint
  readonly money: BookedMoney
  readonly costs: readonly BookedAmount[]
}

const PARTITIONS = `
  SELECT p.log_partition AS partition, p.position, coalesce(c.clicks, 0) AS clicks,
    coalesce(c.duplicate_clicks, 0) AS duplicate_clicks, coalesce(c.events, 0) AS events,
    coalesce(c.duplicate_events, 0) AS duplicate_events, coalesce(c.postbacks, 0) AS postbacks,
    coalesce(c.undecodable, 0) AS undecodable, coalesce(c.damaged, 0) AS damaged
  FROM consumer_positions p LEFT JOIN pipeline_counters c USING (log_partition)
  WHERE p.consumer = '${PIPELINE_CONSUMER}' ORDER BY 1`
const FACTS_SEQ = `SELECT position FROM consumer_positions WHERE consumer = '${CONVERSION_FACTS.consumer}'`
const TOTALS = `
  SELECT status, count(*)::text AS count, sum(payout_micros)::text AS payout, sum(revenue_micros)::text AS revenue,
    sum(sale_amount_micros)::text AS sales
  FROM (
    SELECT DISTINCT ON (conversion_id) status, payout_micros, revenue_micros, sale_amount_micros
    FROM conversion_revisions WHERE seq < $1 ORDER BY conversion_id, revision DESC
  ) AS last GROUP BY status ORDER BY status`
const COUNTS = `
  SELECT (SELECT count(*) FROM inbound_postbacks) AS inbound, (SELECT count(*) FROM conversions) AS conversions,
    (SELECT count(*) FROM conversion_revisions) AS revisions,
    (SELECT coalesce(sum(revision), 0) FROM conversions)::bigint AS revisions_expected`
const UNLIKE_LAST_REVISION = `
  SELECT c.conversion_id::text AS id FROM conversions c
  LEFT JOIN conversion_revisions r ON r.conversion_id = c.conversion_id AND r.revision = c.revision
  WHERE (r.status, r.payout_micros, r.revenue_micros, r.sale_amount_micros, r.is_hold_released)
    IS DISTINCT FROM (c.status, c.payout_micros, c.revenue_micros, c.sale_amount_micros, c.is_hold_released)`
const OUT_OF_BALANCE = `
  SELECT transaction_id::text AS id FROM ledger_entries GROUP BY transaction_id, currency HAVING sum(amount_micros) <> 0`
const CONVERSIONS_PER_PAGE = 5_000
const LEDGER_PAGE = `
  WITH page AS (
    SELECT conversion_id, status, is_hold_released, payout_micros, revenue_micros
    FROM conversions WHERE conversion_id > $1 ORDER BY conversion_id LIMIT ${CONVERSIONS_PER_PAGE}
  ), balances AS (
    SELECT t.conversion_id, a.owner || '/' || a.kind AS account, sum(e.amount_micros)::text AS balance
    FROM page JOIN ledger_transactions t USING (conversion_id) JOIN ledger_entries e USING (transaction_id)
    JOIN ledger_accounts a USING (account_id)
    GROUP BY t.conversion_id, account HAVING sum(e.amount_micros) <> 0
  )
  SELECT page.*, (SELECT json_object_agg(account, balance) FROM balances b WHERE b.conversion_id = page.conversion_id) AS balances
  FROM page ORDER BY conversion_id`

/** Reads all of it from one snapshot of the database: what changes meanwhile changes nothing here. */
export async function readBooks(pool: Pool): Promise<Books> {
  const tx = await pool.connect()
  try {
    await tx.query(`BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY; SET LOCAL statement_timeout = '10min'`)
    const books = await readFrom(tx)
    await tx.query('COMMIT')
    tx.release()
    return books
  } catch (error) {
    tx.release(true)
    throw error
  }
}

async function readFrom(tx: Tx): Promise<Books> {
  const [seq] = (await tx.query<{ position: bigint }>(FACTS_SEQ)).rows
  const factsSeq = Number(seq?.position ?? 0n)
  const [counts] = (
    await tx.query<{ inbound: bigint; conversions: bigint; revisions: bigint; revisions_expected: bigint }>(COUNTS)
  ).rows
  return {
    partitions: await readPartitions(tx),
    factsSeq,
    totals: (await tx.query<StatusTotal>(TOTALS, [factsSeq])).rows,
    inboundPostbacks: counts!.inbound,
    conversions: counts!.conversions,
    revisions: counts!.revisions,
    revisionsExpected: counts!.revisions_expected,
    conversionsUnlikeLastRevision: await findWrong(tx, UNLIKE_LAST_REVISION),
    money: await readBookedMoney(tx, factsSeq),
    costs: await listBookedAmounts(tx),
    transactionsOutOfBalance: await findWrong(tx, OUT_OF_BALANCE),
    conversionsUnlikeLedger: await compareWithLedger(tx),
  }
}

type PartitionRow = {
  partition: string
  position: bigint
  clicks: bigint
  duplicate_clicks: bigint
  events: bigint
  duplicate_events: bigint
  postbacks: bigint
  undecodable: bigint
  damaged: bigint
}

const readPartitions = async (tx: Tx): Promise<readonly PartitionCount[]> =>
  (await tx.query<PartitionRow>(PARTITIONS)).rows.map((row) => ({
    partition: row.partition,
    position: Number(row.position),
    clicks: row.clicks,
    duplicateClicks: row.duplicate_clicks,
    events: row.events,
    duplicateEvents: row.duplicate_events,
    postbacks: row.postbacks,
    undecodable: row.undecodable,
    damaged: row.damaged,
  }))

async function findWrong(tx: Tx, statement: string): Promise<Wrong> {
  const { rows } = await tx.query<{ count: bigint; examples: string[] | null }>(
    `SELECT count(*) AS count, (array_agg(id))[1:${EXAMPLES_MAX}] AS examples FROM (${statement}) AS wrong`,
  )
  return { count: Number(rows[0]!.count), examples: rows[0]!.examples ?? [] }
}

type LedgerRow = {
  conversion_id: string
  status: BookedState['status']
  is_hold_released: boolean
  payout_micros: bigint
  revenue_micros: bigint
  balances: Record<string, string> | null
}

const NIL_UUID = '00000000-0000-0000-0000-000000000000'

/** Every conversion's balances against what its state says they must be. */
async function compareWithLedger(tx: Tx): Promise<Wrong> {
  const wrong: string[] = []
  for (let after: string | undefined = NIL_UUID; after !== undefined;) {
    const page: LedgerRow[] = (await tx.query<LedgerRow>(LEDGER_PAGE, [after])).rows
    for (const row of page) if (!isBooked(row)) wrong.push(row.conversion_id)
    after = page.length < CONVERSIONS_PER_PAGE ? undefined : page.at(-1)!.conversion_id
  }
  return { count: wrong.length, examples: wrong.slice(0, EXAMPLES_MAX) }
}

function isBooked({ status, is_hold_released, payout_micros, revenue_micros, balances }: LedgerRow): boolean {
  const expected = target({
    status,
    isHoldReleased: is_hold_released,
    payoutMicros: payout_micros,
    revenueMicros: revenue_micros,
  })
  const found = balances ?? {}
  return (
    Object.keys(found).length === expected.length &&
    expected.every(({ account, amountMicros }) => found[account] === String(amountMicros))
  )
}
