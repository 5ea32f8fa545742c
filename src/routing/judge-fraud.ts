import type { CompiledFraudPlace, CompiledOffer } from './compile-snapshot.ts'
import { ruleFactsOf } from './rule-facts.ts'
import type { Target, Walk } from './walk.ts'

/** Where a click goes for its score; undefined: where it would have gone. */
export type Judged = Extract<Target, { kind: 'refused' | 'fallback' }> | ToOffer | undefined
type ToOffer = { readonly kind: 'offer'; readonly offerId: string }

/** Scores the click for the place that it was about to go to.
 * @param fraud undefined: nobody wants a score, and none is made
 */
export function judgeFraud(walk: Walk, fraud: CompiledFraudPlace | undefined): Judged {
  if (fraud === undefined || walk.facts.fraud === undefined) return undefined
  const { settings, divertUrl } = fraud
  const verdict = walk.facts.fraud(settings, {
    campaignId: walk.campaign?.campaign.campaign_id,
    affiliateId: walk.affiliate?.affiliate.affiliate_id,
    isTrap: walk.isTrap,
    ruleFacts: settings.ownClickRules.length === 0 ? undefined : (walk.ruleFacts ??= ruleFactsOf(walk)),
  })
  walk.verdict = verdict
  if (verdict.reasons.length > 0) walk.steps.push({ kind: 'fraud', verdict })
  switch (verdict.action) {
    case 'none':
    case 'mark':
      return undefined
    case 'refuse':
      return { kind: 'refused', reason: 'fraud_refused' }
    case 'divert':
      if (divertUrl !== undefined) return { kind: 'fallback', url: divertUrl, owner: 'fraud', reason: 'fraud_diverted' }
      return settings.divertTo !== undefined && 'offer_id' in settings.divertTo
        ? { kind: 'offer', offerId: settings.divertTo.offer_id }
        : { kind: 'refused', reason: 'fraud_diverted' }
    default:
      return verdict.action satisfies never
  }
}

/** The same for a flow that leads to no offer. There is no offer of the same advertiser to be sent to instead. */
export function judgeWithoutOffer(walk: Walk): Target | undefined {
  const judged = judgeFraud(walk, walk.config.fraud)
  return judged?.kind === 'offer' ? { kind: 'refused', reason: 'fraud_diverted' } : judged
}

/** Nothing of one advertiser leads to something of another, whoever wrote the settings. */
export const isDivertible = (from: CompiledOffer, to: CompiledOffer): boolean =>
  from.offer.advertiser_id === to.offer.advertiser_id
