import { macroNames } from '#routing'
import { postbackMacroNames } from './macros.ts'

/** What each macro is filled with, for people. The thirty sub ids share one line. */
const meanings: Readonly<Record<string, string>> = {
  click_id: 'Our click id.',
  external_id: "The traffic source's click id.",
  event_id: 'Id of this message, the same in every attempt and replay.',
  conversion_id: 'Our conversion id.',
  txid: 'Transaction id of the advertiser.',
  status: '`lead`, `sale` or `rejected`; for an event without a conversion its name. Takes a map.',
  conversion_status: '`pending`, `approved` or `rejected`. Takes a map.',
  raw_status: "The advertiser's own status word. Takes a map.",
  type: '`lead` or `sale`; for an event without a conversion its name. Takes a map.',
  goal: 'Event or goal that was reached. Takes a map.',
  trigger: 'Why this was sent: one of the triggers of the endpoint. Takes a map.',
  payout: 'What the affiliate earns, decimal.',
  sale_amount: 'Size of the sale, or the amount of an event, decimal.',
  advertiser_revenue: 'What the advertiser pays, decimal. Refused in an endpoint whose scope names an affiliate.',
  currency: 'ISO 4217 code of the amounts.',
  cost: 'Cost of the click as its link gave it, decimal.',
  cost_currency: 'Its currency.',
  sub1: 'Sub id 1 of the click; `sub2` to `sub30` likewise, with the same aliases.',
  offer_id: 'Offer.',
  offer_name: 'Its name.',
  campaign_id: 'Campaign.',
  campaign_name: 'Its name.',
  affiliate_id: 'Affiliate.',
  affiliate_name: 'Its name.',
  advertiser_id: 'Advertiser.',
  advertiser_name: 'Its name.',
  flow_id: 'Flow that the click took.',
  landing_id: 'Landing that the click went to.',
  link_code: 'Short link that was clicked.',
  source_id: 'Traffic source.',
  ad_campaign_id: 'Campaign at the traffic source.',
  creative_id: 'Creative at the traffic source.',
  utm_source: 'UTM parameter of the click.',
  utm_medium: 'UTM parameter of the click.',
  utm_campaign: 'UTM parameter of the click.',
  utm_term: 'UTM parameter of the click.',
  utm_content: 'UTM parameter of the click.',
  visitor_code: 'First-party visitor id.',
  country: 'ISO 3166-1 code of the country, upper case.',
  region: 'Region.',
  city: 'City.',
  isp: 'Internet provider.',
  asn: 'Number of its network.',
  ip: 'Address of the visitor.',
  user_agent: 'User agent of the visitor.',
  language: 'First language of the browser.',
  os: 'Operating system.',
  os_version: 'Its version.',
  browser: 'Browser.',
  browser_version: 'Its version.',
  device_type: 'desktop, mobile, tablet, …',
  device_brand: 'Maker of the device.',
  device_model: 'Its model.',
  referrer: 'Page on which the link was.',
  domain: 'Host name that was clicked.',
  timestamp: 'When it happened, Unix seconds.',
  date: 'When it happened, ISO 8601 in UTC.',
  click_timestamp: 'When the click was, Unix seconds.',
  click_date: 'When the click was, ISO 8601 in UTC.',
  random: 'Sixteen hex digits, different in each message and the same in its attempts.',
}

function aliasesOf(name: string): readonly string[] {
  return [...macroNames].filter(([alias, canonical]) => canonical === name && alias !== name).map(([alias]) => alias)
}

/** Every macro of postbacks with its aliases and meaning, in the order of docs/macros.md. */
export const macroMeanings: Readonly<Record<string, string>> = Object.fromEntries(
  Object.entries(meanings).map(([name, meaning]) => {
    const aliases = aliasesOf(name).map((alias) => `\`${alias}\``)
    return [name, aliases.length === 0 ? meaning : `${meaning} Also ${aliases.join(', ')}.`]
  }),
)

/** Macros that have no meaning on record; a test keeps it empty. */
export const undescribedMacros: readonly string[] = postbackMacroNames.filter(
  (name) => !Object.hasOwn(meanings, name) && !/^sub\d+$/.test(name),
)
