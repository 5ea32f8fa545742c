import {
  decideConversions,
  lockByClick,
  openConversionScores,
  recordRevisions,
  storeConversions,
  type ConversionRequest,
} from '#conversions'
import { newClickId } from '#platform/ids'
import type { Tx } from '#platform/postgres'
import { enqueueDeliveries } from '#postbacks'
import type { Offer, Snapshot } from '#routing'
import { txidOf } from './message.ts'

/** A conversion to be made: its number stands in the message, its affiliate says which endpoint hears of it. */
export type Wanted = { readonly number: number; readonly affiliateId: string }

/** Requests as the pipeline makes them of events, each with a click of its own. */
export function requestsOf(wanted: readonly Wanted[], snapshot: Snapshot): readonly ConversionRequest[] {
  const [offer] = snapshot.offers
  if (offer === undefined) throw new Error('the configuration of the bench has no offer')
  return wanted.map((one) => requestOf(one, offer, snapshot.version))
}

function requestOf({ number, affiliateId }: Wanted, offer: Offer, version: number): ConversionRequest {
  const at = Date.now()
  return {
    cause: 'event',
    click: {
      kind: 'click',
      click_id: newClickId(at),
      at,
      class: 'click',
      outcome: 'redirected',
      ip: '203.0.113.7',
      user_agent:
        'Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/149.0.0.0 Safari/537.36',
      country: 'TR',
      advertiser_id: offer.advertiser_id,
      offer_id: offer.offer_id,
      affiliate_id: affiliateId,
      sub1: 'adset-42',
      external_click_id: `ext-${number}`,
      config_version: version,
      trace: '',
    },
    offer,
    type: 'lead',
    goal: 'lead',
    txid: txidOf(number),
    status: undefined,
    rawStatus: undefined,
    amountMicros: undefined,
    saleAmountMicros: undefined,
    currency: undefined,
    at,
  }
}

/** Books conversions with everything that they entail, as the pipeline does within its transaction. */
export async function bookConversions(
  tx: Tx,
  requests: readonly ConversionRequest[],
  snapshot: Snapshot,
): Promise<void> {
  const existing = await lockByClick(
    tx,
    requests.map(({ click }) => click.click_id),
  )
  const { revisions } = decideConversions(existing, requests, await openConversionScores(tx, snapshot, requests))
  await storeConversions(tx, revisions)
  await recordRevisions(tx, revisions, snapshot)
}

/** Queues what the conversions entail for partners, without the conversions themselves: for filling the queue. */
export async function queueDeliveries(
  tx: Tx,
  requests: readonly ConversionRequest[],
  snapshot: Snapshot,
): Promise<void> {
  const { revisions } = decideConversions([], requests)
  const causes = revisions.map(({ after }) => ({
    trigger: 'lead' as const,
    conversion: after,
    click: after.click,
    at: after.updatedAt.getTime(),
  }))
  await enqueueDeliveries(tx, causes, snapshot)
}
