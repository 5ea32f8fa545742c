import ipaddr from 'ipaddr.js'
import { fraudRules, rateKinds } from '#fraud'
import { isTimezone } from '#platform/clock'
import { parseAmount, parseCurrency } from '#platform/money'
import { isSecretName, isSecretValue, parseStatuses, SECRET_VALUE_FORM } from '#postbacks'
import { compileTemplate, isClickMacro, macroNames, type Template } from '#routing'
import { countries, LIST_NAME } from '#rules'
import { problem, type Problem } from './issues.ts'
import { didYouMean, suggestWord } from './suggest.ts'
import { isHostChosen, isScriptChosen } from './unsafe-macros.ts'

/** The checks of one value that the schema calls `format`. Each takes the text as written and says what is wrong with it. */
export type FormatName = keyof typeof formats
export type FormatCheck = (text: string) => Problem | undefined

const HEADER_NAME = /^[!#$%&'*+.^_`|~0-9A-Za-z-]{1,64}$/
const ID = /^[a-z0-9][a-z0-9_.-]{0,62}$/
const LINK_CODE = /^[A-Za-z0-9][A-Za-z0-9_-]{0,62}$/
const EVENT_NAME = /^[a-z0-9][a-z0-9_.-]{0,63}$/
const HOST = /^(\*\.)?([a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?\.)*[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?(:\d{1,5})?$/
const DECIMAL = /^\d{1,10}(\.\d{1,6})?$/
const SHARE = /^(\d{1,3})(?:\.(\d{1,2}))?%?$/
const DAY = /^\d{4}-\d{2}-\d{2}$/
const INSTANT = /^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}(:\d{2}(\.\d{1,3})?)?(Z|[+-]\d{2}:\d{2})$/
const PRINTABLE = /^[\x21-\x7e]{8,200}$/

/** First words of the edge's own addresses: a link with such a code could never be reached. */
export const reservedLinkCodes: ReadonlySet<string> = new Set([
  'click', 'event', 'postback', 'pixel', 'pixel.gif', 't', 't.js', 'healthz', 'readyz', 'metrics', 'demo', 'favicon.ico', 'robots.txt',
  'hop',
]) // prettier-ignore

export const formats = {
  id: (text) =>
    ID.test(text) ? undefined : problem('id_invalid', `"${cut(text)}" is no id.`, lowerCaseHint(text, ID)),
  list_name: (text) =>
    LIST_NAME.test(text)
      ? undefined
      : problem('id_invalid', `"${cut(text)}" is no name of a list.`, 'Use A-Z, a-z, 0-9, "_", "." and "-".'),
  link_code: (text) => {
    if (!LINK_CODE.test(text))
      return problem('id_invalid', `"${cut(text)}" is no link code.`, 'Use A-Z, a-z, 0-9, "_" and "-".')
    return reservedLinkCodes.has(text.toLowerCase())
      ? problem('id_invalid', `"${text}" is an address of the edge itself.`, 'Choose another code.')
      : undefined
  },
  event_name: (text) =>
    EVENT_NAME.test(text)
      ? undefined
      : problem('event_name_invalid', `"${cut(text)}" is no event name.`, lowerCaseHint(text, EVENT_NAME)),
  status_word: (text) =>
    text.trim() !== '' && text.length <= 64
      ? undefined
      : problem('value_out_of_range', 'A status word has 1 to 64 characters.'),
  amount: (text) =>
    DECIMAL.test(text) && parseAmount(text) !== undefined
      ? undefined
      : problem(
          'amount_invalid',
          `"${cut(text)}" is no amount.`,
          'Write it like 12.50, without sign, currency or thousands separator.',
        ),
  share: (text) => {
    const match = SHARE.exec(text)
    return match !== null && shareToBasisPoints(text) <= 10_000
      ? undefined
      : problem('share_invalid', `"${cut(text)}" is no share.`, 'Write it like 40% or 12.5%.')
  },
  currency: (text) =>
    /^[A-Z]{3}$/.test(text) && parseCurrency(text) !== undefined
      ? undefined
      : problem('currency_unknown', `"${cut(text)}" is no ISO 4217 code.`, currencyHint(text)),
  timezone: (text) =>
    isTimezone(text)
      ? undefined
      : problem('timezone_unknown', `"${cut(text)}" is no IANA time zone.`, timezoneHint(text)),
  date: (text) =>
    isDate(text)
      ? undefined
      : problem('date_invalid', `"${cut(text)}" is no date.`, 'Write 2026-09-01 or 2026-09-01T09:00:00Z.'),
  country_or_any: (text) =>
    text === '*' || countries.includes(text)
      ? undefined
      : problem(
          'country_invalid',
          `"${cut(text)}" is no country code.`,
          'Write ISO 3166-1 alpha-2 in upper case, like DE or GB, or "*".',
        ),
  header_name: (text) =>
    HEADER_NAME.test(text)
      ? undefined
      : problem('header_invalid', `"${cut(text)}" is no name of a header.`, 'Use 1 to 64 letters, digits and "-".'),
  secret_name: (text) =>
    isSecretName(text)
      ? undefined
      : problem('secret_invalid', `"${cut(text)}" is no name of a secret.`, 'Use 1 to 32 of a-z, 0-9 and "_".'),
  endpoint_secret: (text) =>
    isSecretValue(text) ? undefined : problem('secret_invalid', `A secret is ${SECRET_VALUE_FORM}.`),
  // Which ones there are depends on the template.
  template_parameter: () => undefined,
  fraud_rule: (text) => checkWord(text, Object.keys(fraudRules), 'rule of fraud'),
  rate_kind: (text) => checkWord(text, rateKinds, 'kind of rate'),
  redirect_url: (text) => checkUrl(text),
  html: (text) => checkHtml(text),
  domain: (text) =>
    HOST.test(text)
      ? undefined
      : problem(
          'domain_invalid',
          `"${cut(text)}" is no host name.`,
          'Write the host alone, without https:// and path, in lower case.',
        ),
  postback_domain: (text) =>
    HOST.test(text) && !text.includes(':')
      ? undefined
      : problem(
          'domain_invalid',
          `"${cut(text)}" is no host name.`,
          'Write the host alone, without https://, port and path, in lower case, and other scripts in their xn-- form.',
        ),
  address_block: (text) =>
    isAddressBlock(text) ? undefined : problem('address_invalid', `"${cut(text)}" is no IP address or CIDR block.`),
  statuses: (text) =>
    parseStatuses(text) === undefined
      ? problem('value_not_allowed', `"${cut(text)}" is neither a status nor a range of them.`, 'Write 202 or 200-299.')
      : undefined,
  shared_secret: (text) =>
    PRINTABLE.test(text)
      ? undefined
      : problem(
          'secret_invalid',
          'The secret is too short, too long or has blanks.',
          'Use 8 to 200 printable ASCII characters without blanks.',
        ),
} as const satisfies Record<string, FormatCheck>

function checkWord(text: string, words: readonly string[], what: string): Problem | undefined {
  if (words.includes(text)) return undefined
  return problem('value_not_allowed', `There is no ${what} "${cut(text)}".`, didYouMean(text, words))
}

const cut = (text: string): string => (text.length > 80 ? `${text.slice(0, 80)}…` : text)

const lowerCaseHint = (text: string, pattern: RegExp): string | undefined => {
  const candidate = text
    .trim()
    .toLowerCase()
    .replaceAll(/[^a-z0-9_.-]+/g, '-')
  return pattern.test(candidate) ? `Write "${candidate}".` : undefined
}

const currencyHint = (text: string): string | undefined =>
  parseCurrency(text) === undefined ? undefined : `Write "${text.toUpperCase()}".`

const timezones: ReadonlySet<string> = new Set(Intl.supportedValuesOf('timeZone'))

function timezoneHint(text: string): string | undefined {
  const nearest = suggestWord(text, [...timezones, 'UTC'])
  return nearest === undefined ? 'Write it like Europe/Berlin or UTC.' : `Did you mean "${nearest}"?`
}

function isDate(text: string): boolean {
  if (!DAY.test(text) && !INSTANT.test(text)) return false
  const day = text.slice(0, 10)
  const parsed = new Date(`${day}T00:00:00Z`)
  // 2026-02-30 parses as the second of March: a day that does not come back as it was is none.
  return !Number.isNaN(parsed.getTime()) && parsed.toISOString().startsWith(day) && !Number.isNaN(Date.parse(text))
}

function checkUrl(text: string): Problem | undefined {
  const hint = 'Write the whole address, like https://shop.example.com/?cid={clickid}.'
  if (/\s/.test(text)) return problem('url_invalid', 'The URL has blanks in it.', hint)
  const template = compileTemplate(text, 'url')
  const url = URL.parse(template.segments.map((segment) => (typeof segment === 'string' ? segment : 'x')).join(''))
  if (url === null || (url.protocol !== 'https:' && url.protocol !== 'http:'))
    return problem('url_invalid', `"${cut(text)}" is no http or https URL.`, hint)
  if (url.username !== '' || url.password !== '')
    return problem(
      'url_invalid',
      'The URL has a user name or password in it.',
      'Put secrets into the query or a signature.',
    )
  if (isHostChosen(template))
    return problem(
      'macro_in_host',
      'Whoever writes a link could choose the host.',
      'Write the host, or use a macro of ours there, like {country} or {domain}.',
    )
  return checkMacros(template)
}

/** A page of ours, whose macros are those of a click. */
function checkHtml(text: string): Problem | undefined {
  const template = compileTemplate(text, 'html')
  if (isScriptChosen(template))
    return problem(
      'macro_misplaced',
      'Whoever writes a link could write a script here.',
      'Use what a link gives as text, in quoted attributes such as data-name="{sub1}", and after the host of addresses.',
    )
  return checkMacros(template)
}

/** A macro without a value would be filled with nothing, which nobody notices until the numbers are missing. */
function checkMacros({ macros, unknown }: Template): Problem | undefined {
  const late = macros.find((macro) => !isClickMacro(macro))
  if (late !== undefined)
    return problem(
      'macro_of_conversion',
      `{${late}} is known only once there is a conversion.`,
      'Use it in an endpoint.',
    )
  const [name] = unknown
  if (name === undefined) return undefined
  const nearest = suggestWord(name.replace(/^_/, ''), macroNames.keys())
  return problem('macro_unknown', `There is no macro {${name}}.`, nearest && `Did you mean "{${nearest}}"?`)
}

function isAddressBlock(text: string): boolean {
  if (!text.includes('/'))
    return ipaddr.isValid(text) && (!ipaddr.IPv4.isIPv4(text) || ipaddr.IPv4.isValidFourPartDecimal(text))
  return ipaddr.IPv4.isValidCIDRFourPartDecimal(text) || ipaddr.IPv6.isValidCIDR(text)
}

/** Basis points of a share that passed its check.
 * @example shareToBasisPoints('12.5%') // 1250
 */
export function shareToBasisPoints(text: string): number {
  const [, units = '0', fraction = ''] = SHARE.exec(text) ?? []
  return Number(units) * 100 + Number(fraction.padEnd(2, '0') || '0')
}

/** Milliseconds since the epoch of a date that passed its check; a bare day begins at midnight in the zone. */
export function dateToMs(text: string, timezone: string): number {
  if (!DAY.test(text)) return Date.parse(text)
  return Temporal.PlainDate.from(text).toZonedDateTime({ timeZone: timezone }).epochMilliseconds
}
