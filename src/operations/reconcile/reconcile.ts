/** Proves that acknowledged = log = facts = conversions = ledger = what partners were told = what caps have counted of conversions, to the
 * record and the micro.
 *
 * It may run while traffic comes in. PostgreSQL is read from one snapshot; the facts hold everything below the positions of
 * that snapshot, because a position moves after its facts are in; so both are compared up to there, and so is the log.
 */
import { setTimeout as delay } from 'node:timers/promises'

import { openCapBooks } from '#caps'
import type { EventLog, Partition } from '#log'
import { isDrained, readSavedCapPlace } from '#pipeline'
import type { FactsClient } from '#platform/clickhouse'
import { systemClock, type Clock } from '#platform/clock'
import type { Pool } from '#platform/postgres'
import { deliveryChecks, reconcileDeliveries, type DeliveryCheck } from '#postbacks'
import { readRetiredBooks, type RetiredBooks } from '#retention'

import { compareAcknowledged, type Acknowledged } from './compare-acknowledged.ts'
import { compare, type Check } from './check.ts'
import { compareCaps } from './compare-caps.ts'
import { compareCosts } from './compare-costs.ts'
import { compareLog } from './compare-log.ts'
import { compareMoney } from './compare-money.ts'
import { readBooks, type Books, type StatusTotal, type Wrong } from './read-books.ts'

export type ReconcileOptions = {
  readonly log: EventLog
  readonly pool: Pool
  readonly facts: FactsClient
  /** How long the pipeline may take to reach what was in the log at the start. */
  readonly waitMsMax: number
  /** Left out: the system's. */
  readonly clock?: Clock
  /** Left out: caps are not compared. */
  readonly caps?: CapsToCompare
  /** What clients were promised, where somebody kept it. */
  readonly acknowledged?: readonly Acknowledged[]
}

/** The counts of caps on this machine. */
export type CapsToCompare = {
  readonly directory: string
  /** Which run of the operating system; left out: as the system says. */
  readonly bootId?: string
  /** Of a pipeline of this process: revisions below are counted; undefined while not all is counted that a power cut took. Left out: the
   * place that was saved with the last copy.
   */
  readonly place?: () => number | undefined
}

/** `behind`: the pipeline did not reach the end of the log in time; what it did reach was compared all the same. */
export type Reconciliation = {
  readonly verdict: 'balanced' | 'different' | 'behind'
  readonly checks: readonly Check[]
}

const POLL_MS = 50

/** Makes every comparison. Reads all of the log, the facts and the books: seconds for a million records. */
export async function reconcile(options: ReconcileOptions): Promise<Reconciliation> {
  const { log, pool, facts, waitMsMax } = options
  const isCaughtUp = await waitUntilDrained(log, pool, waitMsMax)
  const books = await readBooks(pool)
  const checks: Check[] = []
  const retired = await readRetiredBooks(pool)
  for (const partition of books.partitions) checks.push(...(await compareLog(log, facts, partition, retired)))
  checks.push(
    ...(await compareKept(facts, retired)),
    ...compareBooks(books),
    ...(await compareConversions(facts, books, retired)),
    ...(await compareMoney(facts, books.money, books.factsSeq, retired)),
    ...(await compareCosts(facts, books.costs)),
    ...(await checkDeliveries(pool)),
  )
  const caps = options.caps && (await reconcileCaps(pool, options.caps, options.clock ?? systemClock))
  checks.push(...(caps?.checks ?? []))
  if (options.acknowledged !== undefined) checks.push(...(await compareAcknowledged(options.acknowledged, facts, pool)))
  const isDifferent = checks.some(({ isBalanced }) => !isBalanced)
  const isAll = isCaughtUp && caps?.isWhole !== false
  return { verdict: isDifferent ? 'different' : isAll ? 'balanced' : 'behind', checks }
}

type CapsCompared = { readonly checks: readonly Check[]; readonly isWhole: boolean }

/** Counts that lack what a power cut took agree with nothing yet. */
async function reconcileCaps(
  pool: Pool,
  { place: ownPlace, ...where }: CapsToCompare,
  clock: Clock,
): Promise<CapsCompared> {
  // The place first: what is below is in the books, which are opened after.
  const place = ownPlace === undefined ? await readSavedCapPlace(pool) : ownPlace()
  const books = openCapBooks(where)
  if (books === undefined) return { checks: [], isWhole: true }
  try {
    if (place === undefined || books.gap !== undefined) return { checks: [], isWhole: false }
    return { checks: await compareCaps(pool, books, { place, nowMs: clock.now() }), isWhole: true }
  } finally {
    books.close()
  }
}

async function waitUntilDrained(log: EventLog, pool: Pool, waitMsMax: number): Promise<boolean> {
  const bounds = new Map<Partition, number>()
  for (const partition of await log.partitions()) bounds.set(partition, (await log.bounds(partition)).nextOffset)
  for (let waitedMs = 0; ; waitedMs += POLL_MS) {
    if (await isDrained(pool, bounds)) return true
    if (waitedMs >= waitMsMax) return false
    await delay(POLL_MS)
  }
}

