import { formatAmount } from '#platform/money'
import type { ClickRecord, SubName } from '#records'
import { macroNames, type MacroName } from '#routing'
import type { CausingConversion, DeliveryCause } from './delivery-causes.ts'

/** Everything that a macro can read. */
export type MacroFacts = {
  readonly cause: DeliveryCause
  readonly click: ClickRecord
  /** Absent for a click, and for an event that made no conversion. */
  readonly conversion: CausingConversion | undefined
  readonly eventId: string
  readonly names: NameBook
}

/** Names of the configuration's objects by id. */
export type NameBook = {
  readonly offers: ReadonlyMap<string, string>
  readonly campaigns: ReadonlyMap<string, string>
  readonly affiliates: ReadonlyMap<string, string>
  readonly advertisers: ReadonlyMap<string, string>
}

type Reader = (facts: MacroFacts) => string | undefined

/** A macro of postbacks, by its canonical name. */
export type Macro = {
  readonly name: PostbackMacroName
  /** A number stands in JSON without quotes. */
  readonly isNumber: boolean
  /** Takes an inline map: {status:lead=1 sale=2 *=0}. */
  readonly takesMap: boolean
  /** Never told to an affiliate: refused in an endpoint whose scope names one. */
  readonly isConfidential: boolean
  /** The value without control characters; empty where there is none. */
  readonly read: (facts: MacroFacts) => string
}

/** Control characters and line separators never belong into a value and are the tool of header injection. */
const CONTROL = /[\p{Cc}\u2028\u2029]/gu
const clean = (value: string): string => value.replace(CONTROL, '').toWellFormed()

const seconds = (ms: number): string => String(Math.floor(ms / 1000))
const iso = (ms: number): string => new Date(ms).toISOString()
const money = (amount: bigint | number | undefined): string | undefined =>
  amount === undefined ? undefined : formatAmount(BigInt(amount))
const clickWord = ({ cause }: MacroFacts) => (cause.trigger === 'click' ? 'click' : undefined)
const eventOf = ({ cause }: MacroFacts) => (cause.trigger === 'event' ? cause.event : undefined)
/** An absent transaction id is `-` in the database and nothing to a partner. */
const givenTxid = (txid: string | undefined): string | undefined => (txid === '-' ? undefined : txid)
const offerIdOf = ({ conversion, click }: MacroFacts) => conversion?.offerId ?? click.offer_id
const campaignIdOf = ({ conversion, click }: MacroFacts) => conversion?.campaignId ?? click.campaign_id
const affiliateIdOf = ({ conversion, click }: MacroFacts) => conversion?.affiliateId ?? click.affiliate_id
const advertiserIdOf = ({ conversion, click }: MacroFacts) => conversion?.advertiserId ?? click.advertiser_id
const nameIn = (book: ReadonlyMap<string, string>, id: string | undefined): string | undefined =>
  id === undefined ? undefined : book.get(id)

/** `lead`, `sale` or `rejected`; for an event without a conversion the event's name; `click` for a click. */
export const statusWord = ({ conversion, cause }: MacroFacts): string => {
  if (conversion === undefined) return cause.trigger === 'event' ? cause.event.type : cause.trigger
  return conversion.status === 'rejected' ? 'rejected' : conversion.type
}

/** Macros that have a meaning for postbacks only; those of links come on top with their aliases. */
const readersOfPostbacksOnly = {
  event_id: (f) => f.eventId,
  trigger: (f) => f.cause.trigger,
  conversion_status: (f) => f.conversion?.status,
  advertiser_revenue: (f) => money(f.conversion?.revenueMicros),
  affiliate_name: (f) => nameIn(f.names.affiliates, affiliateIdOf(f)),
  advertiser_name: (f) => nameIn(f.names.advertisers, advertiserIdOf(f)),
} satisfies Record<string, Reader>

