import { newClickId, type ClickId } from '#platform/ids'
import type { AskedTarget, ClickParameters, RequestFacts } from './request-facts.ts'
import type { Advertiser, Affiliate, Campaign, Flow, Landing, Offer, Snapshot } from './snapshot.ts'

/** Small configurations for tests: everything is active and allows everything unless a test says otherwise. */

export const advertiser = (parts: Partial<Advertiser> = {}): Advertiser => ({
  advertiser_id: 'acme',
  name: 'Acme',
  timezone: 'UTC',
  currency: 'USD',
  status: 'active',
  domains: ['shop.example'],
  ...parts,
})

export const affiliate = (parts: Partial<Affiliate> = {}): Affiliate => ({
  affiliate_id: 'ann',
  name: 'Ann',
  status: 'active',
  advertiser_ids: ['acme'],
  ...parts,
})

export const landing = (landing_id: string, parts: Partial<Landing> = {}): Landing => ({
  landing_id,
  url: `https://${landing_id}.example/`,
  weight: 1,
  ...parts,
})

export const offer = (offer_id: string, parts: Partial<Offer> = {}): Offer => ({
  offer_id,
  advertiser_id: 'acme',
  name: `Offer ${offer_id}`,
  status: 'active',
  model: 'cpa',
  currency: 'USD',
  prices: [{ type: 'sale', payout_micros: 10_000_000, revenue_micros: 15_000_000, status: 'approved' }],
  hold_days: 0,
  landings: [landing(`${offer_id}-land`)],
  event_map: { reg: 'lead', lead: 'lead', deposit: 'sale', sale: 'sale' },
  custom_events: [],
  status_map: {},
  postback: { secrets: [], hmac_secrets: [], allowed_addresses: [] },
  unique_ttl_hours: 24,
  click_lifetime_days: 0,
  ...parts,
})

export const flow = (flow_id: string, parts: Partial<Flow> = {}): Flow => ({
  flow_id,
  kind: 'regular',
  status: 'active',
  weight: 1,
  offers: [{ offer_id: 'o1', weight: 1 }],
  ...parts,
})

export const campaign = (parts: Partial<Campaign> = {}): Campaign => ({
  campaign_id: 'summer',
  advertiser_id: 'acme',
  name: 'Summer',
  status: 'active',
  flows: [flow('f1')],
  unique_ttl_hours: 24,
  ...parts,
})

export const snapshot = (parts: Partial<Snapshot> = {}): Snapshot => ({
  version: 1,
  created_at: '2026-01-01T00:00:00.000Z',
  advertisers: [advertiser()],
  affiliates: [affiliate()],
  offers: [offer('o1')],
  campaigns: [campaign()],
  links: [],
  endpoints: [],
  ...parts,
})

export const TEST_TIME = Date.UTC(2026, 0, 15, 12)

export const facts = (
  asked: AskedTarget,
  parts: {
    readonly visitor?: Partial<RequestFacts['visitor']>
    readonly parameters?: ClickParameters
    readonly clickId?: ClickId
    readonly at?: number
    readonly boundIn?: RequestFacts['boundIn']
    readonly caps?: RequestFacts['caps']
    readonly fraud?: RequestFacts['fraud']
  } = {},
): RequestFacts => ({
  clickId: parts.clickId ?? newClickId(TEST_TIME),
  at: parts.at ?? TEST_TIME,
  asked,
  visitor: { ip: '192.0.2.1', ...parts.visitor },
  parameters: parts.parameters ?? {},
  ...(parts.boundIn && { boundIn: parts.boundIn }),
  ...(parts.caps && { caps: parts.caps }),
  ...(parts.fraud && { fraud: parts.fraud }),
})
