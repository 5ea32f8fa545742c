import type { PostbackEndpoint } from '#routing'
import { sensitiveValues } from '../messages/headers.ts'
import { HEADERS_LENGTH_MAX } from './headers-for-people.ts'
import {
  hasHeaderPlaceholder,
  hasPlaceholder,
  replaceHeaderPlaceholders,
  replacePlaceholders,
} from '../messages/secret-placeholders.ts'
import type { Exchange } from './send-request.ts'
import { encodeForm, encodeHeader, encodeJsonString } from '../messages/templates.ts'

/** The secrets of an endpoint (`secrets: { name: value }`), put into a message right before it goes out, and taken out of what comes
 * back. What is stored has their names only.
 */

type Secrets = NonNullable<PostbackEndpoint['secrets']>
type Place = 'url' | 'form' | 'json' | 'header'
type Encoded = Readonly<Record<Place, ReadonlyMap<string, string>>>

const encodedBySecrets = new WeakMap<Secrets, Encoded>()
const NO_SECRETS: Secrets = {}

/** The values as they stand in each place, encoded once for a version of the configuration. */
function encodedOf(secrets: Secrets): Encoded {
  const known = encodedBySecrets.get(secrets)
  if (known !== undefined) return known
  const entries = Object.entries(secrets)
  const encodeAll = (encode: (value: string) => string) =>
    new Map(entries.map(([name, value]) => [name, encode(value)]))
  const encoded = {
    url: encodeAll(encodeURIComponent),
    form: encodeAll(encodeForm),
    json: encodeAll(encodeJsonString),
    header: encodeAll(encodeHeader),
  }
  encodedBySecrets.set(secrets, encoded)
  return encoded
}

const valueIn =
  (secrets: Secrets | undefined, place: Place) =>
  (name: string): string => {
    const value = encodedOf(secrets ?? NO_SECRETS)[place].get(name)
    // The message was filled for an earlier configuration; sending the placeholder would tell the receiver nothing it can use.
    if (value === undefined) throw new TypeError(`the endpoint has no secret "${name}" any more`)
    return value
  }

type Message = {
  readonly url: string
  readonly body: string | undefined
  readonly contentType: string | null
  readonly headers: Readonly<Record<string, string>> | null
}

/** A stored message with the present secrets of its endpoint.
 * @throws {TypeError} it asks for one that the endpoint no longer has; the text names it and holds no value
 */
export function fillSecrets(message: Message, { secrets }: Pick<PostbackEndpoint, 'secrets'>): Message {
  const { url, body, contentType, headers } = message
  const isForm = contentType?.startsWith('application/x-www-form-urlencoded') === true
  return {
    url: hasPlaceholder(url) ? replacePlaceholders(url, valueIn(secrets, 'url')) : url,
    body:
      body !== undefined && hasPlaceholder(body)
        ? replacePlaceholders(body, valueIn(secrets, isForm ? 'form' : 'json'))
        : body,
    contentType,
    headers: headers === null ? null : fillHeaderSecrets(headers, secrets),
  }
}

function fillHeaderSecrets(
  headers: Readonly<Record<string, string>>,
  secrets: Secrets | undefined,
): Readonly<Record<string, string>> {
  if (!Object.values(headers).some(hasHeaderPlaceholder)) return headers
  const valueOf = valueIn(secrets, 'header')
  return Object.fromEntries(
    Object.entries(headers).map(([name, value]) => [name, replaceHeaderPlaceholders(value, valueOf)]),
  )
}

/** A shorter value is found in every text by chance, and protects nothing. */
const HIDDEN_LENGTH_MIN = 4
const HIDDEN = '(secret)'

const formsBySecrets = new WeakMap<Secrets, readonly string[]>()

