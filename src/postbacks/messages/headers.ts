import { postbackLimits } from '../limits.ts'
import type { MacroFacts } from './macros.ts'
import { replaceHeaderPlaceholders } from './secret-placeholders.ts'
import {
  compileTemplate,
  confidentialMacros,
  hasMacros,
  problemOf,
  renderTemplate,
  type Template,
  type TemplateProblem,
} from './templates.ts'

/** Headers of an endpoint with their templates taken apart, by name in lower case. */
export type CompiledHeaders = ReadonlyMap<string, Template>

/** The headers of one message, or why it is not sent. */
export type FilledHeaders =
  | { readonly kind: 'filled'; readonly headers: Readonly<Record<string, string>> | undefined }
  | { readonly kind: 'macro_empty' | 'header_invalid' | 'request_too_large'; readonly detail: string }

export type HeaderProblem = {
  readonly name: string
  readonly code: TemplateProblem['code'] | 'header_invalid'
  readonly message: string
  readonly offset: number
}

/** A token of RFC 9110. */
const NAME = /^[!#$%&'*+.^_`|~0-9A-Za-z-]{1,64}$/
/** What a header value may be made of: tab, visible ASCII, and Latin-1 beyond it. Node refuses anything else when it is too late. */
const VALUE = /^[\t\x20-\x7e\x80-\xff]*$/

/** Headers that belong to the connection or to us, with what to do instead. */
const RESERVED: Readonly<Record<string, string>> = {
  ...Object.fromEntries(
    ['connection', 'keep-alive', 'proxy-authenticate', 'proxy-authorization', 'proxy-connection', 'te', 'trailer', 'transfer-encoding', 'upgrade', 'expect']
      .map((name) => [name, 'It is a matter of the connection.']), // prettier-ignore
  ),
  host: 'It is the host of the URL.',
  'content-length': 'It is counted.',
  'content-encoding': 'Bodies are sent as they are.',
  'content-type': 'Set content_type.',
}

/** Compiles the headers of an endpoint. Those with mistakes are left out; headerProblems names them. */
export const compileHeaders = (headers: Readonly<Record<string, string>> | undefined): CompiledHeaders =>
  new Map(
    Object.entries(headers ?? {}).map(([name, text]) => [name.toLowerCase(), compileTemplate(text, 'header').template]),
  )

/** Everything that is wrong with the headers of an endpoint. */
export function headerProblems(
  headers: Readonly<Record<string, string>> | undefined,
  isOfAffiliate: boolean,
): readonly HeaderProblem[] {
  const entries = Object.entries(headers ?? {})
  const seen = new Set<string>()
  return entries.flatMap(([name, text]) => {
    const lower = name.toLowerCase()
    const isRepeat = seen.has(lower)
    seen.add(lower)
    return [...nameProblems(name, isRepeat), ...valueProblems(name, text, isOfAffiliate)]
  })
}

const invalid = (name: string, message: string): HeaderProblem => ({ name, code: 'header_invalid', message, offset: 0 })

function nameProblems(name: string, isRepeat: boolean): readonly HeaderProblem[] {
  const lower = name.toLowerCase()
  if (!NAME.test(name)) return [invalid(name, 'The name of a header is 1 to 64 letters, digits and "-".')]
  if (lower.startsWith('webhook-')) return [invalid(name, `"${name}" is ours: it identifies and signs the message.`)]
  if (Object.hasOwn(RESERVED, lower)) return [invalid(name, `"${name}" cannot be set. ${RESERVED[lower]}`)]
  return isRepeat ? [invalid(name, `"${name}" is there already; upper and lower case are the same.`)] : []
}

function valueProblems(name: string, text: string, isOfAffiliate: boolean): readonly HeaderProblem[] {
  if (text.length > postbackLimits.headerTemplateCharactersMax)
    return [invalid(name, `The header is longer than ${postbackLimits.headerTemplateCharactersMax} characters.`)]
  if (!VALUE.test(text))
    return [invalid(name, 'A header has no line breaks, control characters or letters beyond Latin-1.')]
  const { template, problems } = compileTemplate(text, 'header')
  const told = isOfAffiliate ? confidentialMacros(template) : []
  return [
    ...problems.map((problem) => ({ name, ...problem })),
    ...told.map((macro) => ({ name, ...problemOf('macro_confidential', 0, `{${macro}}`) })),
  ]
}

const constantByCompiled = new WeakMap<CompiledHeaders, FilledHeaders>()

/** Fills the headers for one message. A header without a value is left out. Without macros all messages share what was filled once. */
export function fillHeaders(compiled: CompiledHeaders, facts: MacroFacts): FilledHeaders {
  if (compiled.size === 0) return { kind: 'filled', headers: undefined }
  const known = constantByCompiled.get(compiled)
  if (known !== undefined) return known
  const filled = fillEach(compiled, facts)
  if (!compiled.values().some(hasMacros)) constantByCompiled.set(compiled, filled)
  return filled
}

function fillEach(compiled: CompiledHeaders, facts: MacroFacts): FilledHeaders {
  const headers: Record<string, string> = {}
  let bytes = 0
  for (const [name, template] of compiled) {
    const rendered = renderTemplate(template, facts)
    if (rendered.kind !== 'rendered') return { kind: rendered.kind, detail: `${name}: ${rendered.macro}` }
    const value = rendered.text.trim()
    if (value === '') continue
    if (!VALUE.test(template.secrets.size === 0 ? value : replaceHeaderPlaceholders(value, () => '')))
      return { kind: 'header_invalid', detail: name }
    headers[name] = value
    bytes += name.length + value.length + 4
  }
  if (bytes > postbackLimits.headerBytesMax) return { kind: 'request_too_large', detail: 'headers' }
  return { kind: 'filled', headers }
}

const SENSITIVE = /auth|cookie|token|secret|password|signature|key/

/** What a door-opening header holds, for a text in which it must not stand: the whole value, and the credentials without their scheme. */
export const sensitiveValues = (headers: Readonly<Record<string, string>>): readonly string[] =>
  Object.entries(headers).flatMap(([name, value]) =>
    SENSITIVE.test(name) ? [value, value.slice(value.indexOf(' ') + 1)] : [],
  )

/** Headers as people may see them. A name alone does not tell what is secret, so that a doubt is masked. */
export const maskHeaders = (headers: Readonly<Record<string, string>>): Readonly<Record<string, string>> =>
  Object.fromEntries(Object.entries(headers).map(([name, value]) => [name, SENSITIVE.test(name) ? '(secret)' : value]))
