import type { Role } from '#accounts'

import { everyone, notAffiliates, ownerOnly } from '../visibility.ts'

/** The logs that the facts hold. */
export const factsLogs = ['clicks', 'events', 'conversions'] as const
export type FactsLog = (typeof factsLogs)[number]

/** What a column holds, and so how each format writes it. */
export type LogType = 'text' | 'id' | 'time' | 'number' | 'money' | 'flag' | 'pairs'

/** A column of a log: what it is called, what it means, who may see it. Pages and exports are made of the same list. */
export type LogColumn = {
  readonly name: string
  /** For people: the head of a column. */
  readonly title: string
  readonly type: LogType
  /** Expression over the table. */
  readonly sql: string
  readonly visibleTo: readonly Role[]
}

type More = { readonly type?: LogType; readonly sql?: string; readonly visibleTo?: readonly Role[] }

const column = (name: string, title: string, { type = 'text', sql = name, visibleTo = everyone }: More = {}): LogColumn => ({
  ...{ name, title, type, sql, visibleTo },
}) // prettier-ignore

const hidden: More = { visibleTo: notAffiliates }
const time = (name: string, title: string): LogColumn => column(name, title, { type: 'time' })
const id = (name: string, title: string): LogColumn => column(name, title, { type: 'id' })
const number = (name: string, title: string): LogColumn => column(name, title, { type: 'number' })
const flag = (name: string, title: string): LogColumn => column(name, title, { type: 'flag' })
const money = (name: string, title: string, more: More = {}): LogColumn =>
  column(name, title, { type: 'money', sql: `${name}_micros`, ...more })

/** The column is an IPv6 one, which shows `192.0.2.1` as `::ffff:192.0.2.1`; people write the former. */
const address = column('ip', 'Address', {
  ...hidden,
  sql: `replaceRegexpOne(toString(ip), '^::ffff:([0-9]+[.])', '\\\\1')`,
})

const who = [
  column('advertiser_id', 'Advertiser'),
  column('affiliate_id', 'Affiliate'),
  column('campaign_id', 'Campaign'),
  column('flow_id', 'Flow'),
  column('landing_id', 'Landing page'),
  column('offer_id', 'Offer'),
  column('source_id', 'Traffic source'),
  column('ad_campaign_id', 'Ad campaign'),
  column('creative_id', 'Creative'),
  column('external_click_id', 'External click id'),
]
const labels = [
  ...Array.from({ length: 30 }, (_, index) => column(`sub${index + 1}`, `Sub ${index + 1}`)),
  column('sub2_keys', 'Sub 2 keys', { type: 'pairs' }),
  ...['utm_source', 'utm_medium', 'utm_campaign', 'utm_term', 'utm_content'].map((name) => column(name, name)),
]
const visitor = [
  column('country', 'Country'),
  column('region', 'Region'),
  column('city', 'City'),
  number('asn', 'ASN'),
  column('isp', 'Provider'),
  column('connection', 'Connection'),
  column('is_proxy', 'Proxy', { ...hidden, type: 'flag' }),
  column('is_hosting', 'Hosting', { ...hidden, type: 'flag' }),
  column('device_type', 'Device'),
  column('device_brand', 'Brand'),
  column('device_model', 'Model'),
  column('os', 'OS'),
  column('os_version', 'OS version'),
  column('browser', 'Browser'),
  column('browser_version', 'Browser version'),
  column('language', 'Language'),
  column('referrer_host', 'Referrer'),
  column('bot', 'Bot'),
]
// Whoever knows by what they are judged learns how to stay below it.
const judged = [
  column('fraud_score', 'Fraud score', { ...hidden, type: 'number' }),
  column('fraud_reason', 'Fraud', hidden),
  column('fraud', 'Fraud verdict', hidden),
  column('visitor_code', 'Visitor', hidden),
]

