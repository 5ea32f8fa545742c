import type { ClickId } from '#platform/ids'
import type { ClickRecord, Subs, Utm, VisitorFacts } from '#records'

/** What a request for a link named, as it was written. Empty values are left out. */
export type AskedTarget = {
  readonly linkCode?: string
  readonly campaignId?: string
  readonly flowId?: string
  readonly offerId?: string
  readonly landingId?: string
  readonly affiliateId?: string
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
}
