/** Money by currency, advertiser and affiliate: the facts against the conversions and against the ledger, to the micro. */
import type { FactsClient } from '#platform/clickhouse'
import type { Tx } from '#platform/postgres'
import type { RetiredBooks } from '#retention'

import { compare, EXAMPLES_MAX, type Check } from './check.ts'

const amounts = ['revenue', 'revenue_pending', 'payout'] as const
type Amount = (typeof amounts)[number]

/** What is between an advertiser and an affiliate (empty: none) in a currency. Micros as decimal text; `payout` is of conversions that
 * are approved or pending, because a hold has both.
 */
export type PartnerMoney = Readonly<Record<Amount, string>> & {
  readonly currency: string
  readonly advertiser_id: string
  readonly affiliate_id: string
}

/** PostgreSQL at one moment, both by revisions that are in the facts. */
export type BookedMoney = {
  readonly byConversions: readonly PartnerMoney[]
  readonly byLedger: readonly PartnerMoney[]
}

const BY_CONVERSIONS = `
  SELECT c.currency, c.advertiser_id, coalesce(c.affiliate_id, '') AS affiliate_id,
    coalesce(sum(last.revenue_micros) FILTER (WHERE last.status = 'approved'), 0)::text AS revenue,
    coalesce(sum(last.revenue_micros) FILTER (WHERE last.status = 'pending'), 0)::text AS revenue_pending,
    coalesce(sum(last.payout_micros) FILTER (WHERE last.status <> 'rejected'), 0)::text AS payout
  FROM (
    SELECT DISTINCT ON (conversion_id) conversion_id, status, payout_micros, revenue_micros
    FROM conversion_revisions WHERE seq < $1 ORDER BY conversion_id, revision DESC
  ) AS last JOIN conversions c USING (conversion_id)
  GROUP BY 1, 2, 3`

/** A revision is booked under the key conversion:<id>:<revision>. Entries of advertisers name no affiliate: that of the conversion. */
const BY_LEDGER = `
  SELECT e.currency, t.advertiser_id, coalesce(c.affiliate_id, '') AS affiliate_id,
    coalesce(sum(e.amount_micros) FILTER (WHERE a.owner = 'advertiser' AND a.kind = 'spend'), 0)::text AS revenue,
    coalesce(sum(e.amount_micros) FILTER (WHERE a.owner = 'advertiser' AND a.kind = 'hold'), 0)::text AS revenue_pending,
    coalesce(-sum(e.amount_micros) FILTER (WHERE a.owner = 'affiliate'), 0)::text AS payout
  FROM ledger_transactions t
  JOIN conversions c USING (conversion_id)
  JOIN conversion_revisions r ON r.conversion_id = t.conversion_id AND t.booking_key = 'conversion:' || r.conversion_id || ':' || r.revision
  JOIN ledger_entries e USING (transaction_id)
  JOIN ledger_accounts a USING (account_id)
  WHERE r.seq < $1
  GROUP BY 1, 2, 3`

/** @param factsSeq revisions below are in the facts */
export const readBookedMoney = async (tx: Tx, factsSeq: number): Promise<BookedMoney> => ({
  byConversions: (await tx.query<PartnerMoney>(BY_CONVERSIONS, [factsSeq])).rows,
  byLedger: (await tx.query<PartnerMoney>(BY_LEDGER, [factsSeq])).rows,
})

/** Revisions that were retired are in what is kept of them. */
const inFacts = ({ raw, kept }: Pick<RetiredBooks, 'raw' | 'kept'>): string => `
  SELECT currency, advertiser_id, affiliate_id,
    toString(sumIf(revenue_micros * sign, status = 'approved')) AS revenue,
    toString(sumIf(revenue_micros * sign, status = 'pending')) AS revenue_pending,
    toString(sumIf(payout_micros * sign, status != 'rejected')) AS payout
  FROM (
    SELECT currency, advertiser_id, affiliate_id, status, revenue_micros, payout_micros, toInt64(sign) AS sign FROM ${raw('conversions')} WHERE seq < {seq:UInt64}
    UNION ALL SELECT currency, advertiser_id, affiliate_id, status, revenue_micros, payout_micros, sign FROM ${kept('conversions')}
  ) GROUP BY currency, advertiser_id, affiliate_id`

/** Totals of each currency, and for differences that cancel each other out how many partners differ. */
export async function compareMoney(
  facts: FactsClient,
  booked: BookedMoney,
  factsSeq: number,
  retired: RetiredBooks,
): Promise<readonly Check[]> {
  const answer = await facts.query({ query: inFacts(retired), query_params: { seq: factsSeq }, format: 'JSONEachRow' })
  const found = await answer.json<PartnerMoney>()
  const sides = [
    ['conversions', 'the conversions', booked.byConversions],
    ['ledger', 'the ledger', booked.byLedger],
  ] as const
  return sides.flatMap(([name, words, expected]) => {
    const differing = findDiffering(expected, found)
    return [
      ...compareTotals(`money_as_${name}`, words, expected, found, differing),
      compare(
        `partners_as_${name}`,
        `advertisers and affiliates whose money in the facts is not that in ${words}`,
        0,
        differing.length,
        differing,
      ),
    ]
  })
}

function compareTotals(
  check: string,
  words: string,
  expected: readonly PartnerMoney[],
  found: readonly PartnerMoney[],
  examples: readonly string[],
): readonly Check[] {
  const currencies = [...new Set([...expected, ...found].map(({ currency }) => currency))].sort()
  const total = (rows: readonly PartnerMoney[], currency: string, amount: Amount): bigint =>
    rows.reduce((sum, row) => (row.currency === currency ? sum + BigInt(row[amount]) : sum), 0n)
  return currencies.flatMap((currency) =>
    amounts.map((amount) =>
      compare(
        check,
        `${amount} in micros of ${currency === '' ? 'no currency' : currency}, in ${words} and in the facts`,
        total(expected, currency, amount),
        total(found, currency, amount),
        examples.slice(0, EXAMPLES_MAX),
      ),
    ),
  )
}

const keyOf = ({ currency, advertiser_id, affiliate_id }: PartnerMoney): string =>
  JSON.stringify([currency, advertiser_id, affiliate_id])

function findDiffering(expected: readonly PartnerMoney[], found: readonly PartnerMoney[]): readonly string[] {
  const expectedOf = new Map(expected.map((row) => [keyOf(row), row]))
  const foundOf = new Map(found.map((row) => [keyOf(row), row]))
  return [...new Set([...expectedOf.keys(), ...foundOf.keys()])].sort().flatMap((key) => {
    const [is, should] = [foundOf.get(key), expectedOf.get(key)]
    const unlike = amounts.filter((amount) => BigInt(is?.[amount] ?? 0) !== BigInt(should?.[amount] ?? 0))
    if (unlike.length === 0) return []
    const { currency, advertiser_id, affiliate_id } = (is ?? should)!
    const place = [advertiser_id, affiliate_id === '' ? 'no affiliate' : affiliate_id, currency].join(', ')
    return [`${place}: ${unlike.map((amount) => `${amount} ${should?.[amount] ?? 0}, found ${is?.[amount] ?? 0}`).join('; ')}`] // prettier-ignore
  })
}
