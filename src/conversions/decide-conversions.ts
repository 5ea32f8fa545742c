import { decodeVerdict, encodeVerdict, type ConversionVerdict } from '#fraud'
import { newUuidV7 } from '#platform/ids'
import { builtInEventTypes, type ClickRecord, type RefusalReason } from '#records'
import type { ConversionStatus, ConversionType, Offer } from '#routing'

import { conversionKey, holdFrom, type Conversion, type Revision } from './conversion.ts'
import { isPricedByAmount, priceConversion, type Worth } from './price.ts'
import { judgeTransition } from './transitions.ts'

/** What one event or postback asks for, after its words were mapped and its click was found. */
export type ConversionRequest = {
  readonly cause: 'event' | 'postback'
  readonly click: ClickRecord
  readonly offer: Offer
  /** Left out: the words name a status only. */
  readonly type: ConversionType | undefined
  readonly goal: string | undefined
  readonly txid: string | undefined
  /** Left out: whatever a new conversion gets; on a conversion that is there: the one that it has. */
  readonly status: ConversionStatus | undefined
  readonly rawStatus: string | undefined
  /** What the advertiser's server says it pays; never from a page. */
  readonly amountMicros: bigint | undefined
  readonly saleAmountMicros: bigint | undefined
  readonly currency: string | undefined
  /** Of the visitor who converted; left out: it came from a server, or no place is known. */
  readonly country?: string | undefined
  /** Milliseconds since the epoch. */
  readonly at: number
}

export type ConversionOutcome =
  | { readonly kind: 'converted' | 'updated'; readonly conversionId: string }
  | { readonly kind: 'refused'; readonly reason: RefusalReason; readonly conversionId?: string }

export type Decided = {
  /** One per request, in their order. */
  readonly outcomes: readonly ConversionOutcome[]
  /** In the order in which they happened; the same conversion may come several times. */
  readonly revisions: readonly Revision[]
}

/** Scores new conversions for fraud, each once, in the order in which they are decided. */
export type ConversionScores = {
  /** @returns undefined: its offer is not scored */
  readonly score: (conversion: Conversion, country: string | undefined) => ConversionVerdict | undefined
}

const DAY_MS = 86_400_000
const BUILT_IN: ReadonlySet<string> = new Set(builtInEventTypes)

/** Decides a batch of requests in order, on top of the conversions that their clicks have already. Pure but for new ids.
 * @param scores left out: nothing is scored
 */
export function decideConversions(
  existing: readonly Conversion[],
  requests: readonly ConversionRequest[],
  scores?: ConversionScores,
): Decided {
  const standing = new Standing(existing)
  const revisions: Revision[] = []
  const outcomes = requests.map((request) => {
    const decision = withScore(decideOne(standing, request), request, scores)
    if (decision.kind === 'refused') return decision
    standing.put(decision.after)
    revisions.push({ before: decision.before, after: decision.after, cause: request.cause, by: '' })
    const kind = decision.before === undefined ? ('converted' as const) : ('updated' as const)
    return { kind, conversionId: decision.after.conversionId }
  })
  return { outcomes, revisions }
}

/** Conversions by identity and by click. */
class Standing {
  readonly #byKey = new Map<string, Conversion>()
  readonly #byClick = new Map<string, Map<string, Conversion>>()

  constructor(existing: readonly Conversion[]) {
    for (const conversion of existing) this.put(conversion)
  }

  put(conversion: Conversion): void {
    const key = conversionKey(conversion)
    this.#byKey.set(key, conversion)
    const ofClick = this.#byClick.get(conversion.clickId) ?? new Map<string, Conversion>()
    this.#byClick.set(conversion.clickId, ofClick.set(key, conversion))
  }

  get(key: string): Conversion | undefined {
    return this.#byKey.get(key)
  }

