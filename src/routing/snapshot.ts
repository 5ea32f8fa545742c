import type { OptimizeOptions } from '#bandit'
import type { Cap } from '#caps/cap'
import type { FraudSettings, OfferFraud } from '#fraud'
import type { NamedLists, Rule } from '#rules'

/** The configuration as the edge and the pipeline see it: immutable, one version, plain JSON without classes, so that it
 * goes to disk and back unchanged. Compiled by `configuration` from PostgreSQL. Amounts are integer micros.
 */
export type Snapshot = {
  /** Grows by one with each change. */
  readonly version: number
  /** ISO 8601. */
  readonly created_at: string
  /** Where requests go that have no target of their own; left out: a plain 404 page. */
  readonly fallback_url?: string
  /** Random, made once: the edges sign with it what they tell each other by way of the visitor's browser. */
  readonly redirect_key?: string
  readonly advertisers: readonly Advertiser[]
  readonly affiliates: readonly Affiliate[]
  readonly offers: readonly Offer[]
  readonly campaigns: readonly Campaign[]
  readonly links: readonly Link[]
  readonly endpoints: readonly PostbackEndpoint[]
  /** Lists that rules name with `@`; left out: there never were any, and a text of a rule may begin with `@`. */
  readonly lists?: NamedLists
  /** Left out: only clicks of offers with settings of their own are scored. */
  readonly fraud?: FraudSettings
  /** Weights learned from conversions, which are no part of the version; left out: none were learned yet. */
  readonly learned?: LearnedOverlay
}

/** Weights that go before those of the configuration where a campaign says so (`optimize`). */
export type LearnedOverlay = {
  /** Grows by one with each change of any of them. */
  readonly version: number
  /** Id of the arm → weight, by place: see learned-weights.ts. */
  readonly weights: Readonly<Record<string, Readonly<Record<string, number>>>>
}

export type Advertiser = {
  readonly advertiser_id: string
  readonly name: string
  /** IANA zone for days in reports and caps. */
  readonly timezone: string
  readonly currency: string
  readonly status: 'active' | 'paused'
  /** Hosts of its pages: allowed as CORS origins for events. `*.example.com` covers every subdomain. */
  readonly domains: readonly string[]
  readonly fallback_url?: string
  readonly postback_allow?: PostbackAllow
  /** How long its raw facts are kept, and where they go then; what is left out is the installation's. */
  readonly retention?: { readonly raw_days?: number; readonly archive?: 'none' | 'files' | 's3' }
}

export type Affiliate = {
  readonly affiliate_id: string
  readonly name: string
  readonly status: 'active' | 'blocked'
  /** Advertisers that took this affiliate on. */
  readonly advertiser_ids: readonly string[]
}

/** CPA pays on leads and sales as priced, CPL on leads only, CPS on sales only, revshare a share of the sale. */
export type PricingModel = 'cpa' | 'cpl' | 'cps' | 'revshare'
export type ConversionType = 'lead' | 'sale'
export type ConversionStatus = 'pending' | 'approved' | 'rejected'

/** What one kind of conversion is worth. The first price whose `goal` (else `type`) fits is taken. */
export type Price = {
  /** Event name (`reg`, `deposit`, a custom one) that this price is for; left out: every event of `type`. */
  readonly goal?: string
  readonly type: ConversionType
  /** Owed to the affiliate per conversion. */
  readonly payout_micros: number
  /** Earned from the advertiser per conversion. */
  readonly revenue_micros: number
  /** Revshare: basis points of the sale (10 000 = all of it). */
  readonly payout_share_bp?: number
  readonly revenue_share_bp?: number
  /** Status a new conversion gets where the sender names none. */
  readonly status: 'pending' | 'approved'
}

/** What a partner's status or goal word means here: a type, a status or both. `ignore`: recorded, no conversion. */
export type StatusMapping = { readonly type?: ConversionType; readonly status?: ConversionStatus | 'ignore' }

