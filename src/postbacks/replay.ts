import { randomUUID } from 'node:crypto'
import { newClickId } from '#platform/ids'
import { inTransaction, type Pool, type Tx } from '#platform/postgres'
import type { ClickRecord } from '#records'
import type { PostbackEndpoint, Snapshot } from '#routing'
import { compileEndpoint, compileEndpoints } from './compile-endpoints.ts'
import type { DeliveryCause } from './delivery-causes.ts'
import { storeDeliveries } from './enqueue-deliveries.ts'
import { NOTIFY_WORKERS } from './notices.ts'
import { maskHeaders } from './headers.ts'
import { fillMessage, macroFactsOf } from './prepare-deliveries.ts'
import type { WhyNotReason } from './reasons.ts'

/** The message is the original one, byte for byte, under the same event id: a receiver that has it already can tell. */
const REPLAY = `
  WITH original AS (
    SELECT * FROM deliveries WHERE delivery_id = $1
  ), key AS (
    INSERT INTO delivery_keys (endpoint_id, event_id, replay_no, delivery_id, created_at)
    SELECT o.endpoint_id, o.event_id, 1 + max(k.replay_no), nextval('delivery_ids'), date_trunc('milliseconds', now())
    FROM original AS o JOIN delivery_keys AS k USING (endpoint_id, event_id) GROUP BY o.endpoint_id, o.event_id
    ON CONFLICT DO NOTHING
    RETURNING delivery_id, created_at, replay_no
  ), stored AS (
    INSERT INTO deliveries (delivery_id, created_at, endpoint_id, event_id, replay_no, kind, cause, advertiser_id, affiliate_id,
      campaign_id, offer_id, click_id, conversion_id, conversion_revision, config_version, method, url, content_type, body, headers)
    SELECT k.delivery_id, k.created_at, endpoint_id, event_id, k.replay_no, 'replay', cause, advertiser_id, affiliate_id,
      campaign_id, offer_id, click_id, conversion_id, conversion_revision, config_version, method, url, content_type, body, headers
    FROM original CROSS JOIN key AS k
  ), queued AS (
    INSERT INTO delivery_ready (delivery_id, created_at, endpoint_id, run_at, attempts)
    SELECT k.delivery_id, k.created_at, o.endpoint_id, clock_timestamp(), 0 FROM original AS o CROSS JOIN key AS k
  )
  SELECT (SELECT count(*) FROM original) AS originals, (SELECT delivery_id FROM key) AS delivery_id`

export type Replay = { readonly kind: 'replayed'; readonly deliveryId: bigint } | { readonly kind: 'not_found' }

/** Two replays at the same moment want the same number: one of them counts again. */
const REPLAY_TRIES_MAX = 5

/** Sends a delivery once more, whatever became of it: a new delivery with the next replay number.
 * @throws {Error} when others replay the same delivery without pause
 */
export async function replayDelivery(pool: Pool, deliveryId: bigint): Promise<Replay> {
  for (let tries = 0; tries < REPLAY_TRIES_MAX; tries++) {
    const row = await inTransaction(pool, (tx) => tryToReplay(tx, deliveryId))
    if (row.originals === 0n) return { kind: 'not_found' }
    if (row.delivery_id !== null) return { kind: 'replayed', deliveryId: row.delivery_id }
  }
  throw new Error(`Delivery ${deliveryId} is being replayed by too many at once.`)
}

async function tryToReplay(tx: Tx, deliveryId: bigint) {
  const { rows } = await tx.query<{ originals: bigint; delivery_id: bigint | null }>(REPLAY, [deliveryId])
  if (rows[0]!.delivery_id !== null) await tx.query(NOTIFY_WORKERS)
  return rows[0]!
}

