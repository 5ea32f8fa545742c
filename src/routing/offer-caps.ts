import { createHash } from 'node:crypto'

import { compileCaps, type CapCounts, type CapFacts, type CapKey, type ExpectedAmounts } from '#caps'
import type { ClickRecord } from '#records'
import { compileRule, MET, RuleLists, type Rule, type RuleAssignment } from '#rules'
import type { RequestFacts } from './request-facts.ts'
import { newRuleFacts } from './rule-facts.ts'
import type { Offer, Price, Snapshot } from './snapshot.ts'

/** The caps of an offer. */
export type CompiledOfferCaps = {
  /** What a click touches; see `CompiledCaps.keysOfClick`.
   * @param assigned where it is about to go, as its record will have it
   */
  readonly keysOfClick: (facts: RequestFacts, assigned: Readonly<RuleAssignment>) => readonly CapKey[]
  /** What every click of the offer touches, whoever it is: caps without rule and dimensions, with the least that any click asks of them.
   * @param isOfAffiliate every click is of some affiliate
   */
  readonly keysOfEveryClick: (atMs: number, isOfAffiliate: boolean) => readonly CapKey[]
  /** What a click took that the log tells of; nothing where it was not sent on. */
  readonly keysOfRecordedClick: (click: ClickRecord) => readonly CapKey[]
  /** What a conversion touches.
   * @param click that it came of
   * @param atMs of its first revision
   */
  readonly keysOfConversion: (click: ClickRecord, atMs: number, worth: ExpectedAmounts) => readonly CapKey[]
  /** The counts of each cap in the period of that time, in the order of the offer's list. */
  readonly countsAt: (atMs: number) => readonly CapCounts[]
  /** Position of a key's cap in the list of the offer. */
  readonly indexOf: (key: CapKey) => number
}

/** What a count is named by: caps of different offers may have the same id. */
export const countId = (offerId: string, capId: string): string =>
  createHash('sha256')
    .update(JSON.stringify([offerId, capId]))
    .digest('base64url')
    .slice(0, 22)

type Facts = CapFacts & { readonly request: RequestFacts; readonly assigned: Readonly<RuleAssignment> }

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
      return ({ request, assigned }) => evaluate(newRuleFacts(request, assigned)) === MET
    },
  )
  const ofEveryone = compileCaps(
    caps.flatMap(({ rule, ...cap }, index) =>
      rule === undefined && (cap.per ?? []).length === 0 ? [{ ...cap, cap_id: ids[index]! }] : [],
    ),
    timezone,
  )
  const keysOfClick: CompiledOfferCaps['keysOfClick'] = (request, assigned) =>
    compiled.keysOfClick(factsOf(request, assigned), request.at, expectedOf(offer, assigned.affiliate_id))
  return {
    keysOfClick,
    // Prices of single affiliates only add to those of the offer, so that an affiliate without any asks the least.
    keysOfEveryClick: (atMs, isOfAffiliate) =>
      ofEveryone.keysOfClick({}, atMs, expectedOf(offer, isOfAffiliate ? '' : undefined)),
    keysOfRecordedClick: (click) =>
      click.class === 'click' && click.outcome === 'redirected' ? keysOfClick(requestOf(click), click) : NO_KEYS,
    keysOfConversion: (click, atMs, worth) => compiled.keysOfConversion(factsOf(requestOf(click), click), atMs, worth),
    countsAt: (atMs) => compiled.countsAt(atMs),
    indexOf: ({ cap_id }) => ids.indexOf(cap_id),
  }
}

/** The offers that have caps, by their id. Costs nothing for the others. */
export function compileCappedOffers(snapshot: Snapshot): ReadonlyMap<string, CompiledOfferCaps> {
  const timezones = new Map(snapshot.advertisers.map(({ advertiser_id, timezone }) => [advertiser_id, timezone]))
  const lists = snapshot.lists && new RuleLists(snapshot.lists)
  return new Map(
    snapshot.offers.flatMap((offer) => {
      const caps = compileOfferCaps(offer, timezones.get(offer.advertiser_id), lists)
      return caps === undefined ? [] : [[offer.offer_id, caps] as const]
    }),
  )
}

const NO_KEYS: readonly CapKey[] = []

const requestOf = (click: ClickRecord): RequestFacts => ({
  clickId: click.click_id,
  at: click.at,
  asked: {},
  visitor: click,
  parameters: click,
})

/** Only a capped offer's clicks pay for the copy. */
function factsOf(request: RequestFacts, assigned: Readonly<RuleAssignment>): Facts {
  const { country } = request.visitor
  const { affiliate_id } = assigned
  return {
    ...request.parameters,
    request,
    assigned,
    ...(affiliate_id !== undefined && { affiliate_id }),
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
