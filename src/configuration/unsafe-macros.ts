import type { Template } from '#routing'

/** Macros whose values nobody chooses by writing a link: ids of ours, and what we found out of the visitor. Everything else is text of
 * whoever wrote the link, who may mean harm to the one who follows it.
 */
const OURS = [
  'click_id', 'advertiser_id', 'affiliate_id', 'campaign_id', 'flow_id', 'offer_id', 'landing_id', 'country', 'asn', 'language',
  'device_type', 'domain', 'ip', 'click_timestamp', 'click_date', 'timestamp', 'date', 'random', 'currency',
] // prettier-ignore

const safeInHost: ReadonlySet<string> = new Set(OURS)
/** A visitor code has no characters that end a text, and could be a host. */
const safeInScript: ReadonlySet<string> = new Set([...OURS, 'visitor_code', 'cost', 'cost_currency'])

/** Stands for what a link chooses. No text of a file has it: YAML does not allow the character. */
const CHOSEN = '\u0000'

/** The text with every macro filled: by CHOSEN where a link chooses the value, else by a letter. */
const outline = ({ segments }: Template, safe: ReadonlySet<string>): string =>
  segments
    .map((segment) => {
      if (typeof segment === 'string') return segment.replaceAll(CHOSEN, ' ')
      return segment.name === undefined || safe.has(segment.name) ? 'x' : CHOSEN
    })
    .join('')

/** Whether a link may choose the host of a URL: it would lead wherever its writer wants, from a domain that the visitor trusts. */
export const isHostChosen = (url: Template): boolean =>
  /^[a-z]+:\/\/[^/?#\\]*/i.exec(outline(url, safeInHost))?.[0].includes(CHOSEN) === true

/** Whether a link may write a script into a page. Values are escaped for text and for attributes in quotes; that does not help within
 * scripts and styles, in a tag outside of quotes, in an attribute that is a script, nor where an address begins (`javascript:`).
 */
export function isScriptChosen(html: Template): boolean {
  const text = outline(html, safeInScript)
  let at = 0
  for (;;) {
    TAG.lastIndex = at
    const tag = TAG.exec(text)
    if (tag === null) return false
    const [whole, slash, name, attributes = ''] = tag
    at = tag.index + whole.length
    if (name === undefined) continue
    if (name.includes(CHOSEN) || !areSafe(attributes)) return true
    if (slash === '/' || !RAW.test(name)) continue
    const end = new RegExp(`</${name}`, 'gi')
    end.lastIndex = at
    const content = text.slice(at, end.exec(text)?.index)
    if (content.includes(CHOSEN)) return true
    at += content.length
  }
}

/** A comment, or a tag with its name and attributes; one that does not end goes on to the end of the page. */
const TAG = /<!--[^]*?(?:-->|$)|<(\/?)([a-z\0][^\s/>]*)((?:[^>"']|"[^"]*(?:"|$)|'[^']*(?:'|$))*)/gi
const RAW = /^(?:script|style)$/i

const ATTRIBUTE = /([^\s"'>/=]+)\s*=\s*(?:"([^"]*)|'([^']*)|([^\s"'>]*))|[^\s=/]+/g
const SCRIPTS = /^(?:on.*|style|srcdoc)$/i
const ADDRESSES = /^(?:href|src|action|formaction|data|poster|background|ping|srcset|xlink:href|content)$/i
/** Where an address leads stands fast: it has a host, a path or a query of its own before the first value. */
const BEGUN = /^[^\0]*(?:\/\/[^/?#\\\0]+[/?#]|^\/[^/\\\0]|[?#])/

function areSafe(attributes: string): boolean {
  if (!attributes.includes(CHOSEN)) return true
  for (const [whole, name, double, single, bare] of attributes.matchAll(ATTRIBUTE)) {
    if (!whole.includes(CHOSEN)) continue
    if (name === undefined || bare !== undefined || name.includes(CHOSEN) || SCRIPTS.test(name)) return false
    if (ADDRESSES.test(name) && !BEGUN.test(addressOf(name, double ?? single ?? ''))) return false
  }
  return true
}

/** The address of `content="0; url=…"`; a content without one is text. */
const addressOf = (name: string, value: string): string =>
  name.toLowerCase() === 'content' ? (/url\s*=\s*["']?(.*)/is.exec(value)?.[1] ?? '?') : value