export type Offer = {
  readonly offer_id: string
  readonly advertiser_id: string
  readonly name: string
  readonly status: 'active' | 'paused' | 'archived'
  /** Milliseconds since the epoch. */
  readonly starts_at?: number
  readonly ends_at?: number
  readonly model: PricingModel
  readonly currency: string
  readonly prices: readonly Price[]
  /** Days an approved payout waits in hold; 0: none. */
  readonly hold_days: number
  readonly landings: readonly Landing[]
  /** Event type → conversion type, lower case; by default reg → lead, lead → lead, deposit → sale, sale → sale. */
  readonly event_map: Readonly<Record<string, ConversionType>>
  /** Further event names accepted from its pages, lower case. */
  readonly custom_events: readonly string[]
  /** Partner's word, lower case → meaning; goes before the words that mean the same to everybody (#conversions). */
  readonly status_map: Readonly<Record<string, StatusMapping>>
  readonly postback: {
    /** Any of these is accepted as `secret`; empty together with `hmac_secrets`: no secret is asked for. */
    readonly secrets: readonly string[]
    readonly hmac_secrets: readonly string[]
    /** Addresses or CIDR blocks; empty: any. */
    readonly allowed_addresses: readonly string[]
    /** What a repeated postback with another amount does; left out: the conversion is worth what was said last. */
    readonly repeated_amounts?: 'refuse'
  }
  /** Whom the offer takes, e.g. by country; left out: everyone. */
  readonly rule?: Rule
  /** What the offer does not take whatever its rule says: sub ids, sources, affiliates. */
  readonly block?: Rule
  /** Where visitors go whom `rule` does not take, by country (`*`: any other); left out: as for any offer that cannot take them. */
  readonly country_fallbacks?: Readonly<Record<string, CountryFallback>>
  /** Which affiliates may send traffic; left out: `public`. */
  readonly access?: OfferAccess
  /** What holds for single affiliates. */
  readonly affiliates?: Readonly<Record<string, OfferAffiliate>>
  /** How much the offer takes. */
  readonly caps?: readonly Cap<Rule>[]
  /** Offers that take its visitors while a cap is full, in order; their own are not asked. */
  readonly cap_fallbacks?: readonly string[]
  /** What it sets otherwise than the installation. */
  readonly fraud?: OfferFraud
  /** How visitors are sent on; left out: 302. That of the flow goes first. */
  readonly redirect?: RedirectKind
  readonly referrer_policy?: ReferrerPolicy
  /** A visitor is unique again after this many hours. */
  readonly unique_ttl_hours: number
  /** Conversions of older clicks are refused; 0: never. */
  readonly click_lifetime_days: number
  readonly fallback_url?: string
}

export type CountryFallback = { readonly offer_id: string } | { readonly url: string }

/** `public`: every member; `on_approval`: members that were approved; `private`: the same, and the offer is shown to nobody else. */
export type OfferAccess = 'public' | 'on_approval' | 'private'

export type OfferAffiliate = {
  /** Left out: as `access` says. */
  readonly status?: 'approved' | 'pending' | 'blocked'
  /** Instead of the landings of the offer. */
  readonly landings?: readonly Landing[]
  /** Go before the prices of the offer. */
  readonly prices?: readonly Price[]
}

/** How a visitor is sent on. `meta`, `double_meta` and `js` are pages that go on by themselves (`double_meta` by way of a second
 * page of ours, so that the target sees no referrer but ours); `iframe` shows the target inside a page of ours.
 */
export type RedirectKind = '302' | '303' | '307' | 'meta' | 'double_meta' | 'js' | 'iframe'

/** What the browser tells the target of the page that the visitor came from. */
export type ReferrerPolicy = 'no-referrer' | 'origin' | 'unsafe-url'

export type Landing = {
  readonly landing_id: string
  /** http(s) URL with macros such as {clickid}, {sub1}. */
  readonly url: string
  /** Integer ≥ 0; 0 takes no new visitors. */
  readonly weight: number
}

export type Campaign = {
  readonly campaign_id: string
  readonly advertiser_id: string
  readonly name: string
  readonly status: 'active' | 'paused'
  /** Affiliate or buyer whose traffic this is, where the link names none. */
  readonly affiliate_id?: string
  readonly flows: readonly Flow[]
  /** How one of the regular flows that accept a visitor is found; left out: `weight`. */
  readonly rotation?: 'weight' | 'position'
  /** How many hours a visitor keeps the flow, offer and landing drawn for them, where these still accept them. */
  readonly bind?: { readonly flow_hours?: number; readonly offer_hours?: number; readonly landing_hours?: number }
  /** Which of its weights are learned from conversions, and how. */
  readonly optimize?: Optimize
  readonly unique_ttl_hours: number
  readonly fallback_url?: string
}

/** Weights of the regular flows, of the offers of each flow, of the landings of each offer or flow. */
export type OptimizedWeights = 'flows' | 'offers' | 'landings'

export type Optimize = OptimizeOptions & {
  readonly weights: readonly OptimizedWeights[]
  /** Clicks older than this are not looked at. */
  readonly window_days: number
}

/** A forced flow is tried before, a default flow after the regular ones. */
export type FlowKind = 'forced' | 'regular' | 'default'

export type Flow = {
  readonly flow_id: string
  readonly kind: FlowKind
  readonly status: 'active' | 'paused'
  /** Among the regular flows that accept the visitor one is drawn by weight; all 0: the first by position. */
  readonly weight: number
  /** Left out: accepts everyone. */
  readonly rule?: Rule
  /** Drawn by weight among those that are active. */
  readonly offers: readonly { readonly offer_id: string; readonly weight: number }[]
  /** Left out: the landings of the offer. */
  readonly landings?: readonly Landing[]
  /** What happens instead of an offer; `offers` and `landings` are empty then. */
  readonly action?: FlowAction
  /** Goes before that of the offer. */
  readonly redirect?: RedirectKind
  readonly referrer_policy?: ReferrerPolicy
}

/** `html`: the page is shown as it is, with macros filled. `campaign`: that campaign decides on. */
export type FlowAction =
  | { readonly kind: 'campaign'; readonly campaign_id: string }
  | { readonly kind: 'url'; readonly url: string }
  | { readonly kind: 'html'; readonly html: string }
  | { readonly kind: 'not_found' }

