/** Cells of a CSV text by RFC 4180: quotes around cells, doubled inside, line ends within them. A semicolon or tabulator separates
 * where the first line has one and no comma.
 * @returns lines that are not empty with their number in the text, from 1; undefined: a quote is never closed
 * @see RFC 4180
 */
export function readCsv(
  text: string,
): readonly { readonly line: number; readonly cells: readonly string[] }[] | undefined {
  const source = text.replace(/^\uFEFF/, '')
  const separator = separatorOf(source.slice(0, source.search(/\r?\n|$/)))
  const lines: { line: number; cells: string[] }[] = []
  let cells: string[] = []
  let cell = ''
  let isQuoted = false
  let line = 1
  let startedAt = 1
  const endLine = (): void => {
    cells.push(cell)
    if (cells.some((one) => one.trim() !== '')) lines.push({ line: startedAt, cells })
    cells = []
    cell = ''
  }
  for (let at = 0; at < source.length; at++) {
    const letter = source[at]!
    if (letter === '\n') line++
    if (isQuoted) {
      if (letter !== '"') cell += letter
      else if (source[at + 1] === '"') cell += source[++at]!
      else isQuoted = false
    } else if (letter === '"' && cell.trim() === '') {
      isQuoted = true
      cell = ''
    } else if (letter === separator) {
      cells.push(cell)
      cell = ''
    } else if (letter === '\n') {
      endLine()
      startedAt = line
    } else if (letter !== '\r') cell += letter
  }
  if (isQuoted) return undefined
  endLine()
  return lines
}

function separatorOf(firstLine: string): string {
  if (firstLine.includes(',')) return ','
  return firstLine.includes(';') ? ';' : firstLine.includes('\t') ? '\t' : ','
}
