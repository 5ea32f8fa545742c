import { RuleFacts, type RuleConversion } from '#rules'
import { belongingOf } from './compile-endpoints.ts'
import type { DeliveryCause } from './delivery-causes.ts'

/** What the rule of an endpoint reads: the click, whom the conversion belongs to, and the conversion as it stands now. */
export function ruleFactsOf(cause: DeliveryCause): RuleFacts {
  const { click } = cause
  const { affiliateId, campaignId, offerId, advertiserId } = belongingOf(cause)
  return new RuleFacts({
    at: click.at,
    visitor: click,
    parameters: click,
    assigned: {
      advertiser_id: advertiserId,
      affiliate_id: affiliateId,
      campaign_id: campaignId,
      offer_id: offerId,
      flow_id: click.flow_id,
      landing_id: click.landing_id,
      link_code: click.link_code,
    },
    conversion: conversionOf(cause),
  })
}

function conversionOf(cause: DeliveryCause): RuleConversion {
  const click_at = cause.click.at
  if (cause.trigger === 'event') {
    const { type, amount_micros, currency } = cause.event
    return { at: cause.at, click_at, type, goal: type, sale_amount_micros: amount_micros, currency }
  }
  if (cause.trigger === 'click') return { at: cause.at, click_at, type: 'click' }
  const { type, goal, status, payoutMicros, revenueMicros, saleAmountMicros, currency, createdAt } = cause.conversion
  return {
    at: createdAt.getTime(),
    click_at,
    type,
    goal,
    status,
    payout_micros: Number(payoutMicros),
    revenue_micros: Number(revenueMicros),
    sale_amount_micros: Number(saleAmountMicros),
    currency,
  }
}
