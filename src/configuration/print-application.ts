import type { Application } from './apply.ts'
import type { Change, FieldChange } from './describe-changes.ts'
import type { Issue } from './issues.ts'

const ISSUES_SHOWN_MAX = 100
const CHANGES_SHOWN_MAX = 1_000
const VALUE_LENGTH_MAX = 100

/** What `waypost apply` prints: the mistakes with their lines, or the differences as `+`, `~` and `-`.
 * @param fileName stands before each line number, so that an editor can jump there
 */
export function printApplication(application: Application, fileName: string): string {
  switch (application.kind) {
    case 'refused':
      return printIssues(application.issues, fileName)
    case 'unchanged':
      return `Nothing to change: version ${application.version} is as the file wants it.`
    case 'planned':
      return `${printChanges(application.changes)}\nDry run: nothing was applied. It would become version ${application.version}.`
    case 'applied':
      return `${printChanges(application.changes)}\nApplied as version ${application.version}.`
    default:
      return application satisfies never
  }
}

/** The mistakes with their lines, one each. */
export function printIssues(issues: readonly Issue[], fileName: string): string {
  const lines = issues.slice(0, ISSUES_SHOWN_MAX).map((issue) => printIssue(issue, fileName))
  const rest = issues.length > ISSUES_SHOWN_MAX ? [`… and ${issues.length - ISSUES_SHOWN_MAX} more`] : []
  const count = issues.length === 1 ? '1 mistake' : `${issues.length} mistakes`
  return [...lines, ...rest, `${count}; nothing was applied.`].join('\n')
}

function printIssue({ line, column, path, code, message, hint }: Issue, fileName: string): string {
  const where = path === '' ? '' : ` ${path}:`
  return `${fileName}:${line}:${column}:${where} ${message}${hint === undefined ? '' : ` ${hint}`} [${code}]`
}

/** The differences as `+`, `~` and `-`, and how many there are. */
export function printChanges(changes: readonly Change[]): string {
  const lines = changes.slice(0, CHANGES_SHOWN_MAX).flatMap(printChange)
  const rest = changes.length > CHANGES_SHOWN_MAX ? [`… and ${changes.length - CHANGES_SHOWN_MAX} more`] : []
  const count = (kind: Change['kind']): number => changes.filter((change) => change.kind === kind).length
  return [
    ...lines,
    ...rest,
    `${count('added')} to add, ${count('changed')} to change, ${count('removed')} to remove.`,
  ].join('\n')
}

const signs = { added: '+', changed: '~', removed: '-' } as const

const printChange = ({ kind, object, id, fields }: Change): string[] => [
  `${signs[kind]} ${object} ${id}`,
  ...fields.map(printField),
]

function printField({ path, before, after }: FieldChange): string {
  const name = path === '' ? '' : `${path}: `
  if (before === undefined) return `    + ${name}${cut(after ?? '')}`
  if (after === undefined) return `    - ${name}${cut(before)}`
  return `    ~ ${name}${cut(before)} → ${cut(after)}`
}

const cut = (text: string): string => (text.length > VALUE_LENGTH_MAX ? `${text.slice(0, VALUE_LENGTH_MAX)}…` : text)
