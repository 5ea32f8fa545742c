import { messageTemplate } from './message.ts'
import { HANGING_PATH } from './receiver.ts'

/** Who converts: as many affiliates, each with one endpoint of its own. */
export const ENDPOINTS = 500

/** The affiliate whose endpoint never gets an answer. */
export const HANGING_AFFILIATE = 'hanging'

const SECRET = `whsec_${Buffer.alloc(24, 7).toString('base64')}`
/** Short, and with as many attempts at once as an endpoint may have: so it costs the others most. */
const HANGING = { timeout_ms: 2_000, max_concurrency: 100 }

export const affiliateOf = (number: number): string => `a${number % ENDPOINTS}`

/** Where the message with this number goes; the origins take turns. */
export const urlOf = (number: number, origins: readonly string[]): string => {
  const endpoint = number % ENDPOINTS
  return `${origins[endpoint % origins.length]!}/postback/${endpoint}`
}

const endpointOf = (affiliateId: string, url: string): object => ({
  affiliate_id: affiliateId,
  triggers: ['lead'],
  method: 'POST',
  url,
  body: messageTemplate(affiliateId),
  content_type: 'application/json',
  secret: SECRET,
  allow_private_address: true,
})

/** A configuration file with all endpoints at the receiver; JSON is YAML too. */
export function deliveryConfiguration(origins: readonly string[]): string {
  const numbers = Array.from({ length: ENDPOINTS }, (_, number) => number)
  const affiliate = { advertiser_ids: ['bench'] }
  const hanging = { ...endpointOf(HANGING_AFFILIATE, `${origins[0]!}${HANGING_PATH}`), ...HANGING }
  return JSON.stringify({
    advertisers: { bench: { currency: 'USD', domains: ['shop.example.com'] } },
    affiliates: Object.fromEntries([...numbers.map(affiliateOf), HANGING_AFFILIATE].map((id) => [id, affiliate])),
    offers: {
      lamp: {
        advertiser_id: 'bench',
        model: 'cpl',
        prices: [{ type: 'lead', payout: '3.00', revenue: '5.00' }],
        landing_url: 'https://shop.example.com/',
      },
    },
    endpoints: {
      ...Object.fromEntries(
        numbers.map((number) => [`e${number}`, endpointOf(affiliateOf(number), urlOf(number, origins))]),
      ),
      hanging,
    },
  })
}

/** Those whose endpoints answer, in the order of their numbers. */
export const allAffiliates: readonly string[] = Array.from({ length: ENDPOINTS }, (_, number) => affiliateOf(number))
