import type { Advertiser, Affiliate, Campaign, Link, Offer, PostbackEndpoint } from '#routing'
import type { FraudSettings } from '#fraud'
import type { NamedLists } from '#rules'
import type { SectionName } from './file-schema.ts'

/** The whole configuration by id, in the shapes of the snapshot: as it stands in the tables, or as a file wants it. */
export type Objects = {
  readonly advertisers: Map<string, Advertiser>
  readonly affiliates: Map<string, Affiliate>
  readonly offers: Map<string, Offer>
  readonly campaigns: Map<string, Campaign>
  readonly links: Map<string, Link>
  readonly endpoints: Map<string, PostbackEndpoint>
}
export type ConfigurationState = Objects & {
  fallback_url?: string
  /** Left out: there never were any, and a text of a rule may begin with `@`. */
  lists?: NamedLists
  /** Left out: only clicks of offers with settings of their own are scored. */
  fraud?: FraudSettings
  /** Left out only where the state was made without a database. */
  readonly redirect_key?: string
}

export const emptyState = (): ConfigurationState => ({
  advertisers: new Map(),
  affiliates: new Map(),
  offers: new Map(),
  campaigns: new Map(),
  links: new Map(),
  endpoints: new Map(),
})

/** What a person calls one object of a section. */
export const singular: Readonly<Record<SectionName, string>> = {
  advertisers: 'advertiser',
  affiliates: 'affiliate',
  offers: 'offer',
  campaigns: 'campaign',
  links: 'link',
  endpoints: 'endpoint',
}

/** The object without its undefined and null entries: "left out" has one form, in the file, the tables and the snapshot. */
export function withoutEmpty<Shape extends object>(object: {
  [Key in keyof Shape]: Shape[Key] | undefined | null
}): Shape {
  return Object.fromEntries(
    Object.entries(object).filter(([, value]) => value !== undefined && value !== null),
  ) as Shape
}
