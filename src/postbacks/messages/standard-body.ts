import type { PostbackEndpoint } from '#routing'
import { findMacro, type MacroFacts } from './macros.ts'

/** What a POST without a body template tells; what has no value is left out. */
const FIELDS = [
  ...['event_id', 'click_id', 'external_id', 'conversion_id', 'status', 'conversion_status', 'type', 'goal', 'txid'],
  ...['payout', 'sale_amount', 'currency', 'offer_id', 'campaign_id', 'affiliate_id', 'advertiser_id', 'country'],
  ...Array.from({ length: 30 }, (_, index) => `sub${index + 1}`),
].map((name) => findMacro(name)!)

const LATE_BRACE = /\{(?=(?:sig|ts|secret\.))/g

/** JSON in which a value that looks like what is filled at send time stays the text that it is. */
export const toPlainJson = (value: unknown): string => JSON.stringify(value).replaceAll(LATE_BRACE, '\\u007b')

const REVENUE = findMacro('advertiser_revenue')!

/** Values that are set; what an affiliate must not know is left out of its endpoints. */
function standardFields(endpoint: PostbackEndpoint, facts: MacroFacts): Readonly<Record<string, string>> {
  const fields = endpoint.scope.affiliate_id === undefined ? [...FIELDS, REVENUE] : FIELDS
  return Object.fromEntries(
    fields.flatMap((macro) => {
      const value = macro.read(facts)
      return value === '' ? [] : [[macro.name, value] as const]
    }),
  )
}

/** The body of a POST endpoint that has no template: `{type, timestamp, data}` of Standard Webhooks, or its data as a form.
 * Amounts are decimal strings.
 * @see https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md "Payload structure"
 */
export function standardBody(endpoint: PostbackEndpoint, facts: MacroFacts): string {
  const data = standardFields(endpoint, facts)
  if (endpoint.content_type === 'application/x-www-form-urlencoded') return new URLSearchParams(data).toString()
  return toPlainJson({ type: typeOf(facts), timestamp: new Date(facts.cause.at).toISOString(), data })
}

function typeOf({ cause }: MacroFacts): string {
  if (cause.trigger === 'click') return 'click'
  return cause.trigger === 'event' ? `event.${cause.event.type}` : `conversion.${cause.trigger}`
}
