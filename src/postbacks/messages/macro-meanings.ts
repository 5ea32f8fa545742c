import { macroNames } from '#routing'
import { postbackMacroNames } from './macros.ts'

/** What each macro is filled with, for people. The thirty sub ids share one line. */
const meanings: Readonly<Record<string, string>> = {
  click_id: 'Our click id.',
  external_id: "The traffic source's click id.",
  event_id: 'Id of this message, the same in every attempt and replay.',
  conversion_id: 'Our conversion id.',
  txid: 'Transaction id of the advertiser.',
  status: '`lead`, `sale` or `rejected`; for an event without a conversion its name; for a click `click`. Takes a map.',
  conversion_status: '`pending`, `approved` or `rejected`. Takes a map.',
  raw_status: "The advertiser's own status word. Takes a map.",
  type: '`lead` or `sale`; for an event without a conversion its name; for a click `click`. Takes a map.',
  goal: 'Event or goal that was reached. Takes a map.',
  trigger: 'Why this was sent: one of the triggers of the endpoint. Takes a map.',
  payout: 'What the affiliate earns, decimal.',
  sale_amount: 'Size of the sale, or the amount of an event, decimal.',
  advertiser_revenue: 'What the advertiser pays, decimal. Refused in an endpoint whose scope names an affiliate.',
  profit: 'What is left of it after the payout, decimal. Refused likewise.',
  currency: 'ISO 4217 code of the amounts.',
  cost: 'Cost of the click as its link gave it, decimal.',
  cost_currency: 'Its currency.',
  revision: 'Counts the states of the conversion from 1.',
  hold_until: 'When its approved payout leaves hold, ISO 8601 in UTC.',
  is_hold_released: '`1` once its payout has left hold, else `0`.',
  conversion_date: 'When the conversion was made, ISO 8601 in UTC.',
  conversion_timestamp: 'The same in Unix seconds.',
  sub1: 'Sub id 1 of the click; `sub2` to `sub30` likewise, with the same aliases. `sub2.geo` is the value of a key of `sub2=geo-TR|dev-mobile`.',
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
  device_type: 'desktop, mobile, tablet, … Takes a map.',
  device_brand: 'Maker of the device.',
  device_model: 'Its model.',
  connection: 'How fast the connection is, where the browser tells it: `slow-2g`, `2g`, `3g` or `4g`. Takes a map.',
  is_proxy: '`1` where the address is a proxy, else `0`.',
  is_hosting: '`1` where it belongs to a data centre, else `0`.',
  is_bot: '`1` where the visitor is taken for a program, else `0`.',
  bot_reason: 'Why. Takes a map.',
  fraud_score: 'Points of the click, 0 to 100.',
  fraud_reason: 'The rule with the most points.',
  referrer: 'Page on which the link was.',
  domain: 'Host name that was clicked.',
  timestamp: 'When it happened, Unix seconds.',
  date: 'When it happened, ISO 8601 in UTC. Takes a format, as the other dates.',
  click_timestamp: 'When the click was, Unix seconds.',
  click_date: 'When the click was, ISO 8601 in UTC.',
  random: 'Sixteen hex digits, different in each message and the same in its attempts. Takes a range.',
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
