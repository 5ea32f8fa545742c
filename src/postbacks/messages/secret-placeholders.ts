import { hasControl } from './macros.ts'

/** What stands in a stored message in place of a secret of its endpoint. No value that comes from elsewhere can look like it: in a URL, a
 * form and JSON the brace of a value is escaped, and a header value has no control character.
 */

/** Marks a name in a header. */
const MARK = '\u0001'
const SECRET = /\{secret\.([a-z0-9_]+)\}/g
const SECRET_IN_HEADER = new RegExp(`${MARK}([a-z0-9_]+)${MARK}`, 'g')

/** In a URL or body. */
export const placeholderOf = (name: string): string => `{secret.${name}}`
/** In a header. */
export const headerPlaceholderOf = (name: string): string => MARK + name + MARK

/** Cheap to ask for, since most messages have none. */
export const hasPlaceholder = (text: string): boolean => text.includes('{secret.')
export const hasHeaderPlaceholder = (value: string): boolean => value.includes(MARK)

export const replacePlaceholders = (text: string, valueOf: (name: string) => string): string =>
  text.replaceAll(SECRET, (_whole, name: string) => valueOf(name))
export const replaceHeaderPlaceholders = (value: string, valueOf: (name: string) => string): string =>
  value.replaceAll(SECRET_IN_HEADER, (_whole, name: string) => valueOf(name))

const NAME = /^[a-z0-9_]{1,32}$/
export const isSecretName = (name: string): boolean => NAME.test(name)

const VALUE_LENGTH_MAX = 512
/** What a message for people says that a value is. */
export const SECRET_VALUE_FORM = `1 to ${VALUE_LENGTH_MAX} characters without control characters, no blank at either end, and not points alone`

/** Points alone would climb in a path; blanks at the ends do not survive in a header. */
export const isSecretValue = (value: string): boolean =>
  value.length >= 1 &&
  value.length <= VALUE_LENGTH_MAX &&
  value.trim() === value &&
  value.isWellFormed() &&
  !hasControl(value) &&
  !/^\.+$/.test(value)
