/** What is kept of an answer's headers. */
export const HEADERS_LENGTH_MAX = 2_048
/** Values that open a door at the receiver. */
const SECRET_NAME = /cookie|authenticat|authoriz|token|secret|api-?key/i

/** The headers of an answer as lines that a person reads; what may be a secret is not shown. Cut to 2 KiB. */
export function headersForPeople(headers: Readonly<Record<string, unknown>>): string {
  const lines = Object.entries(headers).flatMap(([name, value]) =>
    (Array.isArray(value) ? value : [value]).map(
      (one) => `${name}: ${SECRET_NAME.test(name) ? '(secret)' : String(one)}`,
    ),
  )
  return lines.join('\n').replaceAll('\0', '').slice(0, HEADERS_LENGTH_MAX)
}