const readersOfLinkMacros: Readonly<Record<Exclude<MacroName, `sub${number}`>, Reader>> = {
  click_id: (f) => f.click.click_id,
  external_id: (f) => f.click.external_click_id,
  visitor_code: (f) => f.click.visitor_code,
  advertiser_id: advertiserIdOf,
  affiliate_id: affiliateIdOf,
  campaign_id: campaignIdOf,
  campaign_name: (f) => nameIn(f.names.campaigns, campaignIdOf(f)),
  flow_id: (f) => f.click.flow_id,
  offer_id: offerIdOf,
  offer_name: (f) => nameIn(f.names.offers, offerIdOf(f)),
  landing_id: (f) => f.click.landing_id,
  link_code: (f) => f.click.link_code,
  source_id: (f) => f.click.source_id,
  ad_campaign_id: (f) => f.click.ad_campaign_id,
  creative_id: (f) => f.click.creative_id,
  cost: (f) => money(f.click.cost_micros),
  cost_currency: (f) => f.click.currency,
  utm_source: (f) => f.click.utm_source,
  utm_medium: (f) => f.click.utm_medium,
  utm_campaign: (f) => f.click.utm_campaign,
  utm_term: (f) => f.click.utm_term,
  utm_content: (f) => f.click.utm_content,
  country: (f) => f.click.country,
  region: (f) => f.click.region,
  city: (f) => f.click.city,
  isp: (f) => f.click.isp,
  asn: (f) => f.click.asn?.toString(),
  ip: (f) => f.click.ip,
  user_agent: (f) => f.click.user_agent,
  language: (f) => f.click.language,
  os: (f) => f.click.os,
  os_version: (f) => f.click.os_version,
  browser: (f) => f.click.browser,
  browser_version: (f) => f.click.browser_version,
  device_type: (f) => f.click.device_type,
  device_brand: (f) => f.click.device_brand,
  device_model: (f) => f.click.device_model,
  referrer: (f) => f.click.referrer,
  domain: (f) => f.click.domain,
  click_timestamp: (f) => seconds(f.click.at),
  click_date: (f) => iso(f.click.at),
  timestamp: (f) => seconds(f.cause.at),
  date: (f) => iso(f.cause.at),
  // Different for each message and the same in its attempts, so that a retry is the same request.
  random: (f) => f.eventId.slice(-12) + f.eventId.slice(0, 4),
  conversion_id: (f) => f.conversion?.conversionId,
  status: statusWord,
  raw_status: (f) => f.conversion?.rawStatus ?? undefined,
  type: (f) => f.conversion?.type ?? eventOf(f)?.type ?? clickWord(f),
  goal: (f) => f.conversion?.goal ?? eventOf(f)?.type,
  txid: (f) => givenTxid(f.conversion?.txid ?? eventOf(f)?.txid),
  payout: (f) => money(f.conversion?.payoutMicros),
  sale_amount: (f) => money(f.conversion?.saleAmountMicros ?? eventOf(f)?.amount_micros),
  currency: (f) => f.conversion?.currency ?? eventOf(f)?.currency,
}

export type PostbackMacroName = MacroName | keyof typeof readersOfPostbacksOnly

const readers: Readonly<Record<string, Reader>> = { ...readersOfLinkMacros, ...readersOfPostbacksOnly }
const NUMBERS: ReadonlySet<string> = new Set([
  ...['payout', 'sale_amount', 'advertiser_revenue', 'cost', 'timestamp', 'click_timestamp', 'asn'],
])
const MAPPED: ReadonlySet<string> = new Set(['status', 'conversion_status', 'raw_status', 'type', 'goal', 'trigger'])
const CONFIDENTIAL: ReadonlySet<string> = new Set(['advertiser_revenue'])

const isSub = (name: string): name is SubName => /^sub([1-9]|[12]\d|30)$/.test(name)

function makeMacro(name: PostbackMacroName): Macro {
  const read: Reader = isSub(name) ? (facts) => facts.click[name] : readers[name]!
  return {
    name,
    isNumber: NUMBERS.has(name),
    takesMap: MAPPED.has(name),
    isConfidential: CONFIDENTIAL.has(name),
    read: (facts) => clean(read(facts) ?? ''),
  }
}

const canonical = new Map<string, Macro>(
  [...new Set<PostbackMacroName>([...macroNames.values(), ...(Object.keys(readersOfPostbacksOnly) as PostbackMacroName[])])] // prettier-ignore
    .map((name) => [name, makeMacro(name)]),
)

/** The macro of that name or alias, in either case. docs/macros.md lists them; a test compares the two. */
export function findMacro(name: string): Macro | undefined {
  const lower = name.toLowerCase()
  return canonical.get(macroNames.get(lower) ?? lower)
}

/** Canonical names of all macros of postbacks. */
export const postbackMacroNames: readonly string[] = [...canonical.keys()]
