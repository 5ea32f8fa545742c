import { subNames, type BotReason } from '#records'
import { continentOf, continents, countries } from './continents.ts'
import type { RuleFacts, RuleParameters, RuleVisitor, UniqueScope } from './facts.ts'
import { hostOfUrl, pathOfUrl } from './hosts.ts'
import type { RuleContext, RuleOp } from './rule.ts'

export const factsTables = ['clicks', 'events', 'conversions'] as const
/** Tables of the facts whose rows a report filters. */
export type FactsTable = (typeof factsTables)[number]

type Described = {
  readonly name: string
  /** Other names that are taken for it; rules are stored with `name`. */
  readonly aliases: readonly string[]
  /** Where its value is known. */
  readonly contexts: readonly RuleContext[]
  readonly description: string
  /** Column of the facts. */
  readonly column?: string
  /** Tables that have the column; left out: all. */
  readonly tables?: readonly FactsTable[]
}

type WordForm = { readonly pattern: RegExp; readonly expected: string }

type Texts = Described & {
  readonly kind: 'text' | 'word' | 'host' | 'language' | 'version' | 'reason'
  /** All the words that there are; left out: any text. */
  readonly words?: readonly string[]
  /** What a word to compare with as a whole must look like. */
  readonly form?: WordForm
  readonly read: (facts: RuleFacts) => string | undefined
  /** Place of its lower-case text among those that the facts keep; left out: not kept, since it may change or is of lower case. */
  readonly slot?: number
}
type Numbers = Described & {
  readonly kind: 'number' | 'money'
  /** Letters that people write before the number, in either case; rules are stored without them. */
  readonly prefix?: string
  /** Money in integer micros. */
  readonly read: (facts: RuleFacts) => number | undefined
}
type Flags = Described & { readonly kind: 'flag'; readonly read: (facts: RuleFacts) => boolean }
type Address = Described & { readonly kind: 'address' }
type Time = Described & { readonly kind: 'time' }
type Scope = Described & { readonly kind: 'scope' }

/** Something that a rule can ask for. */
export type RuleField = Texts | Numbers | Flags | Address | Time | Scope
export type FieldKind = RuleField['kind']

const everywhere: readonly RuleContext[] = ['click', 'event', 'conversion', 'report']
const visit: readonly RuleContext[] = ['click', 'event', 'conversion']
const outcome: readonly RuleContext[] = ['conversion', 'report']

const textOps: readonly RuleOp[] = ['is', 'is_not', 'in', 'not_in', 'contains', 'starts_with', 'ends_with', 'matches', 'exists'] // prettier-ignore
const orderOps: readonly RuleOp[] = ['is', 'is_not', 'in', 'not_in', 'between', 'exists']

/** Comparisons that make sense for each kind of field. */
export const opsOfKind: Readonly<Record<FieldKind, readonly RuleOp[]>> = {
  text: textOps,
  word: textOps,
  host: textOps,
  language: textOps,
  reason: textOps,
  number: [...orderOps, 'contains', 'starts_with'],
  money: orderOps,
  version: orderOps,
  flag: ['is', 'is_not', 'in', 'not_in'],
  address: ['is', 'is_not', 'in', 'not_in', 'exists'],
  time: ['is', 'is_not', 'in', 'not_in', 'between'],
  scope: ['is', 'is_not', 'in', 'not_in'],
}

/** The kinds in words, for messages and docs. */
export const kindWords: Readonly<Record<FieldKind, string>> = {
  text: 'text',
  word: 'word',
  host: 'host name',
  language: 'language',
  reason: 'word',
  number: 'number',
  money: 'money',
  version: 'version',
  flag: 'flag',
  address: 'address',
  time: 'time',
  scope: 'word',
}

export const uniqueScopes: readonly UniqueScope[] = ['campaign', 'offer', 'global']

let slots = 0
const nextSlot = (): number => slots++

type VisitorText = Exclude<keyof RuleVisitor, 'asn' | 'is_proxy' | 'is_hosting' | 'ip'>
type ParameterText = Exclude<keyof RuleParameters, 'sub2_keys' | 'cost_micros'>
type More = Partial<Pick<Texts, 'kind' | 'aliases' | 'contexts' | 'words' | 'form' | 'tables'>>

const factText = (
  name: string,
  column: string,
  description: string,
  read: (facts: RuleFacts) => string | undefined,
  more: More,
): RuleField => ({
  kind: 'text',
  name,
  aliases: [],
  contexts: everywhere,
  column,
  description,
  read,
  slot: nextSlot(),
  ...more,
})