const lists: Readonly<Record<FactsLog, readonly LogColumn[]>> = {
  clicks: [
    time('at', 'Time'),
    id('click_id', 'Click'),
    column('class', 'Class'),
    column('outcome', 'Outcome'),
    column('refusal', 'Refusal', hidden),
    ...who,
    ...labels,
    ...visitor,
    ...judged,
    flag('is_unique_campaign', 'Unique in the campaign'),
    flag('is_unique_offer', 'Unique for the offer'),
    column('is_unique_global', 'Unique anywhere', { type: 'flag', visibleTo: ownerOnly }),
    column('link_code', 'Link'),
    money('cost', 'Cost', hidden),
    column('currency', 'Currency', hidden),
    address,
    column('user_agent', 'User agent', hidden),
    column('referrer', 'Referrer address'),
    column('domain', 'Domain'),
    number('config_version', 'Configuration'),
  ],
  events: [
    time('at', 'Time'),
    column('event_id', 'Event id'),
    column('type', 'Event'),
    column('refusal', 'Refusal', hidden),
    id('click_id', 'Click'),
    time('click_at', 'Click time'),
    ...who,
    ...labels,
    ...visitor,
    ...judged,
    column('txid', 'Transaction'),
    money('amount', 'Amount'),
    column('currency', 'Currency'),
    number('time_on_page_ms', 'Time on page, ms'),
    time('ts_client', 'Time of the page'),
    column('tz', 'Zone of the page'),
    column('screen', 'Screen'),
    column('page_connection', 'Connection of the page'),
    column('site', 'Site'),
    address,
    column('user_agent', 'User agent', hidden),
    column('referrer', 'Referrer address'),
    // As it was sent: it may hold what the sender should have kept.
    column('raw', 'As received', hidden),
  ],
  conversions: [
    time('at', 'Time'),
    id('conversion_id', 'Conversion'),
    column('type', 'Type'),
    column('goal', 'Goal'),
    column('status', 'Status'),
    column('raw_status', 'Raw status'),
    number('revision', 'Revision'),
    time('revised_at', 'Revised'),
    id('click_id', 'Click'),
    time('click_at', 'Click time'),
    ...who,
    column('txid', 'Transaction'),
    money('payout', 'Payout'),
    money('revenue', 'Revenue', hidden),
    money('sale_amount', 'Sale amount'),
    column('currency', 'Currency'),
    ...labels,
    ...visitor,
    ...judged,
  ],
}

/** Every column of a log, in its usual order. */
export const logColumns = (log: FactsLog): readonly LogColumn[] => lists[log]

/** Those that somebody of this role may see. */
export const visibleLogColumns = (log: FactsLog, role: Role): readonly LogColumn[] =>
  lists[log].filter(({ visibleTo }) => visibleTo.includes(role))

const NO_TIME = `toDateTime64(0, 3, 'UTC')`

/** A column as text of CSV and JSON: times in ISO 8601 (UTC), money as decimal text with two to six digits. */
export function textSql({ type, sql }: LogColumn): string {
  switch (type) {
    case 'time':
      return `if(${sql} <= ${NO_TIME}, '', concat(replaceOne(toString(${sql}), ' ', 'T'), 'Z'))`
    case 'money':
      return `replaceRegexpOne(toDecimalString(CAST(${sql} AS Decimal(38, 6)) / 1000000, 6), '0{1,4}$', '')`
    case 'id':
    case 'text':
      return `toString(${sql})`
    case 'number':
    case 'flag':
    case 'pairs':
      return sql
    default:
      return type satisfies never
  }
}

/** A column as a cell of CSV: text that a spreadsheet would take for a formula has an apostrophe before it. */
export function csvSql(column: LogColumn): string {
  if (column.type === 'pairs') return guardSql(`if(empty(${column.sql}), '', toJSONString(${column.sql}))`)
  return column.type === 'text' ? guardSql(textSql(column)) : textSql(column)
}

/** The same characters as `guardFormula` in ../formats/csv.ts. */
const guardSql = (text: string): string => `replaceRegexpOne(${text}, '^[=+\\\\-@\\t\\r]', '''\\\\0')`

/** A column with its type, for formats that have types: times stay times, money is Decimal(38, 6). */
export function typedSql({ type, sql }: LogColumn): string {
  switch (type) {
    case 'time':
      return `nullIf(${sql}, ${NO_TIME})`
    case 'money':
      return `CAST(${sql} AS Decimal(38, 6)) / 1000000`
    case 'id':
    case 'text':
      return `toString(${sql})`
    case 'pairs':
      return `toJSONString(${sql})`
    case 'number':
    case 'flag':
      return sql
    default:
      return type satisfies never
  }
}