/** What PostgreSQL must say about itself. */
function compareBooks(books: Books): readonly Check[] {
  const none = (check: string, what: string, { count, examples }: Wrong): Check =>
    compare(check, what, 0, count, examples)
  const postbacks = books.partitions.reduce((sum, partition) => sum + partition.postbacks, 0n)
  return [
    compare('postbacks_kept', 'inbound postbacks counted and kept', postbacks, books.inboundPostbacks),
    compare('revisions_complete', 'revisions that conversions count and that are kept', books.revisionsExpected, books.revisions),
    none('conversion_as_last_revision', 'conversions that are not as their last revision says', books.conversionsUnlikeLastRevision),
    none('ledger_transactions_balance', 'ledger transactions that do not sum to zero', books.transactionsOutOfBalance),
    none('ledger_as_conversions', 'conversions whose balances are not those of their state', books.conversionsUnlikeLedger),
  ] // prettier-ignore
}

/** Clicks and events that were retired, and for how many of them the rows stand that are kept. Of conversions the money says it. */
async function compareKept(facts: FactsClient, retired: RetiredBooks): Promise<readonly Check[]> {
  const checks: Check[] = []
  for (const table of ['clicks', 'events'] as const) {
    const query = `SELECT toString(sum(sign)) AS rows FROM ${retired.kept(table)}`
    const [found] = await (await facts.query({ query, format: 'JSONEachRow' })).json<{ rows: string }>()
    checks.push(
      compare(`${table}_kept`, `retired ${table} and what is kept of them`, retired.rowsOfTable(table), found!.rows),
    )
  }
  return checks
}

/** Revisions that were retired are in what is kept of them, all below the place of the books. */
const factTotals = ({ raw, kept }: RetiredBooks): string => `
  SELECT status, toString(sum(sign)) AS count, toString(sum(payout_micros * sign)) AS payout,
    toString(sum(revenue_micros * sign)) AS revenue, toString(sum(sale_amount_micros * sign)) AS sales
  FROM (
    SELECT status, toInt64(sign) AS sign, payout_micros, revenue_micros, sale_amount_micros FROM ${raw('conversions')} WHERE seq < {seq:UInt64}
    UNION ALL SELECT status, sign, payout_micros, revenue_micros, sale_amount_micros FROM ${kept('conversions')}
  ) GROUP BY status`
const FACT_ROWS = `SELECT toString(count()) AS rows, toString(uniqExact(seq, sign)) AS different FROM conversions WHERE seq < {seq:UInt64}`
const ODD_CONVERSIONS = `
  SELECT toString(conversion_id) AS id FROM conversions WHERE seq < {seq:UInt64} GROUP BY conversion_id HAVING sum(sign) <> 1 LIMIT 5`

async function compareConversions(
  facts: FactsClient,
  { totals, factsSeq }: Books,
  retired: RetiredBooks,
): Promise<readonly Check[]> {
  const ask = async <Row>(query: string): Promise<readonly Row[]> =>
    (await facts.query({ query, query_params: { seq: factsSeq }, format: 'JSONEachRow' })).json<Row>()
  const inFacts = new Map((await ask<StatusTotal>(factTotals(retired))).map((total) => [total.status, total]))
  const inBooks = new Map(totals.map((total) => [total.status, total]))
  const odd = (await ask<{ id: string }>(ODD_CONVERSIONS)).map(({ id }) => `conversion ${id}`)
  const [rows] = await ask<{ rows: string; different: string }>(FACT_ROWS)
  const amounts = ['count', 'payout', 'revenue', 'sales'] as const
  const checks = [...new Set([...inBooks.keys(), ...inFacts.keys()])]
    .sort()
    .flatMap((status) =>
      amounts.map((amount) =>
        compare(
          `conversions_${amount}`,
          `${status} conversions, ${amount === 'count' ? 'how many' : `${amount} in micros`}, in PostgreSQL and in the facts`,
          inBooks.get(status)?.[amount] ?? 0,
          inFacts.get(status)?.[amount] ?? 0,
          odd,
        ),
      ),
    )
  const what = 'rows of revisions in the facts and different among them'
  return [...checks, compare('conversions_once_in_facts', what, rows!.different, rows!.rows)]
}

async function checkDeliveries(pool: Pool): Promise<readonly Check[]> {
  const findings = new Map((await reconcileDeliveries(pool)).map((finding) => [finding.check, finding]))
  return (Object.keys(deliveryChecks) as DeliveryCheck[]).map((check) => {
    const finding = findings.get(check)
    return compare(check, deliveryChecks[check], 0, finding?.count ?? 0, finding?.examples ?? [])
  })
}
