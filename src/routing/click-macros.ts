import { subNames, type ClickRecord } from '#records'
import type { MacroName } from './macros.ts'
import type { CompiledSnapshot } from './compile-snapshot.ts'
import { hashText } from './draw.ts'

type ClickMacro = (click: ClickRecord, config: CompiledSnapshot) => string | undefined

/** Money of the record as decimal text. Costs are small numbers: six decimals of a double are exact up to 9 billion. */
const decimal = (micros: number): string => String(micros / 1_000_000)

const dayOf = (at: number): string => new Date(at).toISOString().slice(0, 10)

/** What each macro stands for when a click is sent on; those that only a conversion has are missing here. */
const clickMacros: ReadonlyMap<string, ClickMacro> = new Map(
  Object.entries({
    click_id: (click) => click.click_id,
    external_id: (click) => click.external_click_id,
    visitor_code: (click) => click.visitor_code,
    advertiser_id: (click) => click.advertiser_id,
    affiliate_id: (click) => click.affiliate_id,
    campaign_id: (click) => click.campaign_id,
    campaign_name: (click, config) => config.campaigns.get(click.campaign_id ?? '')?.campaign.name,
    flow_id: (click) => click.flow_id,
    offer_id: (click) => click.offer_id,
    offer_name: (click, config) => config.offers.get(click.offer_id ?? '')?.offer.name,
    landing_id: (click) => click.landing_id,
    link_code: (click) => click.link_code,
    source_id: (click) => click.source_id,
    ad_campaign_id: (click) => click.ad_campaign_id,
    creative_id: (click) => click.creative_id,
    cost: (click) => (click.cost_micros === undefined ? undefined : decimal(click.cost_micros)),
    cost_currency: (click) => click.currency,
    currency: (click, config) => config.offers.get(click.offer_id ?? '')?.offer.currency,
    utm_source: (click) => click.utm_source,
    utm_medium: (click) => click.utm_medium,
    utm_campaign: (click) => click.utm_campaign,
    utm_term: (click) => click.utm_term,
    utm_content: (click) => click.utm_content,
    country: (click) => click.country,
    region: (click) => click.region,
    city: (click) => click.city,
    isp: (click) => click.isp,
    asn: (click) => click.asn?.toString(),
    ip: (click) => click.ip,
    user_agent: (click) => click.user_agent,
    language: (click) => click.language,
    os: (click) => click.os,
    os_version: (click) => click.os_version,
    browser: (click) => click.browser,
    browser_version: (click) => click.browser_version,
    device_type: (click) => click.device_type,
    device_brand: (click) => click.device_brand,
    device_model: (click) => click.device_model,
    referrer: (click) => click.referrer,
    domain: (click) => click.domain,
    click_timestamp: (click) => String(Math.floor(click.at / 1000)),
    click_date: (click) => dayOf(click.at),
    timestamp: (click) => String(Math.floor(click.at / 1000)),
    date: (click) => dayOf(click.at),
    // A hash of the click id: a repeat of the decision gives the same URL again.
    random: (click) => String(hashText(click.click_id)),
    ...Object.fromEntries(subNames.map((name) => [name, (click: ClickRecord) => click[name]])),
  } satisfies Partial<Record<MacroName, ClickMacro>>),
)

/** Whether a macro has a value when a click is sent on; the others stand for a conversion. */
export const isClickMacro = (name: MacroName): boolean => clickMacros.has(name)

/** Value of a macro of a click.
 * - Times are UTC: seconds since the epoch, YYYY-MM-DD.
 * - `status`, `payout` and other macros of a conversion have no value here.
 */
export function clickMacro(click: ClickRecord, config: CompiledSnapshot, name: MacroName): string | undefined {
  return clickMacros.get(name)?.(click, config)
}