/** A field of the visitor that has the name of its column. */
const visitorText = (
  name: VisitorText,
  description: string,
  read: (visitor: RuleVisitor) => string | undefined,
  more: More = {},
): RuleField => factText(name, name, description, (facts) => read(facts.visitor), more)

const parameterText = (
  name: string,
  of: ParameterText,
  description: string,
  read: (parameters: RuleParameters) => string | undefined,
  more: More = {},
): RuleField => factText(name, of, description, (facts) => read(facts.parameters), more)

const assignedText = (
  name: 'advertiser_id' | 'campaign_id' | 'flow_id' | 'landing_id' | 'offer_id' | 'affiliate_id' | 'link_code',
  description: string,
  read: (facts: RuleFacts) => string | undefined,
  more: More = {},
): RuleField => ({
  kind: 'text',
  name,
  aliases: [],
  contexts: everywhere,
  column: name,
  description,
  read,
  ...more,
})

const visitorFlag = (
  name: 'is_proxy' | 'is_hosting',
  description: string,
  read: (facts: RuleFacts) => boolean,
): RuleField => ({
  kind: 'flag',
  name,
  aliases: [],
  contexts: everywhere,
  column: name,
  description,
  read,
})

const conversionMoney = (
  name: string,
  of: 'payout_micros' | 'revenue_micros' | 'sale_amount_micros',
  description: string,
  read: (facts: RuleFacts) => number | undefined,
): RuleField => ({
  kind: 'money',
  name,
  aliases: [],
  contexts: outcome,
  column: of,
  tables: ['conversions'],
  description,
  read,
})

const onlyClicks: readonly FactsTable[] = ['clicks']
const onlyConversions: readonly FactsTable[] = ['conversions']
const clicksAndEvents: readonly FactsTable[] = ['clicks', 'events']

function readContinent({ visitor }: RuleFacts): string | undefined {
  return visitor.country === undefined ? undefined : continentOf(visitor.country)
}

function readReferrerHost({ parameters }: RuleFacts): string | undefined {
  return parameters.referrer === undefined ? undefined : hostOfUrl(parameters.referrer)
}

function readReferrerPath({ parameters }: RuleFacts): string | undefined {
  return parameters.referrer === undefined ? undefined : pathOfUrl(parameters.referrer)
}

function readCtitSeconds({ conversion }: RuleFacts): number | undefined {
  if (conversion?.click_at === undefined) return undefined
  return (conversion.at - conversion.click_at) / 1_000
}

const countryForm: WordForm = {
  pattern: new RegExp(`^(?:${countries.join('|')})$`),
  expected: 'a country code: ISO 3166-1 alpha-2 in upper case, like DE or GB',
}
const currencyForm: WordForm = { pattern: /^[A-Z]{3}$/, expected: 'a currency code: ISO 4217 in upper case, like USD' }
const botReasons: readonly BotReason[] = ['user_agent', 'empty_user_agent', 'datacentre']
const deviceTypes = ['desktop', 'mobile', 'tablet', 'tv', 'console', 'wearable', 'bot', 'other']

