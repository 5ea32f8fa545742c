import type { ClickId } from '#platform/ids'
import type { RefusalReason } from './reasons.ts'

/** What the edge writes into the event log. Empty and unknown values are left out, so that a record stays small.
 * Field names are those of the facts' columns. `at` is the edge's clock in milliseconds since the epoch.
 */
export type LoggedRecord = ClickRecord | EventRecord | PostbackRecord

/** How a request for a link was classified. Only `click` counts as a click. */
export type TrafficClass = 'click' | 'head' | 'prefetch' | 'preview'

/** What a request for a link was answered with. */
export type ClickOutcome = 'redirected' | 'shown' | 'fallback' | 'not_found'

export type SubNumber =
  | 1 | 2 | 3 | 4 | 5 | 6 | 7 | 8 | 9 | 10 | 11 | 12 | 13 | 14 | 15
  | 16 | 17 | 18 | 19 | 20 | 21 | 22 | 23 | 24 | 25 | 26 | 27 | 28 | 29 | 30 // prettier-ignore
export type SubName = `sub${SubNumber}`
/** The 30 sub ids of a click, each at most 255 characters. */
export type Subs = { readonly [name in SubName]?: string }

export const subNames: readonly SubName[] = Array.from({ length: 30 }, (_, index) => `sub${index + 1}` as SubName)

export type Utm = {
  readonly utm_source?: string
  readonly utm_medium?: string
  readonly utm_campaign?: string
  readonly utm_term?: string
  readonly utm_content?: string
}

/** Where an address is. Codes and names as the geo databases give them. */
export type Place = {
  /** ISO 3166-1 alpha-2, upper case. */
  readonly country?: string
  readonly region?: string
  readonly city?: string
  readonly asn?: number
  readonly isp?: string
  readonly is_proxy?: true
  readonly is_hosting?: true
}

export type DeviceType = 'desktop' | 'mobile' | 'tablet' | 'tv' | 'console' | 'wearable' | 'bot' | 'other'

/** What a user agent and its client hints say. */
export type Device = {
  readonly os?: string
  readonly os_version?: string
  readonly browser?: string
  readonly browser_version?: string
  readonly device_type?: DeviceType
  readonly device_brand?: string
  readonly device_model?: string
}

/** Why a visitor is taken for a bot. Classified, never dropped. */
export type BotReason = 'user_agent' | 'empty_user_agent' | 'datacentre'

export type VisitorFacts = Place &
  Device & {
    readonly ip: string
    readonly user_agent?: string
    /** First language of Accept-Language, lower case, e.g. `en-us`. */
    readonly language?: string
    readonly bot?: BotReason
  }

/** Which objects of the configuration a click belongs to. */
export type Assignment = {
  readonly advertiser_id?: string
  readonly campaign_id?: string
  readonly flow_id?: string
  readonly landing_id?: string
  readonly offer_id?: string
  readonly affiliate_id?: string
}

export type ClickRecord = Assignment &
  VisitorFacts &
  Subs &
  Utm & {
    readonly kind: 'click'
    readonly click_id: ClickId
    readonly at: number
    readonly class: TrafficClass
    readonly outcome: ClickOutcome
    /** Why it did not go to an offer; left out where it did. */
    readonly refusal?: RefusalReason
    /** Accepted pairs of `sub2`, see parseSub2. */
    readonly sub2_keys?: Readonly<Record<string, string>>
    readonly visitor_code?: string
    readonly link_code?: string
    readonly source_id?: string
    readonly ad_campaign_id?: string
    readonly creative_id?: string
    /** The traffic source's click id (parameter `external_id`). */
    readonly external_click_id?: string
    /** Integer micros of `currency`. */
    readonly cost_micros?: number
    readonly currency?: string
    readonly referrer?: string
    /** How fast the connection is, where the browser tells it: `slow-2g`, `2g`, `3g` or `4g`. */
    readonly connection?: string
    /** Host the click came in on. */
    readonly domain?: string
    /** Version of the configuration that decided. */
    readonly config_version: number
    /** The decision, encoded by routing (encodeTrace); at most 100 bytes on average. */
    readonly trace: string
    /** The verdict on it with all reasons, encoded by encodeVerdict (#fraud); left out where there are none. */
    readonly fraud?: string
    /** Points of the verdict, 1 to 100. */
    readonly fraud_score?: number
    /** The reason with the most points, by the name of its rule. */
    readonly fraud_reason?: string
  }

export const builtInEventTypes = ['open', 'lp_click', 'reg', 'deposit', 'sale', 'lead', 'lp_leave'] as const
export type BuiltInEventType = (typeof builtInEventTypes)[number]

export type EventRecord = VisitorFacts & {
  readonly kind: 'event'
  /** Made by the sender (kept through its retries) or the edge; a UUID. */
  readonly event_id: string
  readonly at: number
  /** Absent only where `refusal` says why. */
  readonly click_id?: ClickId
  /** A built-in type or a custom name that an offer declares, lower case. */
  readonly type: string
  readonly txid?: string
  /** Integer micros of `currency`. */
  readonly amount_micros?: number
  readonly currency?: string
  readonly sub2_keys?: Readonly<Record<string, string>>
  readonly visitor_code?: string
  readonly time_on_page_ms?: number
  readonly ts_client?: number
  readonly tz?: string
  readonly screen?: string
  readonly connection?: string
  readonly site?: string
  readonly referrer?: string
  readonly refusal?: RefusalReason
  /** The refused event as it came, cut to 2 048 characters. */
  readonly raw?: string
}

export type PostbackRecord = {
  readonly kind: 'postback'
  /** UUIDv7 made by the edge. */
  readonly postback_id: string
  readonly at: number
  readonly via: 'postback' | 'pixel'
  readonly ip: string
  readonly user_agent?: string
  /** Our click id as received, even where it is no UUID. */
  readonly raw_click_id?: string
  readonly click_id?: ClickId
  /** Offers whose secret, signature or open door this request satisfied; the click's offer must be among them. */
  readonly authenticated_offer_ids?: readonly string[]
  /** SHA-256 of the signature, hex; claims it against replays. */
  readonly signature_digest?: string
  /** The partner's own status word, kept for ever as received. */
  readonly raw_status?: string
  /** The partner's goal or event name as received. */
  readonly raw_goal?: string
  readonly txid?: string
  /** What the sender says it pays us, integer micros of `currency`. */
  readonly amount_micros?: number
  /** Size of the sale, where it is given apart from the payout. */
  readonly sale_amount_micros?: number
  readonly currency?: string
  /** The query and body as received with secrets masked, cut to 2 048 characters. */
  readonly raw: string
  /** What the edge could already tell; the pipeline decides the rest. */
  readonly refusal?: RefusalReason
}
