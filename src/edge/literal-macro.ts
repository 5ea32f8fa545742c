/** The ways in which networks write the macros that they should have replaced, as counted over 383 real postback templates:
 * `{x}` 328, `{{x}}` 13, `##x##` 12, `[x]` 9, `#x#` 6, `${x}` 5, `%x%` 3, and one each of the rest.
 */
const WRITTEN = String.raw`\$?#?\{+_?[A-Za-z][\w.:-]*\}+|##?[A-Za-z][\w.]*##?|\[+=?[A-Za-z][\w.]*=?\]+|%[A-Za-z]\w*%|<[A-Za-z]\w*>`

/** Braces give a macro away even inside a value; the other signs also occur in honest values and count alone only, or in
 * a list of them (`##CPA_AMOUNT##,##RS_AMOUNT##`).
 */
const LITERAL = new RegExp(String.raw`\{_?[A-Za-z][\w.]*\}|^(?:${WRITTEN})(?:,(?:${WRITTEN}))*$`)

/** Whether a value holds a macro that its sender did not fill.
 * @example isLiteralMacro('{payout}') // true
 */
export const isLiteralMacro = (value: string): boolean => LITERAL.test(value)
