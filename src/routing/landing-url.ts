import { subNames } from '#records'
import type { MacroName } from './macros.ts'
import { compileTemplate, encodeForUrl, fillMacros, type Template } from './template.ts'

type Appended = { readonly parameter: string; readonly prefix: string; readonly macro: MacroName }

const appendedAs = (parameter: string, macro: MacroName): Appended => ({ parameter, prefix: `${parameter}=`, macro })

/** Sent to every landing under these names, unless its URL places them itself. */
const appendedNames: readonly Appended[] = [
  appendedAs('clickid', 'click_id'),
  ...[
    ...subNames.slice(0, 10),
    ...(['utm_source', 'utm_medium', 'utm_campaign', 'utm_term', 'utm_content'] as const),
  ].map((name) => appendedAs(name, name)),
]

/** A landing URL taken apart once: what stands before the fragment, what is added there, and the fragment. */
export type LandingUrl = {
  readonly head: Template
  readonly appended: readonly Appended[]
  /** What separates the first added parameter from the head: `?`, `&` or nothing. */
  readonly separator: string
  readonly fragment: Template
}

/** Characters that no header may carry are percent-encoded, a host in another script becomes punycode: the browser
 * would read the URL the same way. Braces of macros stay.
 */
function toAscii(url: string): string {
  const withHost = url.replace(
    /^(https?:\/\/)([^/?#{}]*[^\x21-\x7e][^/?#{}]*)/i,
    (whole: string, scheme: string, host: string) =>
      URL.canParse(scheme + host) ? scheme + new URL(scheme + host).host : whole,
  )
  return withHost.replace(/[^\x21-\x7e]+/g, (text) => encodeURIComponent(text.toWellFormed()))
}

const parameterNames = (head: string): ReadonlySet<string> => {
  const query = head.indexOf('?')
  if (query === -1) return new Set()
  return new Set(
    head
      .slice(query + 1)
      .split('&')
      .map((pair) => pair.split('=', 1)[0]!),
  )
}

function separatorAfter(head: string): string {
  if (!head.includes('?')) return '?'
  return head.endsWith('?') || head.endsWith('&') ? '' : '&'
}

/** @param append whether `clickid`, `sub1…sub10` and `utm_*` are added where the URL does not place them: true for
 * landings; a fallback gets only the macros that it asks for
 */
export function compileLandingUrl(text: string, append: boolean): LandingUrl {
  const url = toAscii(text)
  const hash = url.indexOf('#')
  const headText = hash === -1 ? url : url.slice(0, hash)
  const head = compileTemplate(headText, 'url')
  const fragment = compileTemplate(hash === -1 ? '' : url.slice(hash), 'url')
  const placed = new Set<string>([...head.macros, ...fragment.macros])
  const named = parameterNames(headText)
  const missing = appendedNames.filter(({ parameter, macro }) => !placed.has(macro) && !named.has(parameter))
  return {
    head,
    fragment,
    separator: separatorAfter(headText),
    appended: append ? missing : [],
  }
}

/** The URL for one visitor; printable ASCII, safe for a Location header. */
export function fillLandingUrl(url: LandingUrl, valueOf: (name: MacroName) => string | undefined): string {
  let text = fillMacros(url.head, valueOf)
  let separator = url.separator
  for (const { prefix, macro } of url.appended) {
    const value = valueOf(macro)
    if (value === undefined || value === '') continue
    text += separator + prefix + encodeForUrl(value)
    separator = '&'
  }
  return url.fragment.segments.length === 0 ? text : text + fillMacros(url.fragment, valueOf)
}
