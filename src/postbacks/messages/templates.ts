import { postbackLimits } from '../limits.ts'
import { parseFunction, type MacroFunction } from './macro-functions.ts'
import { findMacro, hasControl, type Macro, type MacroFacts } from './macros.ts'
import { headerPlaceholderOf, placeholderOf } from './secret-placeholders.ts'

/** Where a template's text goes, which decides how values are encoded. */
export type TemplateKind = 'url' | 'json' | 'form' | 'header'

/** A mistake in a template. `offset` counts characters from its start. */
export type TemplateProblem = { readonly code: TemplateProblemCode; readonly message: string; readonly offset: number }

export const templateProblemCodes = {
  macro_unknown: 'There is no macro of this name.',
  macro_malformed: 'A brace that is no macro: macros are written {name}.',
  macro_map_invalid:
    'The inline map of a macro is not of the form {status:lead=1 sale=2 *=0}, or the macro takes none.',
  macro_function_invalid: 'What follows the colon of a macro is none of its functions.',
  macro_in_host: 'The host, port and scheme of a URL must not come from a macro.',
  macro_misplaced: '{sig} and {ts} work in the URL and the body of an endpoint with a secret, in JSON within quotes.',
  secret_misplaced: 'A secret is written {secret.name}, without function, "_" and "!", and in JSON within quotes.',
  secret_unknown: 'The endpoint has no secret of this name.',
  macro_confidential: 'An endpoint of an affiliate must not be told this value.',
  url_fragment: 'A URL that is requested has no fragment (#).',
  template_too_long: 'The template is longer than the limit.',
} as const
export type TemplateProblemCode = keyof typeof templateProblemCodes

type Encoder = 'path' | 'query' | 'form' | 'json_string' | 'json_bare' | 'header'

type Part =
  | { readonly kind: 'text'; readonly text: string }
  | {
      readonly kind: 'macro'
      readonly macro: Macro
      readonly encode: (value: string) => string
      readonly use: MacroUse
    }
  /** Filled at send time; stays in the rendered text as `{sig}` or `{ts}`. */
  | { readonly kind: 'late'; readonly text: LateMacro }
  /** Filled at send time too. */
  | { readonly kind: 'secret'; readonly name: string; readonly text: string }

type MacroUse = { readonly isRequired: boolean; readonly fn: MacroFunction | undefined; readonly isHeader: boolean }
export type LateMacro = '{sig}' | '{ts}'

export type Template = {
  readonly parts: readonly Part[]
  readonly lateMacros: ReadonlySet<LateMacro>
  /** Names of the secrets that it asks for, with where each first stands. */
  readonly secrets: ReadonlyMap<string, number>
}

/** What a template gave for one cause. `header_invalid`: a value would break out of its header. */
export type Rendered =
  | { readonly kind: 'rendered'; readonly text: string }
  | { readonly kind: 'macro_empty' | 'header_invalid'; readonly macro: string }

/** `{name}`, `{_name}` raw, `{name:function}`, `{name!}` required. */
const MACRO = /\{(_?)([A-Za-z][A-Za-z0-9_]*(?:\.[A-Za-z0-9_]+)?)(?::([^{}!]*))?(!?)\}/y

/** A path value of dots alone would climb (`..`), encoded or not: URL parsers fold `%2e%2e` too. */
const encodePath = (value: string): string => (/^\.+$/.test(value) ? '' : encodeURIComponent(value))

/** As given, so that a value may bring its own parameters; only what would break the request line is escaped. */
const encodeRawUrl = (value: string): string =>
  encodeURI(value).replaceAll('%25', '%').replaceAll('#', '%23').replaceAll('\\', '%5C')

const JSON_NUMBER = /^-?(?:0|[1-9]\d*)(?:\.\d+)?$/

/** What looks like a macro that is filled at send time must stay the text that it is, also where two values and the template between
 * them make it up. A URL and a form have no such brace left.
 */
const toJson = (value: string): string => JSON.stringify(value).replaceAll('{', '\\u007b')
export const encodeJsonString = (value: string): string => toJson(value).slice(1, -1)

export const encodeForm = (value: string): string => encodeURIComponent(value).replaceAll('%20', '+')

function encodeBareJson(value: string, isNumber: boolean): string {
  if (value === '') return 'null'
  return isNumber && JSON_NUMBER.test(value) ? value : toJson(value)
}