/** Every field that has a name of its own, in the order of docs/rules.md. */
export const ruleFields: readonly RuleField[] = [
  visitorText('country', 'Country of the address, ISO 3166-1 alpha-2 such as `DE`', ({ country }) => country, { kind: 'word', form: countryForm }),
  visitorText('region', 'Region of the address, as the geo database names it', ({ region }) => region),
  visitorText('city', 'City of the address, as the geo database names it', ({ city }) => city),
  {
    kind: 'word', name: 'continent', aliases: [], contexts: everywhere, column: 'country', words: continents,
    description: 'Continent of the country: `AF`, `AN`, `AS`, `EU`, `NA`, `OC` or `SA`',
    read: readContinent, slot: nextSlot(),
  },
  {
    kind: 'number', name: 'asn', aliases: [], contexts: everywhere, column: 'asn', tables: factsTables,
    prefix: 'AS', description: 'Number of the network (autonomous system): `3320` or `AS3320`', read: (facts) => facts.visitor.asn,
  },
  visitorText('isp', 'Internet provider: name of the network', ({ isp }) => isp, { aliases: ['provider'] }),
  visitorText('connection', 'Speed or kind of connection, where the browser tells it: `slow-2g`, `2g`, `3g`, `4g`; of events also `wifi`, `cellular`, …', ({ connection }) => connection, {
    aliases: ['connection_type'],
  }),
  visitorFlag('is_proxy', 'Whether the address is a known proxy', (facts) => facts.visitor.is_proxy ?? false),
  visitorFlag('is_hosting', 'Whether the address belongs to a data centre', (facts) => facts.visitor.is_hosting ?? false),
  visitorText('device_type', 'Kind of device: `desktop`, `mobile`, `tablet`, `tv`, `console`, `wearable`, `bot` or `other`', ({ device_type }) => device_type, {
    kind: 'word', words: deviceTypes, aliases: ['device'],
  }),
  visitorText('device_brand', 'Brand of the device', ({ device_brand }) => device_brand, { aliases: ['brand'] }),
  visitorText('device_model', 'Model of the device', ({ device_model }) => device_model, { aliases: ['model'] }),
  visitorText('os', 'Operating system', ({ os }) => os),
  visitorText('os_version', 'Version of the operating system', ({ os_version }) => os_version, { kind: 'version', tables: factsTables }),
  visitorText('browser', 'Browser', ({ browser }) => browser),
  visitorText('browser_version', 'Version of the browser', ({ browser_version }) => browser_version, { kind: 'version', tables: factsTables }),
  visitorText('language', 'First language of the browser: `en` takes every `en-…`, `en-gb` only itself', ({ language }) => language, { kind: 'language' }),
  visitorText('user_agent', 'User agent as sent', ({ user_agent }) => user_agent, { tables: clicksAndEvents }),
  {
    kind: 'reason', name: 'bot', aliases: [], contexts: everywhere, column: 'bot', words: botReasons,
    description: 'Why the visitor is taken for a bot: `any`, `none` or a reason such as `user_agent`, `empty_user_agent`, `datacentre`',
    read: (facts) => facts.visitor.bot, slot: nextSlot(),
  },
  {
    kind: 'address', name: 'ip', aliases: ['address'], contexts: everywhere, column: 'ip', tables: clicksAndEvents,
    description: 'Address of the visitor: addresses and CIDR blocks, IPv4 and IPv6',
  },
  parameterText('referrer', 'referrer', 'Page that the visitor came from, whole', ({ referrer }) => referrer, {
    aliases: ['referer'], tables: clicksAndEvents,
  }),
  {
    kind: 'host', name: 'referrer_host', aliases: ['referer_host'], contexts: everywhere, column: 'referrer_host',
    description: 'Host of the referrer; `*.facebook.com` takes facebook.com and every host below it',
    read: readReferrerHost, slot: nextSlot(),
  },
  {
    kind: 'text', name: 'referrer_path', aliases: ['referer_path'], contexts: visit,
    description: 'Path of the referrer, without the query',
    read: readReferrerPath, slot: nextSlot(),
  },
  ...subNames.map((name, index) =>
    parameterText(name, name, `Sub id ${index + 1}`, (parameters) => parameters[name], { aliases: [`sub_id_${index + 1}`] }),
  ),
  ...(['utm_source', 'utm_medium', 'utm_campaign', 'utm_term', 'utm_content'] as const).map((name) =>
    parameterText(name, name, `Parameter ${name}`, (parameters) => parameters[name]),
  ),
  parameterText('source_id', 'source_id', 'Traffic source', ({ source_id }) => source_id, { aliases: ['source'] }),
  parameterText('ad_campaign_id', 'ad_campaign_id', "Campaign of the traffic source", ({ ad_campaign_id }) => ad_campaign_id),
  parameterText('creative_id', 'creative_id', 'Creative', ({ creative_id }) => creative_id),
  parameterText('external_id', 'external_click_id', "Click id of the traffic source", ({ external_click_id }) => external_click_id, { aliases: ['external_click_id'] }),
  assignedText('affiliate_id', 'Affiliate or buyer', (facts) => facts.assigned.affiliate_id, { aliases: ['aff_id'] }),
  assignedText('advertiser_id', 'Advertiser', (facts) => facts.assigned.advertiser_id),
  assignedText('campaign_id', 'Campaign', (facts) => facts.assigned.campaign_id),
  assignedText('flow_id', 'Flow', (facts) => facts.assigned.flow_id),
  assignedText('offer_id', 'Offer', (facts) => facts.assigned.offer_id),
  assignedText('landing_id', 'Landing page', (facts) => facts.assigned.landing_id),
  assignedText('link_code', 'Code of the short link', (facts) => facts.assigned.link_code, { aliases: ['link'], tables: onlyClicks }),
  parameterText('domain', 'domain', 'Host that the click came in on; `*.example.com` as for `referrer_host`', ({ domain }) => domain, {
    kind: 'host', tables: onlyClicks,
  }),
  {
    kind: 'time', name: 'time', aliases: [], contexts: everywhere, column: 'at',
    description: 'Weekdays and hours in a zone, or dates: see “Time”',
  },
  {
    kind: 'scope', name: 'unique', aliases: [], contexts: ['click', 'report'], column: 'is_unique_campaign', tables: onlyClicks,
    description: 'Where the visitor is new: `campaign`, `offer` or `global` (the whole installation)',
  },
  {
    kind: 'money', name: 'cost', aliases: [], contexts: everywhere, column: 'cost_micros', tables: onlyClicks,
    description: 'What the click cost, in its currency', read: (facts) => facts.parameters.cost_micros,
  },
  {
    kind: 'word', form: currencyForm, name: 'currency', aliases: [], contexts: everywhere, column: 'currency',
    description: 'Currency of the conversion, else of the cost, ISO 4217',
    read: (facts) => (facts.conversion === undefined ? facts.parameters.currency : facts.conversion.currency),
  },
  {
    kind: 'text', name: 'type', aliases: [], contexts: ['event', 'conversion', 'report'], column: 'type', tables: ['events', 'conversions'],
    description: 'Type of the conversion (`lead`, `sale`) or of the event (`reg`, `deposit`, …)', read: (facts) => facts.conversion?.type,
  },
  {
    kind: 'word', name: 'status', aliases: [], contexts: outcome, column: 'status', tables: onlyConversions,
    words: ['pending', 'approved', 'rejected'],
    description: 'Status of the conversion: `pending`, `approved` or `rejected`', read: (facts) => facts.conversion?.status,
  },
  {
    kind: 'text', name: 'goal', aliases: [], contexts: outcome, column: 'goal', tables: onlyConversions,
    description: 'Goal of the conversion: the name of its event', read: (facts) => facts.conversion?.goal,
  },
  conversionMoney('payout', 'payout_micros', 'Payout of the conversion, in its currency', (facts) => facts.conversion?.payout_micros),
  conversionMoney('revenue', 'revenue_micros', 'Revenue of the conversion, in its currency', (facts) => facts.conversion?.revenue_micros),
  conversionMoney('amount', 'sale_amount_micros', 'Size of the sale, in its currency', (facts) => facts.conversion?.sale_amount_micros),
  {
    kind: 'number', name: 'ctit_seconds', aliases: ['ctit'], contexts: outcome, column: 'at', tables: onlyConversions,
    description: 'Seconds from the click to the conversion', read: readCtitSeconds,
  },
] // prettier-ignore

