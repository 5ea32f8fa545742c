import { RE2JS, RE2JSException } from 're2js'
import { ruleLimits } from './limits.ts'

/** A regular expression of RE2's syntax: matched in time linear to the text, whatever the pattern.
 * @see https://github.com/google/re2/wiki/Syntax
 */
export type Pattern = { readonly isFoundIn: (text: string) => boolean }

export type ReadPattern =
  | { readonly kind: 'read'; readonly pattern: Pattern }
  /** `position` counts characters from 1. */
  | { readonly kind: 'refused'; readonly message: string; readonly position: number }

/** Reads a pattern. Letters match in either case, unless it says `(?-i)`. */
export function readPattern(source: string): ReadPattern {
  if (source.length > ruleLimits.pattern_length_max)
    return refused(`A pattern has at most ${ruleLimits.pattern_length_max} characters.`, ruleLimits.pattern_length_max)
  try {
    const compiled = RE2JS.compile(source, RE2JS.CASE_INSENSITIVE)
    if (compiled.programSize() > ruleLimits.pattern_size_max)
      return refused(`The pattern is too large: it repeats too much (${compiled.programSize()} steps).`, 0)
    return { kind: 'read', pattern: { isFoundIn: (text) => compiled.test(text) } }
  } catch (error) {
    if (!(error instanceof RE2JSException)) throw error
    return refusedBy(error, source)
  }
}

const refused = (message: string, index: number): ReadPattern => ({ kind: 'refused', message, position: index + 1 })

/** The library names the part of the pattern that it cannot read; the whole of it where
 * something is missing at the end. */
function refusedBy(error: RE2JSException, source: string): ReadPattern {
  const { error: reason, input } = error as { error?: unknown; input?: unknown }
  // The flag for either case comes before the pattern there.
  const part = typeof input === 'string' ? input.replace(/^\(\?i\)/, '') : ''
  const isMissing = typeof reason === 'string' && /^(?:missing|trailing)/.test(reason)
  const index = part === source && isMissing ? source.length : Math.max(source.lastIndexOf(part), 0)
  return refused(`The pattern cannot be read: ${typeof reason === 'string' ? reason : error.message}.`, index)
}