const NUMBERS: ReadonlySet<Macro['kind']> = new Set(['number', 'money'])
const isNumber = ({ kind }: Macro, fn: MacroFunction | undefined): boolean =>
  fn === undefined ? NUMBERS.has(kind) : fn.keepsNumber

/** Visible ASCII and single spaces inside; everything else percent-encoded. */
export const encodeHeader = (value: string): string =>
  value.trim().replace(/[^\u0020-\u007e]+/gu, (rest) => encodeURIComponent(rest))

function encoderOf(encoder: Encoder, isNumeric: boolean, isRaw: boolean): (value: string) => string {
  switch (encoder) {
    case 'path':
      return isRaw ? encodeRawUrl : encodePath
    case 'query':
      return isRaw ? encodeRawUrl : encodeURIComponent
    case 'form':
      return isRaw ? encodeRawUrl : encodeForm
    case 'json_string':
      return encodeJsonString
    case 'json_bare':
      return (value) => encodeBareJson(value, isNumeric)
    case 'header':
      return isRaw ? (value) => value : encodeHeader
    default:
      return encoder satisfies never
  }
}

/** Walks a template once and knows at each character what a value there would have to look like. */
class Reader {
  readonly #template: string
  readonly #kind: TemplateKind
  readonly #hostEnd: number
  #isInQuery = false
  #isInString = false

  constructor(template: string, kind: TemplateKind) {
    this.#template = template
    this.#kind = kind
    this.#hostEnd = kind === 'url' ? (/^[^:/?#]*:\/\/[^/?#]*/.exec(template)?.[0].length ?? template.length) : 0
  }

