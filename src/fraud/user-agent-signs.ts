/** What a user agent and the client hints beside it give away about each other. */

/** The hints that every Chromium sends without being asked, as their headers have them. */
export type HintHeaders = {
  /** `sec-ch-ua`. */
  readonly brands?: string | undefined
  /** `sec-ch-ua-mobile`. */
  readonly mobile?: string | undefined
  /** `sec-ch-ua-platform`. */
  readonly platform?: string | undefined
}

/** Names that automation leaves in the user agent or among the brands where nobody hides it. */
const AUTOMATION =
  /headless|phantomjs|slimerjs|puppeteer|playwright|selenium|webdriver|cypress\/|jsdom|zombie\.js|nightmare/i

export const isAutomation = (userAgent: string, brands: string | undefined): boolean =>
  AUTOMATION.test(userAgent) || (brands !== undefined && AUTOMATION.test(brands))

/** Platform of the hint → text that the user agent of such a system has. Chrome on Android sends the platform Linux with the
 * user agent of Linux where the visitor asks for the desktop page, so that the two agree there too. Platforms that are not
 * listed say nothing.
 */
const PLATFORM_MARKS: ReadonlyMap<string, RegExp> = new Map(
  Object.entries({
    Windows: /Windows/,
    macOS: /Macintosh/,
    Android: /Android/,
    'Chrome OS': /CrOS/,
    'Chromium OS': /CrOS/,
    Linux: /Linux|X11/,
  }),
)

/** Whether the platform hint names another system than the user agent. */
export function isPlatformMismatch(userAgent: string, { platform }: HintHeaders): boolean {
  if (platform === undefined) return false
  const name = unquoted(platform)
  const mark = PLATFORM_MARKS.get(name)
  if (mark === undefined) return false
  // A user agent of Android names Linux as well.
  return !mark.test(userAgent) || (name === 'Linux' && userAgent.includes('Android'))
}

/** Whether hint and user agent disagree on being a phone. Chromium says `?1` exactly where its user agent has "Mobile". */
export function isMobileMismatch(userAgent: string, { mobile }: HintHeaders): boolean {
  if (mobile !== '?1' && mobile !== '?0') return false
  return (mobile === '?1') !== userAgent.includes('Mobile')
}

/** Whether the brands are of another engine or another major version than the user agent. Safari, Firefox and everything on
 * iOS send no hints at all.
 */
export function isBrandMismatch(userAgent: string, { brands }: HintHeaders): boolean {
  if (brands === undefined) return false
  const hinted = /"Chromium"; ?v="(\d{1,4})/.exec(brands)?.[1]
  const named = chromeMajor(userAgent)
  return named === undefined || (hinted !== undefined && hinted !== named)
}

/** Chromium sends hints by itself since version 89, in web views since 116. */
const HINTS_SINCE = 116

/** Whether hints are missing that this browser sends by itself over HTTPS. */
export function areHintsMissing(userAgent: string, { brands, mobile, platform }: HintHeaders): boolean {
  if (brands !== undefined || mobile !== undefined || platform !== undefined) return false
  const major = chromeMajor(userAgent)
  return major !== undefined && Number(major) >= HINTS_SINCE
}

const chromeMajor = (userAgent: string): string | undefined =>
  /\b(?:Headless)?(?:Chrome|Chromium)\/(\d{1,4})/.exec(userAgent)?.[1]

const unquoted = (text: string): string =>
  text.length > 1 && text.startsWith('"') && text.endsWith('"') ? text.slice(1, -1) : text