export type TestSend =
  | {
      readonly kind: 'enqueued'
      readonly deliveryId: bigint
      readonly method: 'GET' | 'POST'
      readonly url: string
      /** What may be a secret is masked. */
      readonly headers: Readonly<Record<string, string>>
      readonly body: string | undefined
    }
  | { readonly kind: 'refused'; readonly reason: WhyNotReason | 'endpoint_unknown' }

/** Queues a made-up sale for one endpoint, so that its owner sees the filled request and the receiver's answer. It has an event
 * id of its own, belongs to no conversion and books nothing.
 */
export async function sendTest(pool: Pool, endpointId: string, snapshot: Snapshot, nowMs: number): Promise<TestSend> {
  const endpoint = snapshot.endpoints.find((item) => item.endpoint_id === endpointId)
  if (endpoint === undefined) return { kind: 'refused', reason: 'endpoint_unknown' }
  if (endpoint.status === 'paused') return { kind: 'refused', reason: 'endpoint_paused' }
  const cause = madeUpSale(endpoint, nowMs)
  const eventId = randomUUID()
  const facts = macroFactsOf(cause, eventId, compileEndpoints(snapshot))
  const message = fillMessage(compileEndpoint(endpoint), facts)
  if ('reason' in message) return { kind: 'refused', reason: message.reason }
  const { advertiser_id, affiliate_id, campaign_id, offer_id } = endpoint.scope
  const delivery = {
    ...message,
    endpointId,
    eventId,
    cause: 'test',
    clickId: cause.click.click_id,
    conversionId: undefined,
    conversionRevision: undefined,
    advertiserId: advertiser_id ?? offerOf(snapshot, offer_id)?.advertiser_id,
    affiliateId: affiliate_id,
    campaignId: campaign_id,
    offerId: offer_id,
    configVersion: snapshot.version,
    at: nowMs,
  }
  const [deliveryId] = await inTransaction(pool, (tx) => storeDeliveries(tx, [delivery], 'test'))
  const { method, url, headers = {}, body } = message
  return { kind: 'enqueued', deliveryId: deliveryId!, method, url, headers: maskHeaders(headers), body }
}

const offerOf = (snapshot: Snapshot, offerId: string | undefined) =>
  snapshot.offers.find((offer) => offer.offer_id === offerId)

/** A sale with a value for everything that a template may ask for. */
export function madeUpSale({ scope }: Pick<PostbackEndpoint, 'scope'>, nowMs: number): DeliveryCause {
  const belonging = {
    advertiser_id: scope.advertiser_id ?? 'test-advertiser',
    affiliate_id: scope.affiliate_id ?? 'test-affiliate',
    campaign_id: scope.campaign_id ?? 'test-campaign',
    offer_id: scope.offer_id ?? 'test-offer',
  }
  const click: ClickRecord = {
    ...belonging,
    ...Object.fromEntries(Array.from({ length: 30 }, (_, index) => [`sub${index + 1}`, `test${index + 1}`])),
    kind: 'click',
    click_id: newClickId(nowMs),
    at: nowMs,
    class: 'click',
    outcome: 'redirected',
    external_click_id: 'test-external-id',
    source_id: scope.source_id ?? 'test-source',
    country: 'US',
    ip: '192.0.2.1',
    user_agent: 'Mozilla/5.0 (test)',
    config_version: 0,
    trace: '',
  }
  return {
    trigger: 'sale',
    click,
    at: nowMs,
    conversion: {
      conversionId: randomUUID(),
      advertiserId: belonging.advertiser_id,
      affiliateId: belonging.affiliate_id,
      campaignId: belonging.campaign_id,
      offerId: belonging.offer_id,
      clickId: click.click_id,
      type: 'sale',
      goal: 'sale',
      txid: 'test',
      status: 'approved',
      rawStatus: 'test',
      payoutMicros: 1_000_000n,
      revenueMicros: 2_000_000n,
      saleAmountMicros: 10_000_000n,
      currency: 'USD',
      revision: 1,
      createdAt: new Date(nowMs),
    },
  }
}
