import { randomUUID } from 'node:crypto'
import { newClickId } from '#platform/ids'
import { inTransaction, type Pool, type Tx } from '#platform/postgres'
import type { ClickRecord } from '#records'
import type { PostbackEndpoint, Snapshot } from '#routing'
import { belongingOf, compileEndpoint, compileEndpoints, type Belonging } from '../messages/compile-endpoints.ts'
import type { CausingConversion, DeliveryCause } from '../messages/delivery-causes.ts'
import { storeDeliveries } from '../queue/enqueue-deliveries.ts'
import { readPaused, subjectPauseOf, type SubjectPause } from '../gate/pauses.ts'
import { noticeOf, NOTIFY_OWNERS } from '../queue/notices.ts'
import { madeUpSale } from '../messages/made-up-sale.ts'
import { fillNotice, type NoticeToTell } from '../messages/prepare-notices.ts'
import { fillMessage, macroFactsOf } from '../messages/prepare-deliveries.ts'
import type { WhyNotReason } from '../reasons.ts'

/** Sends messages once more under the same event id, byte for byte: a receiver that has one already can tell. Two replays of the
 * same event want the same number, and one of them gets it. They are numbered in the order of what they repeat.
 * @param mayReplay condition on `o`, the delivery, and `n.newest`, the number of the event's newest delivery
 */
const replaySql = (mayReplay: string): string => `
  WITH original AS (
    SELECT d.* FROM unnest($1::timestamptz[], $2::bigint[]) AS g(created_at, delivery_id)
    JOIN deliveries AS d ON d.created_at = g.created_at AND d.delivery_id = g.delivery_id
  ), numbered AS MATERIALIZED (
    SELECT endpoint_id, event_id, click_id, newest, nextval('delivery_ids') AS delivery_id FROM (
      SELECT o.endpoint_id, o.event_id, o.click_id, n.newest
      FROM original AS o CROSS JOIN LATERAL (
        SELECT greatest(o.replay_no, newest_replay_no(o.endpoint_id, o.event_id, o.click_id)) AS newest
      ) AS n
      WHERE ${mayReplay}
      ORDER BY o.created_at, o.delivery_id
    ) AS m
  ), key AS (
    INSERT INTO delivery_keys (endpoint_id, event_id, replay_no, delivery_id, created_at, clicked_on)
    SELECT endpoint_id, event_id, 1 + newest, delivery_id, date_trunc('milliseconds', now()), delivery_key_day(click_id)
    FROM numbered
    ORDER BY endpoint_id, event_id
    ON CONFLICT DO NOTHING
    RETURNING delivery_id, created_at, endpoint_id, event_id, replay_no
  ), stored AS (
    INSERT INTO deliveries (delivery_id, created_at, endpoint_id, event_id, replay_no, kind, cause, advertiser_id, affiliate_id,
      campaign_id, offer_id, click_id, conversion_id, conversion_revision, config_version, method, url, content_type, body, headers)
    SELECT k.delivery_id, k.created_at, endpoint_id, event_id, k.replay_no, 'replay', cause, advertiser_id, affiliate_id,
      campaign_id, offer_id, click_id, conversion_id, conversion_revision, config_version, method, url, content_type, body, headers
    FROM original JOIN key AS k USING (endpoint_id, event_id)
  ), queued AS (
    INSERT INTO delivery_ready (delivery_id, created_at, endpoint_id, run_at, attempts)
    SELECT delivery_id, created_at, endpoint_id, clock_timestamp(), 0 FROM key ORDER BY delivery_id
  )
  SELECT delivery_id, endpoint_id FROM key`

/** Whether a delivery of the event `o` waits or is under way. */
const EVENT_WAITS = `
  EXISTS (
    SELECT FROM delivery_keys AS k
    WHERE k.endpoint_id = o.endpoint_id AND k.event_id = o.event_id AND k.clicked_on = delivery_key_day(o.click_id)
      AND k.created_at >= delivery_kept_from('deliveries')
      AND NOT EXISTS (SELECT FROM delivery_ends AS e WHERE e.created_at = k.created_at AND e.delivery_id = k.delivery_id)
  )`

const REPLAY_ONE = replaySql(`NOT ${EVENT_WAITS}`)
/** A delivery that was replayed already is none of those to send: its newest one is. */
const REPLAY_NEWEST = replaySql(`n.newest = o.replay_no AND NOT ${EVENT_WAITS}`)

const FIND = `SELECT created_at, ${EVENT_WAITS} AS waits FROM deliveries AS o WHERE delivery_id = $1`

export type Replay =
  | { readonly kind: 'replayed'; readonly deliveryId: bigint }
  | { readonly kind: 'not_found' }
  /** It has not ended yet, or a replay of it has not: it will be sent anyway. */
  | { readonly kind: 'refused'; readonly reason: 'still_waiting' }

/** Two replays at the same moment want the same number: one of them looks again, and finds the other one waiting. */
const REPLAY_TRIES_MAX = 5

/** Sends a delivery that has ended once more, however it ended: a new delivery with the next replay number.
 * @throws {Error} when others replay the same delivery without pause
 */
export async function replayDelivery(pool: Pool, deliveryId: bigint): Promise<Replay> {
  for (let tries = 0; tries < REPLAY_TRIES_MAX; tries++) {
    const { rows } = await pool.query<{ created_at: Date; waits: boolean }>(FIND, [deliveryId])
    const [found] = rows
    if (found === undefined) return { kind: 'not_found' }
    if (found.waits) return { kind: 'refused', reason: 'still_waiting' }
    const place = { createdAt: found.created_at, deliveryId }
    const [replayed] = await inTransaction(pool, (tx) => replayAll(tx, REPLAY_ONE, [place]))
    if (replayed !== undefined) return { kind: 'replayed', deliveryId: replayed }
  }
  throw new Error(`Delivery ${deliveryId} is being replayed by too many at once.`)
}

