/** Values of a statement written into its text.
 *
 * The embedded engine binds parameters for the whole process: two statements with parameters at the same time get each other's, so
 * the package runs one after the other, and one that takes minutes would hold up all. What streams has its values in its text.
 */
export function inlineParams(sql: string, params: Readonly<Record<string, unknown>>): string {
  return sql.replace(/\{([A-Za-z][A-Za-z0-9_]*):([^{}]+)\}/g, (_, name: string, type: string) => {
    if (!(name in params)) throw new RangeError(`The parameter ${name} has no value.`)
    const value = params[name]
    return type.trim() === 'Identifier' ? identifier(value) : `CAST(${literal(value)}, ${quote(type.trim())})`
  })
}

/** The name of a table or column. */
function identifier(value: unknown): string {
  if (typeof value !== 'string') throw new RangeError('A name is a text.')
  return `\`${value.replace(/[\\`]/g, (sign) => `\\${sign}`)}\``
}

function literal(value: unknown): string {
  if (typeof value === 'string') return quote(value)
  // As text, which the cast reads exactly: a number of more than 64 bits would become a fraction.
  if (typeof value === 'bigint' || (typeof value === 'number' && Number.isFinite(value))) return quote(String(value))
  if (typeof value === 'boolean') return value ? 'true' : 'false'
  if (Array.isArray(value)) return `[${value.map(literal).join(', ')}]`
  if (isRecord(value)) return `map(${Object.entries(value).flatMap(([key, one]) => [quote(key), literal(one)]).join(', ')})` // prettier-ignore
  throw new RangeError(`A value of the type ${typeof value} cannot be written into a statement.`)
}

const isRecord = (value: unknown): value is Record<string, unknown> =>
  typeof value === 'object' && value !== null && Object.getPrototypeOf(value) === Object.prototype

/** A text as ClickHouse writes it in a statement. */
export const quote = (text: string): string =>
  `'${text.replace(/[\\'\0]/g, (sign) => (sign === '\0' ? '\\0' : `\\${sign}`))}'`
