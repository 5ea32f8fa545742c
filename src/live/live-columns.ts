import type { Role } from '#accounts'
import { subNames } from '#records'

import type { LiveTable } from './ask-live.ts'

/** A column of a row as it is shown, and who may see it. */
export type LiveColumn = {
  readonly name: string
  /** Expression in ClickHouse. */
  readonly sql: string
  readonly kind: 'text' | 'time' | 'money' | 'number' | 'flag'
  readonly visibleTo: readonly Role[]
}

const everyone: readonly Role[] = ['owner', 'advertiser', 'affiliate']
/** What an advertiser pays and how it judges traffic is none of the affiliate's business. */
const notAffiliates: readonly Role[] = ['owner', 'advertiser']

const column = (name: string, kind: LiveColumn['kind'] = 'text', visibleTo = everyone): LiveColumn => ({
  ...{ name, kind, visibleTo },
  sql: kind === 'text' ? `toString(${name})` : name,
})
const time = (name: string): LiveColumn => ({ ...column(name, 'time'), sql: `toUnixTimestamp64Milli(${name})` })
const money = (name: string, visibleTo = everyone): LiveColumn => ({
  ...column(name, 'money', visibleTo),
  sql: `${name}_micros`,
})
const texts = (...names: readonly string[]): readonly LiveColumn[] => names.map((name) => column(name))

/** The column is an IPv6 one, which shows `192.0.2.1` as `::ffff:192.0.2.1`. */
const ip: LiveColumn = {
  ...column('ip', 'text', notAffiliates),
  sql: `replaceRegexpOne(toString(ip), '^::ffff:([0-9]+[.][0-9.]+)$', '\\\\1')`,
}

const dimensions: readonly LiveColumn[] = [
  ...texts('advertiser_id', 'campaign_id', 'flow_id', 'landing_id', 'offer_id', 'affiliate_id', 'source_id'),
  ...texts('ad_campaign_id', 'creative_id', 'external_click_id', ...subNames),
  ...texts('utm_source', 'utm_medium', 'utm_campaign', 'utm_term', 'utm_content'),
  ...texts('country', 'region', 'city', 'isp', 'os', 'browser', 'device_type', 'device_brand', 'language', 'bot'),
  column('fraud_score', 'number', notAffiliates),
  column('fraud_reason', 'text', notAffiliates),
]

/** What is shown of a click, an event and a revision of a conversion. */
export const liveColumns: Readonly<Record<LiveTable, readonly LiveColumn[]>> = {
  clicks: [
    time('at'),
    ...texts('click_id', 'class', 'outcome'),
    column('refusal', 'text', notAffiliates),
    ...dimensions,
    column('is_unique_campaign', 'flag'),
    column('is_unique_offer', 'flag'),
    money('cost', notAffiliates),
    column('currency', 'text', notAffiliates),
    ...texts('domain', 'referrer'),
    column('user_agent', 'text', notAffiliates),
    ip,
  ],
  events: [
    time('at'),
    ...texts('event_id', 'click_id', 'type'),
    column('refusal', 'text', notAffiliates),
    ...dimensions,
    ...texts('txid'),
    money('amount'),
    ...texts('currency', 'site', 'referrer'),
    column('user_agent', 'text', notAffiliates),
    column('time_on_page_ms', 'number'),
    ip,
  ],
  conversions: [
    time('at'),
    time('revised_at'),
    column('revision', 'number'),
    ...texts('conversion_id', 'click_id', 'type', 'goal', 'status'),
    ...dimensions,
    ...texts('txid'),
    money('payout'),
    money('revenue', notAffiliates),
    money('sale_amount'),
    ...texts('currency'),
  ],
}

/** Columns of a table that a role may see. */
export const visibleColumns = (table: LiveTable, role: Role): readonly LiveColumn[] =>
  liveColumns[table].filter(({ visibleTo }) => visibleTo.includes(role))
