import {
  builtInEventTypes,
  type ClickRecord,
  type EventRecord,
  type PostbackRecord,
  type RefusalReason,
} from '#records'
import type { ConversionType, Offer } from '#routing'

import { isExpired, type ConversionRequest } from './decide-conversions.ts'
import { mapStatus } from './map-status.ts'
import { priceConversion } from './price.ts'

/** What judging needs to look up. */
export type Offers = ReadonlyMap<string, Offer>

type Refused = { readonly kind: 'refused'; readonly reason: RefusalReason }

export type JudgedEvent =
  | Refused
  /** A plain event that makes no conversion. */
  | { readonly kind: 'accepted'; readonly click: ClickRecord }
  | { readonly kind: 'conversion'; readonly click: ClickRecord; readonly request: ConversionRequest }

export type JudgedPostback = Refused | { readonly kind: 'conversion'; readonly request: ConversionRequest }

const BUILT_IN: ReadonlySet<string> = new Set(builtInEventTypes)

/** Offers of a snapshot by id. */
export const offersById = (offers: readonly Offer[]): Offers => new Map(offers.map((offer) => [offer.offer_id, offer]))

/** Whether an event counts, and the conversion that it asks for.
 * @param click of the event; undefined: no click has its id
 */
export function judgeEvent(event: EventRecord, click: ClickRecord | undefined, offers: Offers): JudgedEvent {
  if (event.refusal !== undefined) return refused(event.refusal)
  const offer = offerOf(click, offers)
  if (typeof offer === 'string') return refused(offer)
  const isKnown = BUILT_IN.has(event.type) || offer.custom_events.includes(event.type)
  if (!isKnown) return refused('type_unknown')
  const type = Object.hasOwn(offer.event_map, event.type) ? offer.event_map[event.type] : undefined
  if (type === undefined) return { kind: 'accepted', click: click! }
  const request = requestOfEvent(event, click!, offer, type)
  const reason = refusalOf(request, type)
  return reason === undefined ? { kind: 'conversion', click: click!, request } : refused(reason)
}

/** What would refuse a new conversion, so that the event itself says so in the reports. */
function refusalOf(request: ConversionRequest, type: ConversionType): RefusalReason | undefined {
  if (isExpired(request)) return 'click_expired'
  const { goal = type, click } = request
  const priced = priceConversion(request.offer, {
    ...request,
    type,
    goal,
    affiliateId: click.affiliate_id,
  })
  return priced.kind === 'refused' ? priced.reason : undefined
}

const requestOfEvent = (
  event: EventRecord,
  click: ClickRecord,
  offer: Offer,
  type: ConversionType,
): ConversionRequest => ({
  cause: 'event',
  click,
  offer,
  type,
  goal: event.type,
  txid: event.txid,
  status: undefined,
  rawStatus: undefined,
  // A page can write any amount: it is the size of a sale, never what the advertiser owes.
  amountMicros: undefined,
  saleAmountMicros: big(event.amount_micros),
  currency: event.currency,
  country: event.country,
  at: event.at,
})

/** Reasons of the edge that depend on the configuration or the click index, not on the request alone: judged again here, because
 * the index is complete by now, and because a replay comes after the mistake was mended.
 */
const JUDGED_AGAIN: ReadonlySet<RefusalReason> = new Set([
  ...(['click_unknown', 'click_refused', 'click_expired', 'offer_unknown'] as const),
  ...(['status_unmapped', 'status_ignored', 'amount_missing', 'currency_differs', 'transition_illegal'] as const),
])

/** Whether an inbound postback counts, and the conversion that it asks for. What the edge refused for the request itself (a
 * wrong secret, a literal macro) stays refused.
 */
export function judgePostback(
  postback: PostbackRecord,
  click: ClickRecord | undefined,
  offers: Offers,
): JudgedPostback {
  if (postback.refusal !== undefined && !JUDGED_AGAIN.has(postback.refusal)) return refused(postback.refusal)
  if (postback.click_id === undefined) return refused('click_id_missing')
  const offer = offerOf(click, offers)
  if (typeof offer === 'string') return refused(offer)
  if (postback.authenticated_offer_ids?.includes(offer.offer_id) !== true) return refused(closedDoor(postback, offer))
  const mapped = mapStatus(offer, postback)
  if (mapped.kind === 'refused') return mapped
  return {
    kind: 'conversion',
    request: {
      cause: 'postback',
      click: click!,
      offer,
      type: mapped.type,
      goal: mapped.goal,
      txid: postback.txid,
      status: mapped.status,
      rawStatus: postback.raw_status ?? postback.raw_goal,
      amountMicros: big(postback.amount_micros),
      saleAmountMicros: big(postback.sale_amount_micros),
      currency: postback.currency,
      at: postback.at,
    },
  }
}

const refused = (reason: RefusalReason): Refused => ({ kind: 'refused', reason })

const big = (value: number | undefined): bigint | undefined => (value === undefined ? undefined : BigInt(value))

/** A click that went to an offer which still exists, paused or not: what was promised is owed. */
function offerOf(click: ClickRecord | undefined, offers: Offers): Offer | RefusalReason {
  if (click === undefined) return 'click_unknown'
  if (click.refusal !== undefined || click.offer_id === undefined) return 'click_refused'
  return offers.get(click.offer_id) ?? 'offer_unknown'
}

/** Why a request that the edge let through for other offers is not good enough for this one. */
function closedDoor(postback: PostbackRecord, offer: Offer): RefusalReason {
  const { secrets, hmac_secrets } = offer.postback
  if (secrets.length === 0 && hmac_secrets.length === 0) return 'address_not_allowed'
  return postback.authenticated_offer_ids === undefined ? 'secret_missing' : 'secret_wrong'
}
