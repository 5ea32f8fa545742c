/** Tables of the documentation that are made from the code, so that they cannot say anything else. */
import { environmentVariables } from '#config'
import { issueCodes } from '#configuration'
import { errorCatalogue } from '#platform/errors'
import { attemptErrors, giveUpReasons, whyNotReasons } from '#postbacks'
import { refusalReasons } from '#records'

export type ReferenceTable = {
  /** Path from the root of the repository. */
  readonly file: string
  /** Between `<!-- table: name -->` and `<!-- end -->`. */
  readonly name: string
  readonly text: string
}

export const referenceTables: readonly ReferenceTable[] = [
  { file: 'docs/errors.md', name: 'errors', text: errorTable() },
  { file: 'docs/reasons.md', name: 'refusals', text: meaningTable('Reason', refusalReasons) },
  { file: 'docs/reasons.md', name: 'why-not', text: meaningTable('Reason', whyNotReasons) },
  { file: 'docs/reasons.md', name: 'give-up', text: meaningTable('Reason', giveUpReasons) },
  { file: 'docs/reasons.md', name: 'attempt-errors', text: meaningTable('Error', attemptErrors) },
  { file: 'docs/reasons.md', name: 'configuration', text: meaningTable('Code', issueCodes) },
  { file: 'docs/operations.md', name: 'environment', text: environmentTable() },
]

function errorTable(): string {
  const rows = Object.entries(errorCatalogue).map(([code, { message, status, is_retryable }]) => [
    code,
    String(status),
    is_retryable ? 'yes' : 'no',
    message,
  ])
  return table(['Code', 'Status', 'Try again', 'Message'], rows)
}

function meaningTable(head: string, meanings: Readonly<Record<string, string>>): string {
  return table([head, 'Meaning'], Object.entries(meanings))
}

function environmentTable(): string {
  const rows = Object.entries(environmentVariables).map(([name, { purpose, otherwise }]) => [
    name,
    otherwise === '' ? 'not set' : `\`${otherwise}\``,
    purpose,
  ])
  return table(['Variable', 'Default', 'What it is'], rows)
}

/** The first cell is a word of the code. Pipes would end a cell, and tags would be taken for HTML. */
function table(head: readonly string[], rows: readonly (readonly string[])[]): string {
  const line = (cells: readonly string[]): string => `| ${cells.join(' | ')} |`
  const escape = (text: string): string => text.replaceAll('|', '\\|').replaceAll('<', '&lt;')
  const body = rows.map(([word = '', ...rest]) => line([`\`${word}\``, ...rest.map(escape)]))
  return [line(head), line(head.map(() => '---')), ...body].join('\n')
}

/** The page with the table put in its place.
 * @throws {Error} the page has no such place
 */
export function withTable(page: string, { file, name, text }: ReferenceTable): string {
  const start = `<!-- table: ${name} -->`
  const from = page.indexOf(start)
  const to = page.indexOf('<!-- end -->', from)
  if (from < 0 || to < 0) throw new Error(`${file} has no place for the table "${name}": ${start} … <!-- end -->`)
  return `${page.slice(0, from + start.length)}\n<!-- prettier-ignore -->\n${text}\n\n${page.slice(to)}`
}
