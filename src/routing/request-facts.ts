import type { RoutingCaps } from '#caps'
import type { ClickVerdict, CompiledFraud } from '#fraud'
import type { ClickId } from '#platform/ids'
import type { ClickRecord, Subs, Utm, VisitorFacts } from '#records'
import type { RuleFacts, UniqueScope } from '#rules'

/** What a request for a link named, as it was written; never empty text. */
export type AskedTarget = {
  readonly linkCode?: string | undefined
  readonly campaignId?: string | undefined
  readonly flowId?: string | undefined
  readonly offerId?: string | undefined
  readonly landingId?: string | undefined
  readonly affiliateId?: string | undefined
}

/** What else the request brought, under the names of the click record. */
export type ClickParameters = Subs &
  Utm &
  Pick<
    ClickRecord,
    | 'sub2_keys'
    | 'visitor_code'
    | 'source_id'
    | 'ad_campaign_id'
    | 'creative_id'
    | 'external_click_id'
    | 'cost_micros'
    | 'currency'
    | 'referrer'
    | 'domain'
  >

/** All that a decision may depend on, besides the configuration. */
export type RequestFacts = {
  readonly clickId: ClickId
  /** Milliseconds since the epoch. */
  readonly at: number
  readonly asked: AskedTarget
  readonly visitor: VisitorFacts
  readonly parameters: ClickParameters
  /** Takes room in caps; left out: caps are not looked at. */
  readonly caps?: RoutingCaps | undefined
  /** Scores the click; asked only where there are settings. Left out: the click is not scored. */
  readonly fraud?: FraudJudge | undefined
  /** What an earlier visit bound the visitor to in a campaign; asked only where the campaign binds. */
  readonly boundIn?: (campaignId: string) => Bound | undefined
  /** A parameter of the request by its name; asked only by a rule. */
  readonly query?: ((name: string) => string | undefined) | undefined
  /** Whether the visitor is new there; asked only by a rule. */
  readonly isUnique?: ((scope: UniqueScope, scopeId: string | undefined) => boolean) | undefined
}

/** Scores the request for one place that it may go to. Asked again for another place, it counts the request no second time. */
export type FraudJudge = (settings: CompiledFraud, place: FraudPlace) => ClickVerdict

/** What of the decision a score depends on. */
export type FraudPlace = {
  readonly campaignId: string | undefined
  readonly affiliateId: string | undefined
  readonly isTrap: boolean
  /** Undefined: the settings have no rules of their own. */
  readonly ruleFacts: RuleFacts | undefined
}

export type Bound = {
  readonly flowId?: string | undefined
  readonly offerId?: string | undefined
  readonly landingId?: string | undefined
}
