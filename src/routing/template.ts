import { macroNames, type MacroName } from './macros.ts'

/** Where the filled text goes; decides how values are escaped. */
export type TemplateContext = 'url' | 'json' | 'form' | 'text' | 'html'

type Hole = {
  /** Undefined: no macro of ours; filled with nothing. */
  readonly name: MacroName | undefined
  /** `{_name}`: the value as it is, unescaped. */
  readonly isRaw: boolean
  /** `{status:lead=0 sale=1}`: words of the receiver, by our value. */
  readonly words: ReadonlyMap<string, string> | undefined
}

/** Text with macros, taken apart once. */
export type Template = {
  readonly text: string
  readonly context: TemplateContext
  readonly segments: readonly (string | Hole)[]
  /** Macros in it, canonical, each once, in order. */
  readonly macros: readonly MacroName[]
  /** Names in braces that are no macro of ours. */
  readonly unknown: readonly string[]
}

/** Names start with a letter, so that the braces of JSON (`{"a":…}`) and `{}` stay text. */
const MACRO = /\{\{(_?[a-zA-Z][\w-]*)(?::([^{}]*))?\}\}|\{(_?[a-zA-Z][\w-]*)(?::([^{}]*))?\}/g

function parseWords(text: string): ReadonlyMap<string, string> {
  const pairs = text.trim().split(/\s+/)
  return new Map(
    pairs.map((pair) => [pair.slice(0, pair.indexOf('=')).toLowerCase(), pair.slice(pair.indexOf('=') + 1)]),
  )
}

function parseHole(written: string, argument: string | undefined): Hole {
  const isRaw = written.startsWith('_')
  return {
    name: macroNames.get((isRaw ? written.slice(1) : written).toLowerCase()),
    isRaw,
    words: argument?.includes('=') === true ? parseWords(argument) : undefined,
  }
}

/** Pieces that templates have in common, kept once: `&geo=` and `{country}` of a thousand landings then stay in the processor's cache. */
const knownTexts = new Map<string, string>()
const knownHoles = new Map<string, Hole>()
const KNOWN_MAX = 4_096
/** Longer pieces are hardly ever the same, and a page of a flow may have very long ones. */
const SHARED_CHARACTERS_MAX = 32

function sharedOf<T>(known: Map<string, T>, key: string, make: () => T): T {
  const found = known.get(key)
  if (found !== undefined) return found
  const made = make()
  if (known.size < KNOWN_MAX) known.set(key, made)
  return made
}

/** What is kept is a copy: V8 keeps a part of a text as a view of it, and with it the whole text. */
const sharedText = (text: string): string =>
  text.length > SHARED_CHARACTERS_MAX ? text : sharedOf(knownTexts, text, () => Buffer.from(text).toString())

/** Holes with words of their own are not shared: they can be long. */
const sharedHole = (written: string, argument: string | undefined): Hole =>
  argument !== undefined || written.length > SHARED_CHARACTERS_MAX
    ? parseHole(written, argument)
    : sharedOf(knownHoles, written, () => parseHole(written, undefined))

/** Takes a text with macros apart: `{name}` or `{{name}}`, `{_name}` unescaped, `{name:a=b c=d}` translated.
 * Names and aliases as in docs/http-edge.md, in any case.
 * @example compileTemplate('https://x.example/?cid={click_id}', 'url').macros // ['click_id']
 */
export function compileTemplate(text: string, context: TemplateContext): Template {
  const segments: (string | Hole)[] = []
  const macros = new Set<MacroName>()
  const unknown = new Set<string>()
  let end = 0
  for (const match of text.matchAll(MACRO)) {
    const written = (match[1] ?? match[3])!
    const hole = sharedHole(written, match[2] ?? match[4])
    if (match.index > end) segments.push(sharedText(text.slice(end, match.index)))
    segments.push(hole)
    if (hole.name === undefined) unknown.add(written)
    else macros.add(hole.name)
    end = match.index + match[0].length
  }
  if (end < text.length) segments.push(sharedText(text.slice(end)))
  return { text, context, segments, macros: [...macros], unknown: [...unknown] }
}

/** 1 for the characters that stand for themselves in a query or path (RFC 3986 §2.3). */
const UNRESERVED = new Uint8Array(128)
for (const character of 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~') {
  UNRESERVED[character.charCodeAt(0)] = 1
}

/** Most values are short and need no encoding; a loop sees that in a quarter of the time of a regular expression. */
function isUnreserved(value: string): boolean {
  for (let index = 0; index < value.length; index += 1) {
    const code = value.charCodeAt(index)
    if (code > 127 || UNRESERVED[code] === 0) return false
  }
  return true
}

/** A value for a query or path; a lone surrogate, which has no encoding, becomes U+FFFD. */
export const encodeForUrl = (value: string): string =>
  isUnreserved(value) ? value : encodeURIComponent(value.toWellFormed())

/** What no header and no URL may carry is encoded even in a raw value; everything else stays. */
const encodeUnprintable = (value: string): string =>
  value.replace(/[^\x21-\x7e]+/g, (text) => encodeURIComponent(text.toWellFormed()))

const HTML_ESCAPES: Readonly<Record<string, string>> = {
  '&': '&amp;',
  '<': '&lt;',
  '>': '&gt;',
  '"': '&quot;',
  "'": '&#39;',
}

/** Text for HTML and for attributes in quotes. */
export const escapeHtml = (text: string): string => text.replaceAll(/[&<>"']/g, (character) => HTML_ESCAPES[character]!)

const escapeValue: Readonly<Record<TemplateContext, (value: string) => string>> = {
  url: encodeForUrl,
  form: encodeForUrl,
  json: (value) => JSON.stringify(value).slice(1, -1),
  text: (value) => value,
  html: escapeHtml,
}

/** A raw value stands as its sender wrote it, but never so that it breaks a header or becomes a script. */
const escapeRawValue: Readonly<Record<TemplateContext, (value: string) => string>> = {
  url: encodeUnprintable,
  form: (value) => value,
  json: (value) => value,
  text: (value) => value,
  html: escapeHtml,
}

/** The text with its macros filled and escaped for its context. A macro without a value, and one that is none of ours,
 * becomes empty: a literal `{payout}` never leaves.
 * @param valueOf the value of a canonical macro; undefined: none
 * @example fillMacros(compileTemplate('/?a={sub1}&b={nope}', 'url'), () => 'x y') // '/?a=x%20y&b='
 */
export function fillMacros(template: Template, valueOf: (name: MacroName) => string | undefined): string {
  const escape = escapeValue[template.context]
  const escapeRaw = escapeRawValue[template.context]
  let text = ''
  for (const segment of template.segments) {
    if (typeof segment === 'string') text += segment
    else text += fillHole(segment, valueOf, segment.isRaw ? escapeRaw : escape)
  }
  return text
}

function fillHole(
  hole: Hole,
  valueOf: (name: MacroName) => string | undefined,
  escape: (value: string) => string,
): string {
  if (hole.name === undefined) return ''
  const value = valueOf(hole.name)
  if (value === undefined || value === '') return ''
  const word = hole.words === undefined ? value : (hole.words.get(value.toLowerCase()) ?? value)
  return escape(word)
}