  /** Takes note of a literal character. */
  pass(offset: number): void {
    const char = this.#template[offset]
    if (this.#kind === 'url' && char === '?') this.#isInQuery = true
    if (this.#kind === 'json' && char === '"' && !this.#isEscaped(offset)) this.#isInString = !this.#isInString
  }

  isInHost(offset: number): boolean {
    return offset < this.#hostEnd
  }

  /** Outside of strings the braces of JSON are its own. */
  isStructuralBrace(): boolean {
    return this.#kind === 'json' && !this.#isInString
  }

  encoder(): Encoder {
    if (this.#kind === 'url') return this.#isInQuery ? 'query' : 'path'
    if (this.#kind === 'json') return this.#isInString ? 'json_string' : 'json_bare'
    return this.#kind
  }

  #isEscaped(offset: number): boolean {
    let backslashes = 0
    while (this.#template[offset - 1 - backslashes] === '\\') backslashes++
    return backslashes % 2 === 1
  }
}

/** A problem with the message of its code. */
export const problemOf = (code: TemplateProblemCode, offset: number, detail = ''): TemplateProblem => ({
  code,
  message: `${templateProblemCodes[code]}${detail === '' ? '' : ` ${detail}`}`,
  offset,
})

/** Compiles a template once, so that rendering is a walk over its parts.
 * Every mistake is reported, not only the first; a template with problems must not be used.
 */
export function compileTemplate(
  template: string,
  kind: TemplateKind,
): { readonly template: Template; readonly problems: readonly TemplateProblem[] } {
  const problems: TemplateProblem[] = []
  const parts: Part[] = []
  const secrets = new Map<string, number>()
  const { templateCharactersMax } = postbackLimits
  if (template.length > templateCharactersMax) {
    return { template: toTemplate([], new Map()), problems: [problemOf('template_too_long', templateCharactersMax)] }
  }
  const reader = new Reader(template, kind)
  // Cut out, not put together: a text made of characters one by one is a tree, which each message would walk.
  let literalFrom = 0
  for (let offset = 0; offset < template.length;) {
    MACRO.lastIndex = offset
    const match = template[offset] === '{' ? MACRO.exec(template) : null
    if (match !== null) {
      const part = readMacro(match, offset, kind, reader)
      if ('code' in part) problems.push(part)
      else parts.push({ kind: 'text', text: template.slice(literalFrom, offset) }, part)
      if ('kind' in part && part.kind === 'secret' && !secrets.has(part.name)) secrets.set(part.name, offset)
      offset += match[0].length
      literalFrom = offset
      continue
    }
    problems.push(...checkLiteral(template, offset, kind, reader))
    reader.pass(offset)
    offset++
  }
  parts.push({ kind: 'text', text: template.slice(literalFrom) })
  return { template: toTemplate(parts, secrets), problems }
}

function toTemplate(parts: readonly Part[], secrets: ReadonlyMap<string, number>): Template {
  const kept = parts.filter((part) => part.kind !== 'text' || part.text !== '')
  return {
    parts: kept,
    lateMacros: new Set(kept.flatMap((part) => (part.kind === 'late' ? [part.text] : []))),
    secrets,
  }
}

function readMacro(match: RegExpExecArray, offset: number, kind: TemplateKind, reader: Reader): Part | TemplateProblem {
  const [whole, underscore, name, source, exclamation] = match as unknown as [string, string, string, string?, string?]
  if (reader.isInHost(offset)) return problemOf('macro_in_host', offset, whole)
  const late = `{${name.toLowerCase()}}`
  if (late === '{sig}' || late === '{ts}') {
    const isPlain = whole.length === late.length && !['header', 'json_bare'].includes(reader.encoder())
    return isPlain ? { kind: 'late', text: late } : problemOf('macro_misplaced', offset, whole)
  }
  if (/^secret\./i.test(name)) return readSecret(match, offset, reader)
  const macro = findMacro(name)
  if (macro === undefined) return problemOf('macro_unknown', offset, whole)
  const fn = source === undefined ? undefined : parseFunction(macro, source)
  if (fn !== undefined && 'code' in fn) return problemOf(fn.code, offset, `${whole} ${fn.expected}`)
  const encode = encoderOf(reader.encoder(), isNumber(macro, fn), underscore === '_')
  return { kind: 'macro', macro, encode, use: { isRequired: exclamation === '!', fn, isHeader: kind === 'header' } }
}

function readSecret(match: RegExpExecArray, offset: number, reader: Reader): Part | TemplateProblem {
  const [whole] = match
  const name = match[2]!.slice('secret.'.length).toLowerCase()
  const encoder = reader.encoder()
  const isPlain = whole.length === placeholderOf(name).length && encoder !== 'json_bare'
  if (!isPlain) return problemOf('secret_misplaced', offset, whole)
  return { kind: 'secret', name, text: encoder === 'header' ? headerPlaceholderOf(name) : placeholderOf(name) }
}

function checkLiteral(
  template: string,
  offset: number,
  kind: TemplateKind,
  reader: Reader,
): readonly TemplateProblem[] {
  const char = template[offset]!
  if (kind === 'url' && char === '#') return [problemOf('url_fragment', offset)]
  const isBrace = char === '{' || char === '}'
  if (isBrace && !reader.isStructuralBrace()) return [problemOf('macro_malformed', offset)]
  // `${click_id}` and `#{click_id}` are other products' macros: the sign would be sent in front of the value.
  const isForeign = (char === '$' || char === '#') && template[offset + 1] === '{'
  return isForeign ? [problemOf('macro_malformed', offset)] : []
}

/** Fills a compiled template. A macro without a value becomes empty, unless it is required (`{name!}`). Control characters are taken out
 * of values, but in a header, where nobody means well by them, they are a reason not to send.
 * @returns macro_empty or header_invalid with the macro's name: such a message is not sent
 */
export function renderTemplate(template: Template, facts: MacroFacts): Rendered {
  let text = ''
  for (const part of template.parts) {
    if (part.kind !== 'macro') {
      text += part.text
      continue
    }
    const { macro, use } = part
    if (use.isHeader && hasControl(macro.readRaw(facts))) return { kind: 'header_invalid', macro: macro.name }
    const given = macro.read(facts)
    const value = use.fn === undefined ? given : use.fn.apply(given, facts)
    if (value === '' && use.isRequired) return { kind: 'macro_empty', macro: macro.name }
    text += part.encode(value)
  }
  return { kind: 'rendered', text }
}

/** The confidential macros that a template uses. */
export const confidentialMacros = (template: Template): readonly string[] =>
  template.parts.flatMap((part) => (part.kind === 'macro' && part.macro.isConfidential ? [part.macro.name] : []))

/** Whether a template differs from message to message. */
export const hasMacros = ({ parts }: Template): boolean =>
  parts.some((part) => part.kind === 'macro' || part.kind === 'late')