/** A short link: `GET /<code>`. Its parameters are those that the query does not give. */
export type Link = {
  readonly code: string
  readonly campaign_id?: string
  readonly flow_id?: string
  readonly offer_id?: string
  readonly affiliate_id?: string
  /** The link is hidden on a page, so that only programs follow it. */
  readonly trap?: true
}

/** What an outbound postback may be sent for. */
export type PostbackTrigger =
  'click' | 'lead' | 'sale' | 'rejected' | 'hold_released' | 'status_changed' | 'payout_changed' | 'event' | 'notice'

/** The only places that the endpoints of an advertiser may send to. A list that is left out allows everything public. */
export type PostbackAllow = {
  /** Hosts; `*.example.com` is every subdomain. */
  readonly domains?: readonly string[]
  /** Addresses or CIDR blocks: every address of the host must lie in one. */
  readonly addresses?: readonly string[]
}

/** A receiver of outbound postbacks. */
export type PostbackEndpoint = {
  readonly endpoint_id: string
  readonly name: string
  readonly status: 'active' | 'paused'
  /** All given parts must match the conversion; none given: every conversion of the installation. */
  readonly scope: {
    readonly advertiser_id?: string
    readonly affiliate_id?: string
    readonly campaign_id?: string
    readonly offer_id?: string
    /** Traffic source: `source_id` of the click. */
    readonly source_id?: string
  }
  readonly triggers: readonly PostbackTrigger[]
  /** Which of them it wants to hear of; left out: all. */
  readonly rule?: Rule
  /** Sent only where no endpoint of a narrower scope inside its own takes the same. */
  readonly yields?: true
  /** The ready-made template that it was filled from, for people. */
  readonly template?: string
  readonly method: 'GET' | 'POST'
  /** URL with macros. */
  readonly url: string
  /** POST: a JSON or form template with macros; left out: a standard JSON body. */
  readonly body?: string
  readonly content_type?: 'application/json' | 'application/x-www-form-urlencoded'
  /** Values with macros, by the name of the header. */
  readonly headers?: Readonly<Record<string, string>>
  /** Many messages in one request; left out: one request each. */
  readonly batch?: PostbackBatch
  /** What may have arrived and was not answered is never sent again; left out: it is. */
  readonly at_most_once?: true
  /** Messages of one click are sent one after the other; left out: as they come. */
  readonly ordered?: true
  /** Signing secret, `whsec_…` of Standard Webhooks; left out: unsigned. */
  readonly secret?: string
  /** What stands in URL, body and headers as `{secret.name}`, by name; put in when a message is sent. */
  readonly secrets?: Readonly<Record<string, string>>
  /** The secret before the last rotation: signs too, until `previous_secret_until`. */
  readonly previous_secret?: string
  /** Milliseconds since the epoch. */
  readonly previous_secret_until?: number
  /** Milliseconds for the whole attempt. */
  readonly timeout_ms: number
  readonly max_concurrency: number
  readonly max_attempts: number
  /** Attempts; left out: as fast as it answers. */
  readonly max_per_minute?: number
  /** Tries in a period of the calendar; what is above waits for the next one. */
  readonly quota?: { readonly count: number; readonly per: 'hour' | 'day' | 'month'; readonly zone: string }
  /** Waits after the first, second, … attempt instead of the usual ones; left out: 70 hours. */
  readonly retry?: { readonly schedule_seconds: readonly number[] }
  /** What an answer must be to count as a success; left out: any 2xx. */
  readonly success?: {
    /** `202` and `200-299`. */
    readonly statuses?: readonly string[]
    readonly body?: {
      /** One of them. */
      readonly contains?: readonly string[]
      /** None of them. */
      readonly not_contains?: readonly string[]
      /** RE2. */
      readonly matches?: string
    }
    readonly json?: { readonly path: string; readonly equals: string }
    /** What happens where the status was good and the rest was not; left out: `retry`. */
    readonly otherwise?: 'retry' | 'retry_briefly' | 'give_up'
  }
  /** Statuses after which nothing is tried again, as `success.statuses`. */
  readonly final_statuses?: readonly string[]
  /** What could not be delivered by then is given up. */
  readonly expires_hours: number
  /** Lets this endpoint be on a private or loopback address; off unless the operator says so. */
  readonly allow_private_address: boolean
  /** Whether it goes through the installation's proxy; left out: where there is one. True without one: it is not sent. */
  readonly via_proxy?: boolean
  /** That of its advertiser, put here when the snapshot is compiled. */
  readonly postback_allow?: PostbackAllow
}

/** How messages are put together into one request. A request goes out as soon as one of the three is reached. */
export type PostbackBatch = {
  readonly max_events: number
  /** Longest time that the first message waits for others. */
  readonly max_wait_ms: number
  readonly max_bytes: number
  /** `json_array`: `[…]`, `ndjson`: a line each, `wrapped`: `{"<wrapper_key>":[…]}`. */
  readonly format: 'json_array' | 'ndjson' | 'wrapped'
  readonly wrapper_key: string
}
