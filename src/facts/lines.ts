import { hostOfUrl } from '#rules'
import { subNames, type ClickRecord, type EventRecord, type RefusalReason } from '#records'

import { LineBuffer } from './line-buffer.ts'

/** Columns of a click that its events and conversions repeat, so that no report joins. */
export const clickDimensions = [
  ...(['advertiser_id', 'campaign_id', 'flow_id', 'landing_id', 'offer_id', 'affiliate_id'] as const),
  ...(['source_id', 'ad_campaign_id', 'creative_id', 'external_click_id'] as const),
  ...subNames,
  ...(['utm_source', 'utm_medium', 'utm_campaign', 'utm_term', 'utm_content'] as const),
  ...(['country', 'region', 'city', 'asn', 'isp', 'is_proxy', 'is_hosting'] as const),
  ...(['os', 'os_version', 'browser', 'browser_version', 'device_type', 'device_brand', 'device_model'] as const),
  ...(['language', 'connection', 'bot', 'fraud', 'fraud_score', 'fraud_reason'] as const),
] satisfies readonly (keyof ClickRecord)[]

/** Where a row comes from; no other row has the same. */
export type RowOrigin = { readonly partition: string; readonly offset: number }

/** What the pipeline knows of a click beside its record. */
export type ClickFindings = {
  readonly isUniqueInCampaign: boolean
  readonly isUniqueInOffer: boolean
  /** The visitor's first click anywhere in the installation, for as long as the click's campaign or offer remembers visitors. */
  readonly isUniqueAnywhere: boolean
  /** As referrerHostOf gives it. */
  readonly referrerHost: string
}

/** Host of the page that a click came from, in lower case; empty where there is none. */
export const referrerHostOf = ({ referrer }: Pick<ClickRecord, 'referrer'>): string =>
  referrer === undefined ? '' : hostOfUrl(referrer)

/** A text as JSON that holds ASCII only. */
const asciiJson = (text: string): string =>
  JSON.stringify(text).replaceAll(/[^\x20-\x7e]/g, (unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, '0')}`)

/** A click's row is its log record as it was written: the record's fields are named like the columns, so nothing is built anew.
 * @param payload tag byte and JSON object, as encodeRecord makes it
 */
export function addClickLine(lines: LineBuffer, payload: Buffer, found: ClickFindings, origin: RowOrigin): void {
  const { isUniqueInCampaign, isUniqueInOffer, isUniqueAnywhere, referrerHost } = found
  const host = referrerHost === '' ? '' : `"referrer_host":${asciiJson(referrerHost)},`
  lines.addObject(
    payload.subarray(1),
    `"is_unique_campaign":${isUniqueInCampaign},"is_unique_offer":${isUniqueInOffer},"is_unique_global":${isUniqueAnywhere},${host}` +
      `"log_partition":${JSON.stringify(origin.partition)},"log_offset":${origin.offset}`,
  )
}

/** An event's row: its own fields and the dimensions of its click.
 * @param click undefined: no click has its id
 * @param refusal why it does not count; undefined: it counts
 */
export function addEventLine(
  lines: LineBuffer,
  event: EventRecord,
  click: ClickRecord | undefined,
  refusal: RefusalReason | undefined,
  origin: RowOrigin,
): void {
  lines.addText(
    JSON.stringify({
      ...pickDimensions(click ?? event),
      at: event.at,
      event_id: event.event_id,
      click_id: event.click_id,
      click_at: click?.at,
      type: event.type,
      refusal,
      sub2_keys: event.sub2_keys ?? click?.sub2_keys,
      visitor_code: event.visitor_code ?? click?.visitor_code,
      txid: event.txid,
      amount_micros: event.amount_micros,
      currency: event.currency,
      time_on_page_ms: within(event.time_on_page_ms, 0, UINT32_MAX),
      ts_client: within(event.ts_client, CLIENT_TIME_MIN, CLIENT_TIME_MAX),
      tz: event.tz,
      screen: event.screen,
      referrer_host: click && referrerHostOf(click),
      page_connection: event.connection,
      site: event.site,
      referrer: event.referrer,
      ip: event.ip,
      user_agent: event.user_agent,
      raw: event.raw,
      log_partition: origin.partition,
      log_offset: origin.offset,
    }),
  )
}

const UINT32_MAX = 2 ** 32 - 1
/** A page's clock may say anything; ClickHouse reads 13 digits as milliseconds and less as seconds. */
const CLIENT_TIME_MIN = 1_000_000_000_000
const CLIENT_TIME_MAX = 4_102_444_800_000

const within = (value: number | undefined, min: number, max: number): number | undefined =>
  value !== undefined && Number.isInteger(value) && value >= min && value <= max ? value : undefined

/** One revision of a conversion as the facts need it. Amounts as decimal text of micros. */
export type ConversionState = {
  readonly status: string
  readonly raw_status: string | null
  readonly payout_micros: string
  readonly revenue_micros: string
  readonly sale_amount_micros: string
}

export type ConversionRevisionFact = {
  readonly seq: string
  readonly revision: number
  readonly conversion_id: string
  readonly click_id: string
  readonly type: string
  readonly goal: string
  readonly txid: string
  readonly currency: string
  /** Milliseconds since the epoch. */
  readonly createdAt: number
  readonly revisedAt: number
  readonly advertiser_id: string
  readonly affiliate_id: string | null
  readonly campaign_id: string | null
  readonly offer_id: string
  readonly click: ClickRecord
  readonly state: ConversionState
  /** Of the revision before; undefined for the first. */
  readonly before: ConversionState | undefined
}

/** The rows of a revision: its values with sign 1 and, after the first, the values before it with sign -1. */
export function addConversionLines(lines: LineBuffer, fact: ConversionRevisionFact): void {
  if (fact.before !== undefined) lines.addText(conversionRow(fact, fact.before, -1))
  lines.addText(conversionRow(fact, fact.state, 1))
}

const conversionRow = (fact: ConversionRevisionFact, state: ConversionState, sign: 1 | -1): string =>
  JSON.stringify({
    ...pickDimensions(fact.click),
    at: fact.createdAt,
    conversion_id: fact.conversion_id,
    revision: fact.revision,
    sign,
    seq: fact.seq,
    revised_at: fact.revisedAt,
    click_id: fact.click_id,
    click_at: fact.click.at,
    type: fact.type,
    goal: fact.goal,
    status: state.status,
    raw_status: state.raw_status ?? undefined,
    advertiser_id: fact.advertiser_id,
    campaign_id: fact.campaign_id ?? undefined,
    offer_id: fact.offer_id,
    affiliate_id: fact.affiliate_id ?? undefined,
    sub2_keys: fact.click.sub2_keys,
    visitor_code: fact.click.visitor_code,
    referrer_host: referrerHostOf(fact.click),
    txid: fact.txid,
    payout_micros: state.payout_micros,
    revenue_micros: state.revenue_micros,
    sale_amount_micros: state.sale_amount_micros,
    currency: fact.currency,
  })

function pickDimensions(record: ClickRecord | EventRecord): Record<string, unknown> {
  const source = record as Readonly<Record<string, unknown>>
  const dimensions: Record<string, unknown> = {}
  for (const name of clickDimensions) if (source[name] !== undefined) dimensions[name] = source[name]
  return dimensions
}
