import { cleanText, decodePercent } from './text.ts'

const AMPERSAND = 0x26
const EQUALS = 0x3d
const PERCENT = 0x25
const PLUS = 0x2b
const QUESTION_MARK = 0x3f
const SPACE = 0x20

export type QueryLimits = { readonly parametersMax: number; readonly valueCharactersMax: number }

/** Calls `take` with each parameter of a query string or form body, in order, at most `limits.parametersMax` of them.
 *
 * - `+` and `%xx` are decoded; what is not properly encoded stays as it is.
 * - A `?` before a name is dropped: links that got a second `?` (`…?c=1&?fbclid=2`, `??c=1`) keep their parameters.
 * - Empty values are left out; long ones are cut. Never throws.
 *
 * Clicks are read by readNamedQuery, which gives the same.
 */
export function readQuery(text: string, limits: QueryLimits, take: (name: string, value: string) => void): void {
  let count = 0
  let start = 0
  let equals = -1
  let isPlain = true
  for (let at = 0; at <= text.length && count < limits.parametersMax; at += 1) {
    const code = at === text.length ? AMPERSAND : text.charCodeAt(at)
    if (code === EQUALS && equals === -1) equals = at
    else if (code === PERCENT || code === PLUS || code < SPACE) isPlain = false
    else if (code === AMPERSAND) {
      if (equals !== -1 && at > equals + 1) {
        takePair(text, start, equals, at, isPlain, limits.valueCharactersMax, take)
      }
      count += 1
      start = at + 1
      equals = -1
      isPlain = true
    }
  }
}

/** The value of a parameter, whose name counts in either case; the first of several. */
export function findParameter(text: string, name: string, limits: QueryLimits): string | undefined {
  const wanted = name.toLowerCase()
  let found: string | undefined
  readQuery(text, limits, (given, value) => {
    if (found === undefined && given.toLowerCase() === wanted) found = value
  })
  return found
}

function takePair(
  text: string,
  start: number,
  equals: number,
  end: number,
  isPlain: boolean,
  valueMax: number,
  take: (name: string, value: string) => void,
): void {
  let from = start
  while (text.charCodeAt(from) === QUESTION_MARK) from += 1
  const name = text.slice(from, equals)
  const value = text.slice(equals + 1, end)
  if (isPlain && value.length <= valueMax) return take(name, value)
  const decoded = cleanText(decodeComponent(value), valueMax)
  if (decoded !== '') take(decodeComponent(name), decoded)
}

const decodeComponent = (text: string): string => decodePercent(text.includes('+') ? text.replaceAll('+', ' ') : text)

/** The query of a request target without its `?`; empty when there is none. */
export function queryOf(url: string): string {
  const mark = url.indexOf('?')
  return mark === -1 ? '' : url.slice(mark + 1)
}
