/** Addresses of the edge that answer GET with something else than a click; they win over link codes. */
export const ownAddresses: ReadonlySet<string> = new Set([
  '/postback', '/pixel.gif', '/t.js', '/hop', '/healthz', '/readyz', '/metrics', '/robots.txt', '/favicon.ico',
]) // prettier-ignore

/** Longer ones are answered 414: no configuration has such a code. */
export const LINK_CODE_CHARACTERS_MAX = 255

/** What a GET of a path is to the edge. */
export type AddressedClick =
  | { readonly kind: 'click'; readonly linkCode: string | undefined }
  /** Nothing is recorded; why, as a sentence. */
  | { readonly kind: 'none'; readonly why: string }

/** Reads a path as the router of the edge does.
 * @param path without the query, percent-encoded as in a request
 */
export function readClickPath(path: string): AddressedClick {
  if (path === '/click') return { kind: 'click', linkCode: undefined }
  const code = path.slice(1)
  const linkCode = decode(code)
  if (linkCode === undefined || linkCode === '' || code.includes('/') || code.length > LINK_CODE_CHARACTERS_MAX)
    return { kind: 'none', why: `the edge has no link at ${cut(path)}: clicks come to /click or /<link code>` }
  if (ownAddresses.has(`/${linkCode}`))
    return { kind: 'none', why: `/${linkCode} is an address of the edge itself, which records no click` }
  return { kind: 'click', linkCode: linkCode === 'click' ? undefined : linkCode }
}

const cut = (path: string): string => (path.length > 80 ? `${path.slice(0, 80)}…` : path)

function decode(text: string): string | undefined {
  try {
    return decodeURIComponent(text)
  } catch {
    return undefined
  }
}