/** Every way in which a secret may stand in a text. */
function formsOf(secrets: Secrets): readonly string[] {
  const known = formsBySecrets.get(secrets)
  if (known !== undefined) return known
  const { url, form, json, header } = encodedOf(secrets)
  const forms = [Object.values(secrets), ...[url, form, json, header].map((encoded) => [...encoded.values()])]
    .flat()
    .flatMap(spellings)
  formsBySecrets.set(secrets, forms)
  return forms
}

/** The ways in which programs write the same encoded text: hex digits small, `\/` and `\u00e4` in JSON, entities in HTML. */
function spellings(text: string): readonly string[] {
  const slashed = text.replaceAll('/', '\\/')
  const ascii = [text, slashed].map((one) => one.replace(/[\u0080-\uffff]/g, escapeUnicode))
  const html = text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;').replaceAll('"', '&quot;')
  const entities = [html, html.replaceAll("'", '&#039;'), html.replaceAll("'", '&#39;')]
  const small = text.replace(/%[0-9A-F]{2}/g, (octet) => octet.toLowerCase())
  return [text, small, slashed, ...ascii, ...ascii.map(upperEscapes), ...entities, encodeURIComponent(text)]
}

const escapeUnicode = (unit: string): string => `\\u${unit.charCodeAt(0).toString(16).padStart(4, '0')}`
const upperEscapes = (text: string): string =>
  text.replace(/\\u([0-9a-f]{4})/g, (_whole, digits: string) => `\\u${digits.toUpperCase()}`)

/** The longest first. Bytes as Latin-1, as the texts that are searched. */
const toSearch = (texts: readonly string[]): readonly string[] =>
  [...new Set(texts)]
    .filter((text) => text.length >= HIDDEN_LENGTH_MIN)
    .map((text) => Buffer.from(text).toString('latin1'))
    .toSorted((a, b) => b.length - a.length)

/** Takes the secrets of an endpoint out of what is seen of a try: receivers repeat in errors and redirects what they were sent. Made before
 * the request goes out, so that nothing can fail once it has.
 * @param headers as they are sent; null: the endpoint has none of its own
 * @returns undefined: there is nothing to hide
 */
export function hiderOf(
  { secrets }: Pick<PostbackEndpoint, 'secrets'>,
  headers: Readonly<Record<string, string>> | null,
): ((exchange: Exchange) => Exchange) | undefined {
  if (secrets === undefined && headers === null) return undefined
  const forms = toSearch([...(secrets === undefined ? [] : formsOf(secrets)), ...sensitiveValues(headers ?? {})])
  return forms.length === 0 ? undefined : (exchange) => hideAll(exchange, forms)
}

function hideAll(exchange: Exchange, forms: readonly string[]): Exchange {
  const isCut = exchange.responseBytes > exchange.responseHead.length
  const head = exchange.responseHead.toString('latin1')
  const hidden = hideForms(isCut ? dropBeginning(head, forms) : head, forms)
  return {
    ...exchange,
    responseHead: hidden === head ? exchange.responseHead : Buffer.from(hidden, 'latin1'),
    responseHeaders: hideIn(exchange.responseHeaders, forms),
    errorDetail: hideIn(exchange.errorDetail, forms),
  }
}

const hideForms = (text: string, forms: readonly string[]): string =>
  forms.reduce((left, form) => left.replaceAll(form, HIDDEN), text)

function hideIn(text: string | undefined, forms: readonly string[]): string | undefined {
  if (text === undefined) return undefined
  const bytes = Buffer.from(text).toString('latin1')
  const hidden = hideForms(text.length < HEADERS_LENGTH_MAX ? bytes : dropBeginning(bytes, forms), forms)
  return hidden === bytes ? text : Buffer.from(hidden, 'latin1').toString('utf8')
}

/** Where a text was cut, the first part of a secret may stand at its end. */
function dropBeginning(text: string, forms: readonly string[]): string {
  for (const form of forms)
    for (let length = form.length - 1; length >= HIDDEN_LENGTH_MIN; length--)
      if (text.endsWith(form.slice(0, length))) return text.slice(0, -length) + HIDDEN
  return text
}