/** Texts that the facts of one click keep in lower case. */
export const SLOTS = slots

const byName: ReadonlyMap<string, RuleField> = new Map(
  ruleFields.flatMap((field) => [field.name, ...field.aliases].map((name) => [name, field] as const)),
)

/** Fields with a name that goes on after a point. */
export const fieldFamilies = [
  {
    prefix: 'sub2.',
    placeholder: 'sub2.<key>',
    contexts: everywhere,
    description: 'Value of a key of `sub2=geo-TR|dev-mobile`: `sub2.geo`',
    rest: /^\w{1,50}$/,
  },
  {
    prefix: 'query.',
    placeholder: 'query.<name>',
    contexts: ['click'] as readonly RuleContext[],
    description: 'Any parameter of the request by its name; letters, digits and `_ . ~ - [ ]`, at most 64',
    rest: /^[\w.~[\]-]{1,64}$/,
  },
] as const

function familyField(name: string): RuleField | undefined {
  const family = fieldFamilies.find(({ prefix }) => name.startsWith(prefix))
  if (family === undefined) return undefined
  const rest = name.slice(family.prefix.length)
  if (!family.rest.test(rest)) return undefined
  const shared = {
    kind: 'text',
    name,
    aliases: [],
    contexts: family.contexts,
    description: family.description,
  } as const
  return family.prefix === 'sub2.'
    ? { ...shared, column: 'sub2_keys', read: (facts) => sub2Value(facts, rest) }
    : { ...shared, read: (facts) => facts.query?.(rest) }
}

/** A key such as `constructor` is none of the record's own. */
function sub2Value({ parameters }: RuleFacts, key: string): string | undefined {
  const keys = parameters.sub2_keys
  return keys !== undefined && Object.hasOwn(keys, key) ? keys[key] : undefined
}

/** The field of a name or alias; undefined where no rule can ask for it. */
export const findField = (name: string): RuleField | undefined => byName.get(name) ?? familyField(name)
