import { FormulaMistake } from './formula.ts'

export type Token = {
  readonly kind: 'number' | 'name' | 'sign' | 'end'
  /** A number without its percent sign, a name without its quotes, a sign in its plain form. */
  readonly text: string
  readonly isPercent?: boolean
  readonly isQuoted?: boolean
  readonly column: number
}

/** One match is white space, a number, a name, a name in quotes or a sign. */
const TOKEN =
  /(\s+)|(\d+(?:\.\d+)?)(%?)|([A-Za-z_][A-Za-z0-9_]*(?:\.[A-Za-z0-9_]+)*)|`([^`]+)`|(<=|>=|!=|<>|==|[-+*/()<>=,−×÷≤≥≠])/y

/** Signs that people write, and what they are here. */
const PLAIN: Readonly<Record<string, string>> = {
  '−': '-', '×': '*', '÷': '/', '≤': '<=', '≥': '>=', '≠': '!=', '<>': '!=', '==': '=',
} // prettier-ignore

const DIGITS_MAX = 15

/** The words and signs of a formula, the end as the last one.
 * @throws {FormulaMistake} a character that begins nothing, or a number of too many digits
 */
export function readTokens(text: string): readonly Token[] {
  const tokens: Token[] = []
  let at = 0
  while (at < text.length) {
    TOKEN.lastIndex = at
    const match = TOKEN.exec(text)
    if (match === null) throw new FormulaMistake(at + 1, `"${text[at]}" means nothing here`)
    const token = tokenOf(match, at + 1)
    if (token !== undefined) tokens.push(token)
    at = TOKEN.lastIndex
  }
  return [...tokens, { kind: 'end', text: '', column: text.length + 1 }]
}

function tokenOf(match: RegExpExecArray, column: number): Token | undefined {
  const [, , number, percent, name, quoted, sign] = match
  if (number !== undefined) {
    if (number.replace('.', '').length > DIGITS_MAX)
      throw new FormulaMistake(column, `a number has at most ${DIGITS_MAX} digits`)
    return { kind: 'number', text: number, isPercent: percent === '%', column }
  }
  if (name !== undefined) return { kind: 'name', text: name, column }
  if (quoted !== undefined) return { kind: 'name', text: quoted, isQuoted: true, column }
  if (sign !== undefined) return { kind: 'sign', text: PLAIN[sign] ?? sign, column }
  return undefined
}
