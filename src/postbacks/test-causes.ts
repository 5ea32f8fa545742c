import type { ClickId } from '#platform/ids'
import type { ClickRecord } from '#records'
import type { PostbackEndpoint, Snapshot } from '#routing'
import type { CausingConversion, DeliveryCause } from './messages/delivery-causes.ts'

/** Made-up causes and endpoints for the tests of this module. */
export const SAMPLE_CLICK_ID = '01890a5d-ac96-774b-bcce-b302099a8057' as ClickId
/** 2023-11-14T22:13:20Z. */
export const SAMPLE_AT = 1_700_000_000_000

export const sampleClick = (over: Partial<ClickRecord> = {}): ClickRecord => ({
  kind: 'click',
  click_id: SAMPLE_CLICK_ID,
  at: SAMPLE_AT - 60_000,
  class: 'click',
  outcome: 'redirected',
  ip: '203.0.113.7',
  user_agent: 'Mozilla/5.0 (X11; Linux x86_64)',
  country: 'TR',
  city: 'Muğla',
  advertiser_id: 'acme',
  campaign_id: 'autumn',
  offer_id: 'shoes',
  affiliate_id: 'ada',
  sub1: 'a b&c',
  external_click_id: 'EXT-1',
  config_version: 1,
  trace: '',
  ...over,
})

export const sampleConversion = (over: Partial<CausingConversion> = {}): CausingConversion => ({
  conversionId: '01890a5d-ac96-774b-bcce-000000000001',
  advertiserId: 'acme',
  clickId: SAMPLE_CLICK_ID,
  type: 'sale',
  goal: 'deposit',
  txid: 'tx-1',
  affiliateId: 'ada',
  campaignId: 'autumn',
  offerId: 'shoes',
  status: 'approved',
  rawStatus: 'Approved!',
  payoutMicros: 12_500_000n,
  revenueMicros: 20_000_000n,
  saleAmountMicros: 100_000_000n,
  currency: 'USD',
  revision: 1,
  createdAt: new Date(SAMPLE_AT),
  ...over,
})

export const sampleCause = (
  conversion: Partial<CausingConversion> = {},
  click: Partial<ClickRecord> = {},
): DeliveryCause => ({
  trigger: conversion.type ?? 'sale',
  conversion: sampleConversion(conversion),
  click: sampleClick(click),
  at: SAMPLE_AT,
})

export const sampleEndpoint = (over: Partial<PostbackEndpoint> = {}): PostbackEndpoint => ({
  endpoint_id: 'tracker',
  name: 'Tracker',
  status: 'active',
  scope: {},
  triggers: ['lead', 'sale', 'rejected'],
  method: 'GET',
  url: 'https://tracker.example/pb?cid={click_id}&payout={payout}&status={status}',
  timeout_ms: 5_000,
  max_concurrency: 4,
  max_attempts: 12,
  expires_hours: 120,
  allow_private_address: false,
  ...over,
})

export const sampleSnapshot = (endpoints: readonly PostbackEndpoint[], version = 1): Snapshot => ({
  version,
  created_at: '2023-11-14T00:00:00.000Z',
  advertisers: [
    {
      advertiser_id: 'acme',
      name: 'Acme',
      timezone: 'Etc/UTC',
      currency: 'USD',
      status: 'active',
      domains: [],
    },
  ],
  affiliates: [{ affiliate_id: 'ada', name: 'Ada & Co', status: 'active', advertiser_ids: ['acme'] }],
  offers: [],
  campaigns: [],
  links: [],
  endpoints,
})
