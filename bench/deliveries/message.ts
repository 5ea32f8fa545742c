/** The message of the delivery rows: 600 bytes of JSON in which nothing but a number changes, at a place that the receiver knows.
 * Ours fills a template with it when the delivery is queued, the others are given the finished text.
 */
export const MESSAGE_BYTES = 600

const NUMBER_DIGITS = 12
const HEAD = '{"txid":"'
const NUMBER_AT = HEAD.length

const padding = (rest: string): string => 'x'.repeat(MESSAGE_BYTES - HEAD.length - NUMBER_DIGITS - rest.length)
const tailOf = (affiliateId: string): string => {
  const known = `","affiliate_id":"${affiliateId}","status":"lead","payout":"3","currency":"USD","note":"`
  return `${known}${padding(`${known}"}`)}"}`
}

/** Transaction id of the delivery with this number, 0 ≤ number < 10^12. */
export const txidOf = (number: number): string => String(number).padStart(NUMBER_DIGITS, '0')

/** An endpoint's template; filled, it is `messageOf` to the byte.
 * @param affiliateId written out, because the length of its macro's value has to be known here
 */
export const messageTemplate = (affiliateId: string): string => `${HEAD}{txid}${tailOf(affiliateId)}`

export const messageOf = (number: number, affiliateId: string): string =>
  `${HEAD}${txidOf(number)}${tailOf(affiliateId)}`

/** @returns the number in a received message; undefined: it is no such message */
export function numberOf(message: Buffer): number | undefined {
  if (message.length !== MESSAGE_BYTES) return undefined
  const digits = message.toString('latin1', NUMBER_AT, NUMBER_AT + NUMBER_DIGITS)
  return /^\d+$/.test(digits) ? Number(digits) : undefined
}
