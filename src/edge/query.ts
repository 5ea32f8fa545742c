import { cleanText, decodePercent } from './text.ts'

/** Calls `take` with each parameter of a query string or form body, in order, at most `limits.parametersMax` of them.
 *
 * - `+` and `%xx` are decoded; what is not properly encoded stays as it is.
 * - A `?` before a name is dropped: links that got a second `?` (`…?c=1&?fbclid=2`, `??c=1`) keep their parameters.
 * - Empty values are left out; long ones are cut. Never throws.
 */
export function readQuery(
  text: string,
  limits: { readonly parametersMax: number; readonly valueCharactersMax: number },
  take: (name: string, value: string) => void,
): void {
  let start = 0
  for (let count = 0; count < limits.parametersMax && start < text.length; count += 1) {
    let end = text.indexOf('&', start)
    if (end === -1) end = text.length
    readPair(text, start, end, limits.valueCharactersMax, take)
    start = end + 1
  }
}

const QUESTION_MARK = 0x3f

function readPair(
  text: string,
  start: number,
  end: number,
  valueMax: number,
  take: (name: string, value: string) => void,
): void {
  let from = start
  while (from < end && text.charCodeAt(from) === QUESTION_MARK) from += 1
  const equals = text.indexOf('=', from)
  if (equals === -1 || equals >= end - 1) return
  const value = decodeValue(text.slice(equals + 1, end), valueMax)
  if (value !== '') take(decodeComponent(text.slice(from, equals)), value)
}

const decodeComponent = (text: string): string => decodePercent(text.includes('+') ? text.replaceAll('+', ' ') : text)

/** Node's parser lets no control characters into a URL: what was not encoded needs no cleaning. */
function decodeValue(text: string, valueMax: number): string {
  const decoded = decodeComponent(text)
  return decoded === text && text.length <= valueMax ? text : cleanText(decoded, valueMax)
}

/** The query of a request target without its `?`; empty when there is none. */
export function queryOf(url: string): string {
  const mark = url.indexOf('?')
  return mark === -1 ? '' : url.slice(mark + 1)
}
