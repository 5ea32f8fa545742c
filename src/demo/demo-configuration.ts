import { stringify } from 'yaml'
import type { LandingPageText } from './landing-page.ts'

/** Secrets of the demo's partners. Made once and kept in the data directory, so that a second demo changes nothing. */
export type DemoSecrets = {
  /** What the advertiser's server shows when it reports a conversion. */
  readonly inbound: string
  /** Standard Webhooks secrets (`whsec_…`) with which we sign for our partners. */
  readonly tracker: string
  readonly affiliate: string
}

export type DemoAddresses = {
  /** Origin of the landing pages and the receiver. */
  readonly sitesUrl: string
}

/** Offers of the demo by id: the text of the landing page, how often visitors act, and what a sale is worth. */
export type DemoOffer = {
  readonly page: LandingPageText
  readonly currency: string
  /** Parts of the visitors who open the page: go on to the form, register, pay. */
  readonly rates: { readonly ctaShare: number; readonly regShare: number; readonly payShare: number }
  /** Event with which its page reports money. */
  readonly payEvent: 'deposit' | 'sale' | undefined
}

export const demoOffers: Readonly<Record<string, DemoOffer>> = {
  'lumen-arcade': {
    page: {
      offerName: 'Lumen Arcade',
      headline: 'Ten thousand tiny games, one account',
      promise: 'Register in ten seconds, double your first deposit.',
      currency: 'USD',
      amounts: [20, 50, 100],
    },
    currency: 'USD',
    rates: { ctaShare: 0.42, regShare: 0.16, payShare: 0.05 },
    payEvent: 'deposit',
  },
  'lumen-vpn': {
    page: {
      offerName: 'Lumen VPN',
      headline: 'Your own quiet corner of the internet',
      promise: 'Seven days free, no card needed.',
      currency: 'USD',
      amounts: [5, 10, 25],
    },
    currency: 'USD',
    rates: { ctaShare: 0.5, regShare: 0.22, payShare: 0 },
    payEvent: undefined,
  },
  'lumen-shop': {
    page: {
      offerName: 'Lumen Shop',
      headline: 'Lamps that look like the moon',
      promise: 'Hand-made, shipped tomorrow, thirty days to change your mind.',
      currency: 'EUR',
      amounts: [39, 79, 129],
    },
    currency: 'EUR',
    rates: { ctaShare: 0.38, regShare: 0.08, payShare: 0.06 },
    payEvent: 'sale',
  },
  'lumen-invest': {
    page: {
      offerName: 'Lumen Invest',
      headline: 'Put your change to work',
      promise: 'Start with ten dollars. Watch it, move it, take it out.',
      currency: 'USD',
      amounts: [10, 100, 500],
    },
    currency: 'USD',
    rates: { ctaShare: 0.3, regShare: 0.1, payShare: 0.035 },
    payEvent: 'deposit',
  },
}

/** Links and targets of the demo's traffic with their shares; `winter` leads to a paused campaign, `blocked` to a blocked affiliate. */
export const demoTargets = [
  { path: '/spring', weight: 34 },
  { path: '/night', weight: 26 },
  { path: '/vpn', weight: 12 },
  { path: '/click?campaign_id=demo-world&affiliate_id=demo-elif', weight: 14 },
  { path: '/click?o=lumen-shop&a=demo-chen', weight: 10 },
  { path: '/winter', weight: 2 },
  { path: '/click?o=lumen-arcade&a=demo-mallory', weight: 1 },
  { path: '/click?o=lumen-arkade&a=demo-anna', weight: 1 },
] as const

const TIER_1 = ['US', 'GB', 'CA', 'AU', 'DE', 'FR', 'NL', 'JP', 'KR', 'AE']
const LATIN_AMERICA = ['BR', 'MX', 'AR', 'CO', 'PE', 'CL', 'EC', 'UY', 'DO', 'GT']

/** The demo's configuration as a file for `waypost apply`.
 * @param endpointStatus `paused` once the receiver has gone, so that nothing is sent to a closed port
 */
