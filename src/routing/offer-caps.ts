import { createHash } from 'node:crypto'

import { compileCaps, type CapFacts, type CapKey, type ExpectedAmounts } from '#caps'
import type { ClickRecord } from '#records'
import { compileRule, MET, type Rule, type RuleLists } from '#rules'
import type { RequestFacts } from './request-facts.ts'
import { newRuleFacts } from './rule-facts.ts'
import type { Offer, Price } from './snapshot.ts'

/** The caps of an offer. */
export type CompiledOfferCaps = {
  /** What a click touches; see `CompiledCaps.keysOfClick`. */
  readonly keysOfClick: (facts: RequestFacts, affiliateId: string | undefined) => readonly CapKey[]
  /** What a conversion touches.
   * @param click that it came of
   * @param atMs of its first revision
   */
  readonly keysOfConversion: (click: ClickRecord, atMs: number, worth: ExpectedAmounts) => readonly CapKey[]
  /** Position of a key's cap in the list of the offer. */
  readonly indexOf: (key: CapKey) => number
}

/** What a count is named by: caps of different offers may have the same id. */
const countId = (offerId: string, capId: string): string =>
  createHash('sha256')
    .update(JSON.stringify([offerId, capId]))
    .digest('base64url')
    .slice(0, 22)

type Facts = CapFacts & { readonly request: RequestFacts }

/** @param timezone of the advertiser, in which periods begin
 * @returns undefined where the offer has no caps
 */
export function compileOfferCaps(offer: Offer, timezone = 'UTC', lists?: RuleLists): CompiledOfferCaps | undefined {
  const { caps, offer_id } = offer
  if (caps === undefined || caps.length === 0) return undefined
  const ids = caps.map(({ cap_id }) => countId(offer_id, cap_id))
  const compiled = compileCaps<Rule, Facts>(
    caps.map((cap, index) => ({ ...cap, cap_id: ids[index]! })),
    timezone,
    (rule) => {
      const evaluate = compileRule(rule, lists)
      return ({ request, affiliate_id }) => evaluate(newRuleFacts(request, { affiliate_id, offer_id })) === MET
    },
  )
  return {
    keysOfClick: (request, affiliateId) =>
      compiled.keysOfClick(factsOf(request, affiliateId), request.at, expectedOf(offer, affiliateId)),
    keysOfConversion: (click, atMs, worth) => {
      const request = { clickId: click.click_id, at: click.at, asked: {}, visitor: click, parameters: click }
      return compiled.keysOfConversion(factsOf(request, click.affiliate_id), atMs, worth)
    },
    indexOf: ({ cap_id }) => ids.indexOf(cap_id),
  }
}

/** Only a capped offer's clicks pay for the copy. */
function factsOf(request: RequestFacts, affiliateId: string | undefined): Facts {
  const { country } = request.visitor
  return {
    ...request.parameters,
    request,
    ...(affiliateId !== undefined && { affiliate_id: affiliateId }),
    ...(country !== undefined && { country }),
  }
}

/** The most that one conversion may be worth by the prices: a cap on money then holds too much rather than too little. A share of
 * a sale cannot be known before the sale.
 */
function expectedOf({ prices, affiliates }: Offer, affiliateId: string | undefined): ExpectedAmounts {
  const own = affiliateId === undefined ? undefined : affiliates?.[affiliateId]?.prices
  const all: readonly Price[] = [...(own ?? []), ...prices]
  return {
    payoutMicros: affiliateId === undefined ? 0 : Math.max(0, ...all.map(({ payout_micros }) => payout_micros)),
    revenueMicros: Math.max(0, ...all.map(({ revenue_micros }) => revenue_micros)),
  }
}
