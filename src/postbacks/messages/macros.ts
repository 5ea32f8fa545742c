import { formatAmount } from '#platform/money'
import type { ClickRecord, SubName } from '#records'
import { macroNames, type MacroName } from '#routing'
import type { CausingConversion, DeliveryCause } from './delivery-causes.ts'
import { trackerAliases } from './macro-aliases.ts'

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
export type NameBook = Readonly<
  Record<'offers' | 'campaigns' | 'affiliates' | 'advertisers', Pick<ReadonlyMap<string, string>, 'get'>>
>

type Reader = (facts: MacroFacts) => string | undefined
type AmountReader = (facts: MacroFacts) => bigint | undefined
type TimeReader = (facts: MacroFacts) => number | undefined

/** What a macro stands for decides which functions it takes: `{status:lead=1}`, `{payout:2}`, `{date:Y-m-d}`, `{random:1,9}`. */
export type MacroKind = 'text' | 'word' | 'number' | 'money' | 'time' | 'random'

/** A macro of postbacks, by its canonical name. */
export type Macro = {
  /** A canonical name, or `sub2.` and a key. */
  readonly name: string
  readonly kind: MacroKind
  /** Never told to an affiliate: refused in an endpoint whose scope names one. */
  readonly isConfidential: boolean
  /** The value without control characters; empty where there is none. */
  readonly read: (facts: MacroFacts) => string
  /** The value as it was given, for places where control characters are a reason not to send. */
  readonly readRaw: (facts: MacroFacts) => string
  /** Money: micros of the currency; undefined where there is none. */
  readonly readMicros?: AmountReader
  readonly readCurrency?: Reader
  /** Time: milliseconds since the epoch. */
  readonly readTime?: TimeReader
}

/** Control characters and line separators never belong into a value and are the tool of header injection. */
const CONTROL = /[\p{Cc}\u2028\u2029]/gu
const clean = (value: string): string => value.replace(CONTROL, '').toWellFormed()
export const hasControl = (value: string): boolean => value.search(CONTROL) >= 0

const seconds = (ms: number): string => String(Math.floor(ms / 1000))
const iso = (ms: number): string => new Date(ms).toISOString()
const clickWord = ({ cause }: MacroFacts) => (cause.trigger === 'click' ? 'click' : undefined)
const currencyOf: Reader = (f) => f.conversion?.currency ?? eventOf(f)?.currency
const flag = (value: boolean | undefined): string => (value === true ? '1' : '0')
const bigintOf = (amount: number | undefined): bigint | undefined => (amount === undefined ? undefined : BigInt(amount))
const eventOf = ({ cause }: MacroFacts) => (cause.trigger === 'event' ? cause.event : undefined)
/** An absent transaction id is `-` in the database and nothing to a partner. */
const givenTxid = (txid: string | undefined): string | undefined => (txid === '-' ? undefined : txid)
const offerIdOf = ({ conversion, click }: MacroFacts) => conversion?.offerId ?? click.offer_id
const campaignIdOf = ({ conversion, click }: MacroFacts) => conversion?.campaignId ?? click.campaign_id
const affiliateIdOf = ({ conversion, click }: MacroFacts) => conversion?.affiliateId ?? click.affiliate_id
const advertiserIdOf = ({ conversion, click }: MacroFacts) => conversion?.advertiserId ?? click.advertiser_id
const nameIn = (book: NameBook['offers'], id: string | undefined): string | undefined =>
  id === undefined ? undefined : book.get(id)

/** `lead`, `sale` or `rejected`; for an event without a conversion the event's name; `click` for a click. */
export const statusWord = ({ conversion, cause }: MacroFacts): string => {
  if (conversion === undefined) return cause.trigger === 'event' ? cause.event.type : cause.trigger
  return conversion.status === 'rejected' ? 'rejected' : conversion.type
}

type LinkAmount = 'payout' | 'sale_amount' | 'cost'
type LinkTime = 'date' | 'click_date'

/** Macros that have a meaning for postbacks only; those of links come on top with their aliases. */
const readersOfPostbacksOnly = {
  event_id: (f) => f.eventId,
  trigger: (f) => f.cause.trigger,
  conversion_status: (f) => f.conversion?.status,
  revision: (f) => f.conversion?.revision.toString(),
  is_hold_released: (f) => (f.conversion?.isHoldReleased === undefined ? undefined : flag(f.conversion.isHoldReleased)),
  conversion_timestamp: (f) => f.conversion && seconds(f.conversion.createdAt.getTime()),
  connection: (f) => f.click.connection,
  is_proxy: (f) => flag(f.click.is_proxy),
  is_hosting: (f) => flag(f.click.is_hosting),
  is_bot: (f) => flag(f.click.bot !== undefined),
  bot_reason: (f) => f.click.bot,
  fraud_score: (f) => String(f.click.fraud_score ?? 0),
  fraud_reason: (f) => f.click.fraud_reason,
  affiliate_name: (f) => nameIn(f.names.affiliates, affiliateIdOf(f)),
  advertiser_name: (f) => nameIn(f.names.advertisers, advertiserIdOf(f)),
} satisfies Record<string, Reader>

