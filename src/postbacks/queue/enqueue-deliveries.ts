import { inTransaction, type Pool, type Tx } from '#platform/postgres'
import type { Snapshot } from '#routing'
import type { DeliveryCause } from '../messages/delivery-causes.ts'
import { noticeOf, NOTIFY_OWNERS } from './notices.ts'
import { prepareDeliveries, type Prepared, type PreparedDelivery, type WhyNot } from '../messages/prepare-deliveries.ts'
import { sealHeaders } from '../messages/stored-headers.ts'

export type DeliveryKind = 'auto' | 'replay' | 'test'

/** Takes the key first: only rows whose key is new become deliveries, so a repeat changes nothing. The rows come sorted by key,
 * so that two transactions that insert the same keys wait for each other instead of deadlocking. Numbered they are in the order in
 * which they were made, which is the order of the messages of a click.
 */
const ENQUEUE = `
  WITH given AS (
    SELECT * FROM unnest(
      $1::text[], $2::uuid[], $3::text[], $4::text[], $5::text[], $6::text[], $7::text[], $8::uuid[], $9::uuid[],
      $10::int[], $11::int[], $12::text[], $13::text[], $14::text[], $15::text[], $17::jsonb[], $18::int[]
    ) WITH ORDINALITY AS g(endpoint_id, event_id, cause, advertiser_id, affiliate_id, campaign_id, offer_id, click_id, conversion_id,
      conversion_revision, config_version, method, url, content_type, body, headers, made_no, key_no)
  ), numbered AS MATERIALIZED (
    SELECT endpoint_id, event_id, click_id, key_no, nextval('delivery_ids') AS delivery_id
    FROM (SELECT * FROM given ORDER BY made_no) AS g
  ), fresh AS (
    INSERT INTO delivery_keys (endpoint_id, event_id, replay_no, delivery_id, created_at, clicked_on)
    SELECT endpoint_id, event_id, 0, delivery_id, date_trunc('milliseconds', now()), delivery_key_day(click_id)
    FROM numbered ORDER BY key_no
    ON CONFLICT DO NOTHING
    RETURNING endpoint_id, event_id, delivery_id, created_at
  ), stored AS (
    INSERT INTO deliveries (delivery_id, created_at, endpoint_id, event_id, replay_no, kind, cause, advertiser_id, affiliate_id,
      campaign_id, offer_id, click_id, conversion_id, conversion_revision, config_version, method, url, content_type, body, headers)
    SELECT delivery_id, created_at, endpoint_id, event_id, 0, $16, cause, advertiser_id, affiliate_id,
      campaign_id, offer_id, click_id, conversion_id, conversion_revision, config_version, method, url, content_type, body, headers
    FROM fresh JOIN given USING (endpoint_id, event_id)
  ), queued AS (
    INSERT INTO delivery_ready (delivery_id, created_at, endpoint_id, run_at, attempts)
    SELECT delivery_id, created_at, endpoint_id, clock_timestamp(), 0 FROM fresh ORDER BY delivery_id
  )
  SELECT delivery_id FROM fresh`

const RECORD_WHY_NOT = `
  INSERT INTO delivery_why_not (at, endpoint_id, event_id, cause, reason, detail, advertiser_id, affiliate_id, click_id,
    conversion_id, conversion_revision, config_version)
  SELECT to_timestamp(at_ms / 1000.0), endpoint_id, event_id, cause, reason, detail, advertiser_id, affiliate_id, click_id,
    conversion_id, conversion_revision, config_version
  FROM unnest($1::float8[], $2::text[], $3::uuid[], $4::text[], $5::text[], $6::text[], $7::text[], $8::text[], $9::uuid[],
    $10::uuid[], $11::int[], $12::int[])
    AS w(at_ms, endpoint_id, event_id, cause, reason, detail, advertiser_id, affiliate_id, click_id, conversion_id,
      conversion_revision, config_version)
  ON CONFLICT DO NOTHING`

