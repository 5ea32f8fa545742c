import { BOUND_COOKIE } from './bound-cookie.ts'

/** First-party cookies of the tracking domain. */
export const VISITOR_COOKIE = 'wp_v'
export const CLICK_COOKIE = 'wp_c'

const YEAR_SECONDS = 31_536_000
const MONTH_SECONDS = 2_592_000

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
  `${VISITOR_COOKIE}=${visitorCode}; Max-Age=${YEAR_SECONDS}; Path=/; SameSite=Lax${isHttps ? '; Secure' : ''}`

/** See bound-cookie.ts. No script needs it. */
export const boundCookie = (
  { value, maxAgeSeconds }: { readonly value: string; readonly maxAgeSeconds: number },
  isHttps: boolean,
): string =>
  `${BOUND_COOKIE}=${value}; Max-Age=${maxAgeSeconds}; Path=/; HttpOnly; SameSite=Lax${isHttps ? '; Secure' : ''}`

/** The last click, for a pixel on the advertiser's page that does not know its click id. No script needs it. */
export const clickCookie = (clickId: string, isHttps: boolean): string =>
  `${CLICK_COOKIE}=${clickId}; Max-Age=${MONTH_SECONDS}; Path=/; HttpOnly; SameSite=Lax${isHttps ? '; Secure' : ''}`
