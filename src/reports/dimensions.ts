import type { Role } from '#accounts'

import { everyone, notAffiliates } from './visibility.ts'

/** What a report can be grouped and filtered by. The same columns stand in clicks, events and conversions. */
export type Dimension = {
  readonly name: string
  readonly description: string
  /** `date` and `hour` are made of the time, `key` of sub2's pairs; the others are a column. */
  readonly kind: 'date' | 'hour' | 'column' | 'sub2_key'
  /** Column or key. */
  readonly of: string
  readonly visibleTo: readonly Role[]
}

const column = (name: string, description: string, visibleTo = everyone): Dimension => ({
  ...{ name, description, kind: 'column', of: name, visibleTo },
})

const listed: readonly Dimension[] = [
  {
    name: 'date',
    description: 'Day in the zone of the report, YYYY-MM-DD',
    kind: 'date',
    of: 'at',
    visibleTo: everyone,
  },
  {
    name: 'hour',
    description: 'Hour in the zone of the report, ISO 8601 with offset',
    kind: 'hour',
    of: 'at',
    visibleTo: everyone,
  },
  column('advertiser_id', 'Advertiser'),
  column('campaign_id', 'Campaign'),
  column('flow_id', 'Flow'),
  column('offer_id', 'Offer'),
  column('landing_id', 'Landing page'),
  column('affiliate_id', 'Affiliate'),
  column('source_id', 'Traffic source'),
  column('ad_campaign_id', "Traffic source's campaign"),
  column('creative_id', 'Creative'),
  column('country', 'Country, ISO 3166-1 alpha-2'),
  column('region', 'Region'),
  column('city', 'City'),
  column('isp', 'Internet provider'),
  column('device_type', 'Kind of device'),
  column('device_brand', 'Brand of the device'),
  column('os', 'Operating system'),
  column('browser', 'Browser'),
  column('language', 'First language of the browser'),
  // Whoever knows by what they are judged learns how to stay below it.
  column('fraud_reason', 'Rule that gave the click most points of fraud; empty: no rule did', notAffiliates),
  ...Array.from({ length: 30 }, (_, index) => column(`sub${index + 1}`, `Sub id ${index + 1}`)),
  column('utm_source', 'utm_source'),
  column('utm_medium', 'utm_medium'),
  column('utm_campaign', 'utm_campaign'),
  column('utm_term', 'utm_term'),
  column('utm_content', 'utm_content'),
]

/** Every dimension with a name of its own; besides them there is `sub2.<key>` for each key of sub2. */
export const dimensions: ReadonlyMap<string, Dimension> = new Map(
  listed.map((dimension) => [dimension.name, dimension]),
)

/** `sub2.geo`: the value of one key of `sub2=geo-TR|dev-mobile`. */
export const SUB2_KEY_DIMENSION = /^sub2\.([A-Za-z0-9_]{1,50})$/

/** The dimension of this name; undefined where there is none. */
export function findDimension(name: string): Dimension | undefined {
  const known = dimensions.get(name)
  if (known !== undefined) return known
  const key = SUB2_KEY_DIMENSION.exec(name)?.[1]
  return key === undefined
    ? undefined
    : { name, description: `Value of the sub2 key ${key}`, kind: 'sub2_key', of: key, visibleTo: everyone }
}

/** The dimensions that somebody of this role may see, in their usual order. */
export const visibleDimensions = (role: Role): readonly Dimension[] =>
  listed.filter(({ visibleTo }) => visibleTo.includes(role))