/** Those of links that are neither money nor dates. */
const readersOfLinkMacros: Readonly<Record<Exclude<MacroName, `sub${number}` | LinkAmount | LinkTime>, Reader>> = {
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
  timestamp: (f) => seconds(f.cause.at),
  // Different for each message and the same in its attempts, so that a retry is the same request.
  random: (f) => f.eventId.slice(-12) + f.eventId.slice(0, 4),
  conversion_id: (f) => f.conversion?.conversionId,
  status: statusWord,
  raw_status: (f) => f.conversion?.rawStatus ?? undefined,
  type: (f) => f.conversion?.type ?? eventOf(f)?.type ?? clickWord(f),
  goal: (f) => f.conversion?.goal ?? eventOf(f)?.type,
  txid: (f) => givenTxid(f.conversion?.txid ?? eventOf(f)?.txid),
  currency: currencyOf,
}

/** Integer micros of `currency`, those of `cost` of its own. */
const amountReaders = {
  payout: (f) => f.conversion?.payoutMicros,
  sale_amount: (f) => f.conversion?.saleAmountMicros ?? bigintOf(eventOf(f)?.amount_micros),
  advertiser_revenue: (f) => f.conversion?.revenueMicros,
  profit: (f) => f.conversion && f.conversion.revenueMicros - f.conversion.payoutMicros,
  cost: (f) => bigintOf(f.click.cost_micros),
} satisfies Record<string, AmountReader>

const timeReaders = {
  date: (f) => f.cause.at,
  click_date: (f) => f.click.at,
  conversion_date: (f) => f.conversion?.createdAt.getTime(),
  hold_until: (f) => f.conversion?.holdUntil?.getTime(),
} satisfies Record<string, TimeReader>

const readers: Readonly<Record<string, Reader>> = { ...readersOfLinkMacros, ...readersOfPostbacksOnly }
const NUMBERS: ReadonlySet<string> = new Set([
  ...['timestamp', 'click_timestamp', 'conversion_timestamp', 'asn', 'revision', 'fraud_score'],
  ...['is_hold_released', 'is_proxy', 'is_hosting', 'is_bot'],
])
const WORDS: ReadonlySet<string> = new Set([
  ...[
    'status',
    'conversion_status',
    'raw_status',
    'type',
    'goal',
    'trigger',
    'device_type',
    'connection',
    'bot_reason',
  ],
])
const CONFIDENTIAL: ReadonlySet<string> = new Set(['advertiser_revenue', 'profit'])

const isSub = (name: string): name is SubName => /^sub([1-9]|[12]\d|30)$/.test(name)

const textMacro = (name: string, kind: MacroKind, read: Reader): Macro => ({
  name,
  kind,
  isConfidential: false,
  read: (facts) => clean(read(facts) ?? ''),
  readRaw: (facts) => read(facts) ?? '',
})

function moneyMacro(name: string, readMicros: AmountReader): Macro {
  const read: Reader = (facts) => {
    const amount = readMicros(facts)
    return amount === undefined ? undefined : formatAmount(amount)
  }
  const readCurrency: Reader = name === 'cost' ? (facts) => facts.click.currency : currencyOf
  return { ...textMacro(name, 'money', read), isConfidential: CONFIDENTIAL.has(name), readMicros, readCurrency }
}

function timeMacro(name: string, readTime: TimeReader): Macro {
  const read: Reader = (facts) => {
    const at = readTime(facts)
    return at === undefined ? undefined : iso(at)
  }
  return { ...textMacro(name, 'time', read), readTime }
}

const kindOf = (name: string): MacroKind => {
  if (name === 'random') return 'random'
  if (WORDS.has(name)) return 'word'
  return NUMBERS.has(name) ? 'number' : 'text'
}

function makeMacro(name: string): Macro {
  if (isSub(name)) return textMacro(name, 'text', (facts) => facts.click[name])
  const amount: AmountReader | undefined = (amountReaders as Record<string, AmountReader>)[name]
  if (amount !== undefined) return moneyMacro(name, amount)
  const time: TimeReader | undefined = (timeReaders as Record<string, TimeReader>)[name]
  return time === undefined ? textMacro(name, kindOf(name), readers[name]!) : timeMacro(name, time)
}

const canonical = new Map<string, Macro>(
  [
    ...new Set([
      ...macroNames.values(),
      ...Object.keys({ ...readersOfPostbacksOnly, ...amountReaders, ...timeReaders }),
    ]),
  ].map((name) => [name, makeMacro(name)]),
)

/** Keys of sub2 as a link may bring them: `sub2=geo-TR|dev-mobile` has geo and dev. */
const SUB2_KEY = /^sub2\.([a-z0-9_]{1,32})$/i

const readKey = (keys: Readonly<Record<string, string>> | undefined, key: string): string | undefined =>
  keys !== undefined && Object.hasOwn(keys, key) ? keys[key] : undefined

/** The macro of that name or alias, in either case. docs/macros.md lists them; a test compares the two. */
export function findMacro(name: string): Macro | undefined {
  const lower = name.toLowerCase()
  const key = SUB2_KEY.exec(name)?.[1]
  if (key !== undefined) return textMacro(`sub2.${key}`, 'text', ({ click }) => readKey(click.sub2_keys, key))
  return canonical.get(macroNames.get(lower) ?? trackerAliases.get(lower) ?? lower)
}

/** Canonical names of all macros of postbacks. */
export const postbackMacroNames: readonly string[] = [...canonical.keys()]
