/** What HTTP/1.1 allows in a request that was filled from templates. Values come from clicks and partners: a line break in one
 * would add headers, or a second request, of the sender's choosing.
 * @see RFC 9110 §5.5, §5.6.2; RFC 9112 §3.2
 */

const TOKEN = /^[!#$%&'*+.^_`|~0-9A-Za-z-]{1,100}$/
/** Visible characters, blanks and what the field's servers take for Latin-1; no line break, no NUL, nothing beyond one byte. */
const VALUE = /^[\t\x20-\x7e\x80-\xff]*$/
const TARGET = /^\/[\x21-\x7e]*$/
const HEADER_BYTES_MAX = 16_384

/** Headers that say how the message is carried: with one of these a template could cut it in two. */
const CARRYING: ReadonlySet<string> = new Set([
  ...['connection', 'content-length', 'expect', 'host', 'http2-settings', 'keep-alive', 'te', 'trailer'],
  ...['transfer-encoding', 'upgrade'],
])

/** Names that were found good: the same few stand in every request. */
const goodNames = new Set<string>()
const GOOD_NAMES_MAX = 1_000

/** @returns undefined: it may be sent; else what is wrong, without the value, which may be a secret */
export function checkRequest(target: string, headers: Readonly<Record<string, string>>): string | undefined {
  if (!TARGET.test(target)) return 'the path or query holds a character that HTTP forbids'
  let bytes = 0
  for (const name in headers) {
    const value = headers[name]!
    if (!goodNames.has(name)) {
      if (!TOKEN.test(name)) return 'a header has a name that HTTP forbids'
      if (isCarrying(name)) return `the header ${name.toLowerCase()} is not for templates`
      if (goodNames.size < GOOD_NAMES_MAX) goodNames.add(name)
    }
    if (!VALUE.test(value)) return `the header ${name.toLowerCase()} holds a character that HTTP forbids`
    bytes += name.length + value.length + 4
  }
  return bytes > HEADER_BYTES_MAX ? `the headers are longer than ${HEADER_BYTES_MAX} bytes` : undefined
}

function isCarrying(name: string): boolean {
  const lower = name.toLowerCase()
  return CARRYING.has(lower) || lower.startsWith('proxy-')
}
