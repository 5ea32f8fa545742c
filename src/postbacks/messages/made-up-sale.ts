import { randomUUID } from 'node:crypto'
import { newClickId } from '#platform/ids'
import type { ClickRecord } from '#records'
import type { PostbackEndpoint } from '#routing'
import type { DeliveryCause } from './delivery-causes.ts'

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
