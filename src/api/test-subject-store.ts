import type { Tx } from '#platform/postgres'
import type { TestSubject } from '#postbacks'

const FIND = `
  SELECT conversion_id AS "conversionId", advertiser_id AS "advertiserId", click_id AS "clickId", type, goal, txid,
    affiliate_id AS "affiliateId", campaign_id AS "campaignId", offer_id AS "offerId", status, raw_status AS "rawStatus",
    payout_micros AS "payoutMicros", revenue_micros AS "revenueMicros", sale_amount_micros AS "saleAmountMicros", currency, revision,
    created_at AS "createdAt", click
  FROM conversions WHERE conversion_id = $1`

/** A conversion with its click, for a test of an endpoint.
 * @param tx of asTenant
 * @returns undefined where there is none of that id, or it is another tenant's
 */
export async function findConversionOfTest(tx: Tx, conversionId: string): Promise<TestSubject | undefined> {
  const { rows } = await tx.query<NonNullable<TestSubject['conversion']> & Pick<TestSubject, 'click'>>(FIND, [
    conversionId,
  ])
  const [row] = rows
  if (row === undefined) return undefined
  const { click, ...conversion } = row
  return { click, conversion }
}