/** Where a delivery stands in the history. */
export type DeliveryPlace = { readonly createdAt: Date; readonly deliveryId: bigint }

/** Sends deliveries once more of which no newer replay exists and nothing waits.
 * @returns how many; the others were replayed by somebody else in the meantime
 */
export const replayNewest = async (tx: Tx, places: readonly DeliveryPlace[]): Promise<number> =>
  places.length === 0 ? 0 : (await replayAll(tx, REPLAY_NEWEST, places)).length

async function replayAll(tx: Tx, sql: string, places: readonly DeliveryPlace[]): Promise<readonly bigint[]> {
  const { rows } = await tx.query<{ delivery_id: bigint; endpoint_id: string }>(sql, [
    places.map(({ createdAt }) => createdAt),
    places.map(({ deliveryId }) => deliveryId),
  ])
  if (rows.length > 0) await tx.query(NOTIFY_OWNERS, [noticeOf(rows.map(({ endpoint_id }) => endpoint_id))])
  return rows.map(({ delivery_id }) => delivery_id)
}

export type TestSend =
  | {
      readonly kind: 'enqueued'
      readonly deliveryId: bigint
      readonly method: 'GET' | 'POST'
      readonly url: string
      readonly contentType: string | undefined
      readonly headers: Readonly<Record<string, string>> | undefined
      readonly body: string | undefined
      readonly eventId: string
    }
  | { readonly kind: 'refused'; readonly reason: WhyNotReason | SubjectPause | 'endpoint_unknown' }

/** Queues a sale for one endpoint, so that its owner sees the filled request and the receiver's answer. It has an event id of its
 * own, belongs to no conversion and books nothing. The endpoint's scope and rule are not asked. While an affiliate or advertiser is
 * paused that it is about it is refused: what somebody waits for must not come hours later.
 * @param about what it tells of: a click, whose sale is made up, or a click and its conversion; left out: both are made up
 */
export async function sendTest(
  pool: Pool,
  endpointId: string,
  snapshot: Snapshot,
  nowMs: number,
  about?: TestSubject,
): Promise<TestSend> {
  const endpoint = snapshot.endpoints.find((item) => item.endpoint_id === endpointId)
  if (endpoint === undefined) return { kind: 'refused', reason: 'endpoint_unknown' }
  if (endpoint.status === 'paused') return { kind: 'refused', reason: 'endpoint_paused' }
  const cause = causeOfTest(endpoint, about, nowMs)
  const eventId = randomUUID()
  const facts = macroFactsOf(cause, eventId, compileEndpoints(snapshot))
  const message = endpoint.triggers.includes('notice')
    ? fillNotice(endpoint, madeUpNotice(endpoint, eventId, nowMs), snapshot)
    : fillMessage(compileEndpoint(endpoint), facts)
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
  const paused = await pauseOfTest(pool, [belongingOf(cause), delivery])
  if (paused !== undefined) return { kind: 'refused', reason: paused }
  const [deliveryId] = await inTransaction(pool, (tx) => storeDeliveries(tx, [delivery], 'test'))
  const { method, url, headers, contentType, body } = message
  return { kind: 'enqueued', deliveryId: deliveryId!, eventId, method, url, headers, contentType, body }
}

/** A test belongs to what the scope of its endpoint names, and tells of what may be somebody else's. */
async function pauseOfTest(
  pool: Pool,
  subjects: readonly Pick<Belonging, 'affiliateId' | 'advertiserId'>[],
): Promise<SubjectPause | undefined> {
  const pauses = await readPaused(pool)
  return subjects
    .map(({ affiliateId = null, advertiserId = null }) =>
      subjectPauseOf(pauses, { affiliate_id: affiliateId, advertiser_id: advertiserId }),
    )
    .find((reason) => reason !== undefined)
}

/** What an endpoint for notices is told in a test: that it fails itself, which it is never told else. */
const madeUpNotice = ({ endpoint_id, scope }: PostbackEndpoint, eventId: string, nowMs: number): NoticeToTell => ({
  notice_id: 0n,
  at: new Date(nowMs),
  kind: 'endpoint_failing',
  endpoint_id,
  advertiser_id: scope.advertiser_id ?? null,
  affiliate_id: scope.affiliate_id ?? null,
  details: { is_test: true },
  eventId,
  clickId: newClickId(nowMs),
})

/** What a test tells of. */
export type TestSubject = { readonly click: ClickRecord; readonly conversion?: CausingConversion }

function causeOfTest(endpoint: PostbackEndpoint, about: TestSubject | undefined, nowMs: number): DeliveryCause {
  const made = madeUpSale(endpoint, nowMs)
  if (about === undefined || !('conversion' in made)) return made
  const { click, conversion = saleOf(made.conversion, click) } = about
  return { trigger: conversion.type, click, conversion, at: nowMs }
}

const saleOf = (sale: CausingConversion, click: ClickRecord): CausingConversion => ({
  ...sale,
  clickId: click.click_id,
  advertiserId: click.advertiser_id ?? sale.advertiserId,
  affiliateId: click.affiliate_id,
  campaignId: click.campaign_id,
  offerId: click.offer_id ?? sale.offerId,
})

const offerOf = (snapshot: Snapshot, offerId: string | undefined) =>
  snapshot.offers.find((offer) => offer.offer_id === offerId)