export function demoConfiguration(
  { sitesUrl }: DemoAddresses,
  secrets: DemoSecrets,
  endpointStatus: 'active' | 'paused',
): string {
  const landing = (offerId: string) =>
    `${sitesUrl}/landing/${offerId}?clickid={clickid}&campaign_id={campaign_id}&source_id={source_id}`
  const site = new URL(sitesUrl)
  const endpoint = { status: endpointStatus, allow_private_address: true, timeout_ms: 5_000, max_attempts: 8 }
  return stringify(
    {
      advertisers: {
        'demo-lumen': {
          name: 'Lumen (demo)',
          timezone: 'Europe/Berlin',
          currency: 'USD',
          domains: [site.host, site.hostname],
          fallback_url: `${sitesUrl}/nothing-here`,
        },
      },
      affiliates: {
        'demo-anna': { name: 'Anna Media', advertiser_ids: ['demo-lumen'] },
        'demo-boris': { name: 'Boris Traffic', advertiser_ids: ['demo-lumen'] },
        'demo-chen': { name: 'Chen Push', advertiser_ids: ['demo-lumen'] },
        'demo-elif': { name: 'Elif Social', advertiser_ids: ['demo-lumen'] },
        'demo-mallory': { name: 'Mallory (blocked)', status: 'blocked', advertiser_ids: ['demo-lumen'] },
      },
      offers: {
        'lumen-arcade': {
          advertiser_id: 'demo-lumen',
          name: 'Lumen Arcade',
          model: 'cpa',
          prices: [
            { type: 'lead', goal: 'reg', payout: '2.50', revenue: '4.00', status: 'approved' },
            { type: 'sale', goal: 'deposit', payout: '40.00', revenue: '65.00', status: 'approved' },
          ],
          hold_days: 7,
          landing_url: landing('lumen-arcade'),
          postback: { secrets: [secrets.inbound] },
        },
        'lumen-vpn': {
          advertiser_id: 'demo-lumen',
          name: 'Lumen VPN',
          model: 'cpl',
          prices: [{ type: 'lead', payout: '3.20', revenue: '5.00', status: 'approved' }],
          landing_url: landing('lumen-vpn'),
          postback: { secrets: [secrets.inbound] },
        },
        'lumen-shop': {
          advertiser_id: 'demo-lumen',
          name: 'Lumen Shop',
          model: 'cps',
          currency: 'EUR',
          prices: [{ type: 'sale', payout: '12.00', revenue: '19.50', status: 'pending' }],
          landing_url: landing('lumen-shop'),
          postback: { secrets: [secrets.inbound] },
        },
        'lumen-invest': {
          advertiser_id: 'demo-lumen',
          name: 'Lumen Invest',
          model: 'revshare',
          prices: [{ type: 'sale', goal: 'deposit', payout_share: '35%', revenue_share: '60%', status: 'approved' }],
          hold_days: 14,
          landing_url: landing('lumen-invest'),
          postback: { secrets: [secrets.inbound] },
        },
      },
      campaigns: {
        'demo-world': {
          advertiser_id: 'demo-lumen',
          name: 'Round the world',
          affiliate_id: 'demo-anna',
          flows: [
            { flow_id: 'demo-world-tv', kind: 'forced', rule: { device_type: 'tv' }, offer_id: 'lumen-vpn' },
            {
              flow_id: 'demo-world-tier1-mobile',
              weight: 70,
              rule: { country: TIER_1, device_type: ['mobile', 'tablet'] },
              offers: [
                { offer_id: 'lumen-arcade', weight: 80 },
                { offer_id: 'lumen-invest', weight: 20 },
              ],
            },
            { flow_id: 'demo-world-desktop', weight: 30, rule: { device_type: 'desktop' }, offer_id: 'lumen-invest' },
            { flow_id: 'demo-world-latam', weight: 60, rule: { country: LATIN_AMERICA }, offer_id: 'lumen-arcade' },
            { flow_id: 'demo-world-rest', kind: 'default', offer_id: 'lumen-shop' },
          ],
        },
        'demo-push': {
          advertiser_id: 'demo-lumen',
          name: 'Push at night',
          affiliate_id: 'demo-boris',
          flows: [
            { flow_id: 'demo-push-android', weight: 100, rule: { os: 'Android' }, offer_id: 'lumen-vpn' },
            {
              flow_id: 'demo-push-rest',
              kind: 'default',
              offers: [
                { offer_id: 'lumen-shop', weight: 50 },
                { offer_id: 'lumen-arcade', weight: 50 },
              ],
            },
          ],
        },
        'demo-winter': {
          advertiser_id: 'demo-lumen',
          name: 'Winter (over)',
          status: 'paused',
          affiliate_id: 'demo-anna',
          offer_id: 'lumen-shop',
        },
      },
      links: {
        spring: { campaign_id: 'demo-world' },
        night: { campaign_id: 'demo-push' },
        vpn: { offer_id: 'lumen-vpn', affiliate_id: 'demo-chen' },
        winter: { campaign_id: 'demo-winter' },
      },
      endpoints: {
        'demo-tracker': {
          ...endpoint,
          name: "A buyer's tracker (GET)",
          advertiser_id: 'demo-lumen',
          method: 'GET',
          url: `${sitesUrl}/receiver/tracker?cid={click_id}&payout={payout}&currency={currency}&status={status}&sub1={sub1}&ext={external_id}`,
          triggers: ['lead', 'sale', 'rejected'],
          secret: secrets.tracker,
        },
        'demo-affiliate': {
          ...endpoint,
          name: "Elif's webhook (POST)",
          affiliate_id: 'demo-elif',
          method: 'POST',
          url: `${sitesUrl}/receiver/affiliate`,
          triggers: ['lead', 'sale', 'rejected', 'status_changed'],
          secret: secrets.affiliate,
        },
      },
    },
    { lineWidth: 0 },
  )
}
