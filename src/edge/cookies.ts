import { BOUND_COOKIE } from './bound-cookie.ts'

/** First-party cookies of the tracking domain. */
export const VISITOR_COOKIE = 'wp_v'
export const CLICK_COOKIE = 'wp_c'

/** Every cookie that the edge sets. The table in docs/http-edge.md is made of it. */
export const edgeCookies = {
  [VISITOR_COOKIE]: {
    maxAgeSeconds: 31_536_000,
    life: 'a year, begun anew with each request for a link',
    purpose: 'The visitor code: tells one who comes again from a new one, for unique clicks, `bind`, the rates and duplicates of fraud, conversions of a device. Scripts of pages on the same site may read it: the snippet does.',
    without: 'No setting leaves it out. A visitor who keeps no cookies is known by address and user agent, as far as unique clicks go, and is new in everything else; the link may give a `visitor_code` of yours.',
  },
  [CLICK_COOKIE]: {
    maxAgeSeconds: 2_592_000,
    life: '30 days, begun anew with each click that goes to a target',
    purpose: 'The last click id: lets a pixel on a page of the same site report a conversion without naming its click. `HttpOnly`.',
    without: 'No setting leaves it out. Without it a pixel has to name its `clickid`; nothing else reads it.',
  },
  [BOUND_COOKIE]: {
    maxAgeSeconds: 31_536_000,
    life: 'until the last of what it holds ends: the hours of `bind`, at most a year',
    purpose: 'Flow, offer and landing that a visitor had in campaigns with `bind`, the last twelve of them, with when each ends. `HttpOnly`.',
    without: 'Set by campaigns with `bind` only: leave it out, and what earlier visits had bound is not looked at any more.',
  },
} as const satisfies Record<string, EdgeCookie> // prettier-ignore

type EdgeCookie = {
  /** At most. */
  readonly maxAgeSeconds: number
  readonly life: string
  readonly purpose: string
  /** How not to have it, and what is different then. */
  readonly without: string
}

/** A visitor code, ours or a page's: short and without characters that a cookie or a URL would have to escape. */
const VISITOR_CODE = /^[\w.-]{1,64}$/

export const parseVisitorCode = (text: string | undefined): string | undefined =>
  text !== undefined && VISITOR_CODE.test(text) ? text : undefined

/** The value of one cookie of a Cookie header; undefined when absent. */
export function readCookie(header: string | undefined, name: string): string | undefined {
  if (header === undefined) return undefined
  let start = header.indexOf(`${name}=`)
  while (start > 0 && header[start - 1] !== ' ' && header[start - 1] !== ';') {
    start = header.indexOf(`${name}=`, start + 1)
  }
  if (start === -1) return undefined
  const end = header.indexOf(';', start)
  return header.slice(start + name.length + 1, end === -1 ? undefined : end)
}

/** Readable by the snippet: pages on the same site share the visitor code. Renewed with each click. */
export const visitorCookie = (visitorCode: string, isHttps: boolean): string =>
  `${VISITOR_COOKIE}=${visitorCode}; Max-Age=${edgeCookies[VISITOR_COOKIE].maxAgeSeconds}; Path=/; SameSite=Lax${isHttps ? '; Secure' : ''}`

/** See bound-cookie.ts. No script needs it. */
export const boundCookie = (
  { value, maxAgeSeconds }: { readonly value: string; readonly maxAgeSeconds: number },
  isHttps: boolean,
): string =>
  `${BOUND_COOKIE}=${value}; Max-Age=${maxAgeSeconds}; Path=/; HttpOnly; SameSite=Lax${isHttps ? '; Secure' : ''}`

/** The last click, for a pixel on the advertiser's page that does not know its click id. No script needs it. */
export const clickCookie = (clickId: string, isHttps: boolean): string =>
  `${CLICK_COOKIE}=${clickId}; Max-Age=${edgeCookies[CLICK_COOKIE].maxAgeSeconds}; Path=/; HttpOnly; SameSite=Lax${isHttps ? '; Secure' : ''}`