  ofClick(clickId: string): readonly Conversion[] {
    return [...(this.#byClick.get(clickId)?.values() ?? [])]
  }
}

type Decision =
  | { readonly kind: 'revised'; readonly before: Conversion | undefined; readonly after: Conversion }
  | { readonly kind: 'refused'; readonly reason: RefusalReason; readonly conversionId?: string }

function decideOne(standing: Standing, request: ConversionRequest): Decision {
  const before = findConcerned(standing, request)
  return before === undefined ? create(request) : revise(before, request)
}

/** The conversion that a request is about. Words without a type mean the one of that transaction, a sale before a lead; where
 * they name no transaction either, the only one of the click.
 */
function findConcerned(standing: Standing, request: ConversionRequest): Conversion | undefined {
  const identity = identityOf(request)
  if (request.type !== undefined) return standing.get(conversionKey({ ...identity, type: request.type }))
  const ofClick = standing.ofClick(request.click.click_id)
  const ofTransaction = (type: ConversionType): Conversion | undefined =>
    ofClick.find((conversion) => conversion.txid === identity.txid && conversion.type === type)
  const found = ofTransaction('sale') ?? ofTransaction('lead')
  return found ?? (request.txid === undefined && ofClick.length === 1 ? ofClick[0] : undefined)
}

const identityOf = (request: ConversionRequest) => ({
  clickId: request.click.click_id,
  goalKey: goalKeyOf(request.offer, request.goal),
  txid: request.txid ?? '-',
})

/** A goal of its own: one that the offer declares or prices by name. Built-in names of one type are the same conversion. */
function goalKeyOf(offer: Offer, goal: string | undefined): string {
  if (goal === undefined || BUILT_IN.has(goal)) return ''
  return offer.custom_events.includes(goal) || isPricedByName(offer, goal) ? goal : ''
}

/** By anybody's price: whose conversion it is does not change what it is. */
const isPricedByName = ({ prices, affiliates = {} }: Offer, goal: string): boolean =>
  [...prices, ...Object.values(affiliates).flatMap((own) => own.prices ?? [])].some((price) => price.goal === goal)

/** What a status word without a type makes where the click has no conversion yet: what the offer pays for. */
function typeByModel(offer: Offer, status: ConversionStatus | undefined): ConversionType {
  if (offer.model === 'cpl') return 'lead'
  if (offer.model === 'cps' || offer.model === 'revshare') return 'sale'
  const [onlyType, ...others] = new Set(offer.prices.map((price) => price.type))
  if (onlyType !== undefined && others.length === 0) return onlyType
  return status === 'approved' ? 'sale' : 'lead'
}

function create(request: ConversionRequest): Decision {
  const { click, offer, at } = request
  if (isExpired(request)) return { kind: 'refused', reason: 'click_expired' }
  const type = request.type ?? typeByModel(offer, request.status)
  const goal = request.goal ?? type
  const priced = priceConversion(offer, { ...request, type, goal, affiliateId: click.affiliate_id })
  if (priced.kind === 'refused') return priced
  const status = request.status ?? priced.worth.status
  return {
    kind: 'revised',
    before: undefined,
    after: {
      conversionId: newUuidV7(at),
      advertiserId: offer.advertiser_id,
      ...identityOf(request),
      type,
      goal,
      affiliateId: click.affiliate_id,
      campaignId: click.campaign_id,
      offerId: offer.offer_id,
      status,
      rawStatus: request.rawStatus,
      ...holdFrom(status, at, offer.hold_days),
      ...moneyOf(priced.worth),
      currency: offer.currency,
      revision: 1,
      createdAt: new Date(at),
      updatedAt: new Date(at),
      click,
      fraud: undefined,
    },
  }
}

/** A conversion keeps its verdict. One to be held is pending, whatever the partner says; one to be rejected is rejected. */
function withScore(decision: Decision, { at, offer, country }: ConversionRequest, scores?: ConversionScores): Decision {
  if (decision.kind === 'refused' || decision.before !== undefined) return decision
  const verdict = scores?.score(decision.after, country)
  if (verdict === undefined) return decision
  const status = statusFor(verdict, decision.after.status)
  const fraud = encodeVerdict(verdict)
  return { ...decision, after: { ...decision.after, status, ...holdFrom(status, at, offer.hold_days), fraud } }
}

function statusFor({ action }: ConversionVerdict, status: ConversionStatus): ConversionStatus {
  switch (action) {
    case 'none':
    case 'mark':
      return status
    case 'hold':
      return status === 'approved' ? 'pending' : status
    case 'reject':
      return 'rejected'
    default:
      return action satisfies never
  }
}

/** Whether it waits for a person, who approves it by the API. */
const isHeldForFraud = ({ status, fraud }: Conversion): boolean =>
  status === 'pending' && fraud !== undefined && decodeVerdict(fraud)?.action === 'hold'

const moneyOf = ({ payoutMicros, revenueMicros, saleAmountMicros }: Worth) => ({
  payoutMicros,
  revenueMicros,
  saleAmountMicros,
})

/** Whether the click is too old for a new conversion; the status of one that exists may come at any time. */
export function isExpired({ click, offer, at }: ConversionRequest): boolean {
  return offer.click_lifetime_days > 0 && at - click.at > offer.click_lifetime_days * DAY_MS
}

function revise(before: Conversion, request: ConversionRequest): Decision {
  const { conversionId } = before
  if (request.cause === 'event') return { kind: 'refused', reason: 'duplicate', conversionId }
  if (request.status === undefined || request.status === before.status) return updateAmounts(before, request)
  const verdict = judgeTransition(before.status, request.status)
  if (verdict !== 'legal') return { kind: 'refused', reason: verdict, conversionId }
  if (request.status === 'approved' && isHeldForFraud(before))
    return { kind: 'refused', reason: 'fraud_held', conversionId }
  const money = repriced(before, request)
  if (money.kind === 'refused') return { ...money, conversionId }
  return {
    kind: 'revised',
    before,
    after: {
      ...withStatus(before, request.status, request.at, request.offer.hold_days),
      ...money.worth,
      rawStatus: request.rawStatus ?? before.rawStatus,
    },
  }
}

/** What a partner says again under the same transaction id, with another amount, is a correction of its own where the amount sets the
 * price and the offer lets it: the conversion is worth what was said last, and nothing is counted twice. All else is a duplicate: without a
 * transaction id it may be another sale, an older one is a repeat that came late, and a person's correction stands.
 */
function updateAmounts(before: Conversion, request: ConversionRequest): Decision {
  const { conversionId } = before
  const duplicate = { kind: 'refused', reason: 'duplicate', conversionId } as const
  const isLetIn = request.txid !== undefined && request.offer.postback.repeated_amounts !== 'refuse'
  if (!isLetIn || before.status === 'rejected' || request.at < before.updatedAt.getTime()) return duplicate
  const money = repriced(before, { ...request, status: before.status })
  if (money.kind === 'refused') return { ...money, conversionId }
  if (money.worth === undefined || isSameMoney(before, money.worth)) return duplicate
  const { rawStatus = before.rawStatus, at } = request
  const revision = before.revision + 1
  return { kind: 'revised', before, after: { ...before, ...money.worth, rawStatus, revision, updatedAt: new Date(at) } }
}

const isSameMoney = (one: Money, other: Money): boolean =>
  one.payoutMicros === other.payoutMicros &&
  one.revenueMicros === other.revenueMicros &&
  one.saleAmountMicros === other.saleAmountMicros

/** The next state of a conversion with another status and everything else as it was.
 * @param at milliseconds since the epoch
 */
export const withStatus = (before: Conversion, status: ConversionStatus, at: number, holdDays: number): Conversion => ({
  ...before,
  status,
  ...holdFrom(status, at, holdDays),
  revision: before.revision + 1,
  updatedAt: new Date(at),
})

type Money = Pick<Conversion, 'payoutMicros' | 'revenueMicros' | 'saleAmountMicros'>

/** Where the amount sets the price, a status that brings one is priced anew; else the money stays as it was agreed, also when
 * the offer's prices have changed since, and where a person corrected it.
 */
function repriced(
  before: Conversion,
  request: ConversionRequest,
):
  | { readonly kind: 'priced'; readonly worth: Money | undefined }
  | { readonly kind: 'refused'; readonly reason: RefusalReason } {
  const sale = { ...request, type: before.type, goal: before.goal, affiliateId: before.affiliateId }
  if (before.isCorrected === true || request.status === 'rejected' || !isPricedByAmount(request.offer, sale))
    return { kind: 'priced', worth: undefined }
  const priced = priceConversion(request.offer, sale)
  return priced.kind === 'refused' ? priced : { kind: 'priced', worth: moneyOf(priced.worth) }
}
