import { printIssues, type Issue } from '#configuration'

/** What the API said to a command that it did not carry out; the message is for the person at the command line. */
export class ApiRefusal extends Error {
  /** 2: something of the call must be written otherwise; 1: it is right and cannot be done now, or not by this key. */
  readonly exitCode: 1 | 2

  constructor(message: string, exitCode: 1 | 2) {
    super(message)
    this.name = 'ApiRefusal'
    this.exitCode = exitCode
  }
}

/** Words of a command by the fields of the request that they become. */
export type OptionNames = Readonly<Record<string, string>>

/** An answer of the API as a command tells it: what is wrong, where, and what to do.
 * @param text body of the answer
 * @param file name of the configuration file that was sent, for the places of its mistakes
 * @example readRefusal(400, '{"error":{…,"path":"visitor.ip"}}', { 'visitor.ip': '--ip' }).message // '… Correct --ip.'
 */
export function readRefusal(status: number, text: string, options: OptionNames, file = 'the file'): ApiRefusal {
  const answer = parseAnswer(text)
  if (answer === undefined) return new ApiRefusal(`The API answered ${status}: ${text.slice(0, 500)}`, 1)
  const { error, issues, errors } = answer
  if (errors !== undefined) return new ApiRefusal([error.message, ...errors.map(describeMistake)].join('\n'), 2)
  if (issues !== undefined) return new ApiRefusal(`${error.message}\n${printIssues(issues, file)}`, 1)
  const detail = error.detail === undefined ? '' : ` ${sentence(error.detail)}`
  const place = error.path === undefined ? undefined : (options[error.path] ?? error.path)
  return new ApiRefusal(
    `${error.message}${detail}${whatToDo(status, place, error.is_retryable)}`,
    status === 400 ? 2 : 1,
  )
}

type Answer = {
  readonly error: {
    readonly message: string
    readonly detail?: string
    readonly path?: string
    readonly is_retryable?: boolean
  }
  readonly issues?: readonly Issue[]
  /** Mistakes of a rule. */
  readonly errors?: readonly Mistake[]
}
type Mistake = { readonly path: string; readonly message: string; readonly column?: number }

const describeMistake = ({ path, column, message }: Mistake): string =>
  `  ${path}${column === undefined ? '' : `, character ${column}`}: ${message}`

function parseAnswer(text: string): Answer | undefined {
  try {
    const answer = JSON.parse(text) as Partial<Answer> | null
    return typeof answer?.error?.message === 'string' ? (answer as Answer) : undefined
  } catch {
    return undefined
  }
}

const sentence = (text: string): string => {
  const whole = text.charAt(0).toUpperCase() + text.slice(1)
  return /[.!?]$/.test(whole) ? whole : `${whole}.`
}

function whatToDo(status: number, place: string | undefined, isRetryable = false): string {
  if (place !== undefined) return ` Correct ${place}.`
  if (status === 401 || status === 403) return ' Set WAYPOST_API_KEY to a key of the owner of the running Waypost.'
  return isRetryable ? ' Try again in a moment.' : ''
}