/** Books what partners are to be told, in the transaction that books the conversions themselves: nothing can be recorded and
 * not queued. Messages are filled now, from this snapshot; a later change of the endpoint does not touch them.
 *
 * Repeating it with the same causes changes nothing. A mistake in an endpoint never fails the transaction: it becomes a row
 * of why_not. Two statements and a NOTIFY, whatever the count.
 * @param tx the transaction of the conversions
 */
export async function enqueueDeliveries(tx: Tx, causes: readonly DeliveryCause[], snapshot: Snapshot): Promise<void> {
  if (causes.length === 0 || snapshot.endpoints.length === 0) return
  await storePrepared(tx, prepareDeliveries(causes, snapshot))
}

/** Queues what was prepared, and records what is not sent. */
export async function storePrepared(tx: Tx, { deliveries, whyNot }: Prepared): Promise<void> {
  await storeDeliveries(tx, deliveries, 'auto')
  if (whyNot.length > 0) await tx.query(RECORD_WHY_NOT, whyNotColumns(whyNot))
}

/** The same outside of the conversions' transaction. A crash between the two commits loses the messages: this exists only for
 * the fault run, which must turn red with it.
 */
export const enqueueDeliveriesUnsafely = (
  pool: Pool,
  causes: readonly DeliveryCause[],
  snapshot: Snapshot,
): Promise<void> => inTransaction(pool, (tx) => enqueueDeliveries(tx, causes, snapshot))

/** @returns ids of the new deliveries; those whose key was taken are left out */
export async function storeDeliveries(
  tx: Tx,
  deliveries: readonly PreparedDelivery[],
  kind: DeliveryKind,
): Promise<readonly bigint[]> {
  if (deliveries.length === 0) return []
  const sorted = deliveries.map((row, madeNo) => ({ ...row, madeNo })).toSorted(compareKeys)
  const { rows } = await tx.query<{ delivery_id: bigint }>(ENQUEUE, [
    ...deliveryColumns(sorted),
    kind,
    sorted.map(({ headers }) => (headers === undefined ? null : sealHeaders(headers))),
    sorted.map(({ madeNo }) => madeNo),
  ])
  if (rows.length > 0) await tx.query(NOTIFY_OWNERS, [noticeOf(deliveries.map((row) => row.endpointId))])
  return rows.map((row) => row.delivery_id)
}

function compareKeys(a: PreparedDelivery, b: PreparedDelivery): number {
  if (a.endpointId !== b.endpointId) return a.endpointId < b.endpointId ? -1 : 1
  return a.eventId < b.eventId ? -1 : 1
}

const deliveryColumns = (rows: readonly PreparedDelivery[]): readonly unknown[] => [
  rows.map((row) => row.endpointId),
  rows.map((row) => row.eventId),
  rows.map((row) => row.cause),
  rows.map((row) => row.advertiserId),
  rows.map((row) => row.affiliateId),
  rows.map((row) => row.campaignId),
  rows.map((row) => row.offerId),
  rows.map((row) => row.clickId),
  rows.map((row) => row.conversionId),
  rows.map((row) => row.conversionRevision),
  rows.map((row) => row.configVersion),
  rows.map((row) => row.method),
  rows.map((row) => row.url),
  rows.map((row) => row.contentType),
  rows.map((row) => row.body),
]

const whyNotColumns = (rows: readonly WhyNot[]): unknown[] => [
  rows.map((row) => row.at),
  rows.map((row) => row.endpointId),
  rows.map((row) => row.eventId),
  rows.map((row) => row.cause),
  rows.map((row) => row.reason),
  rows.map((row) => row.detail),
  rows.map((row) => row.advertiserId),
  rows.map((row) => row.affiliateId),
  rows.map((row) => row.clickId),
  rows.map((row) => row.conversionId),
  rows.map((row) => row.conversionRevision),
  rows.map((row) => row.configVersion),
]
