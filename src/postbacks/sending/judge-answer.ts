import type { PostbackEndpoint } from '#routing'
import { readPattern, type Pattern } from '#rules'

/** Steps of a path into a JSON answer. */
const JSON_PATH_DEPTH_MAX = 20

/** An answer as a rule sees it. */
export type Answer = {
  readonly status: number
  /** Undefined where no rule asks for it. */
  readonly body?: string | undefined
  /** False: it broke off, or did not end in time. What is longer than the limit counts as whole. */
  readonly isBodyWhole?: boolean | undefined
  /** The receiver said `webhook-delivery: abort-message`. */
  readonly isAborted?: boolean | undefined
}

/** What an answer is, which decides whether and when the next try comes. */
export type AnswerClass =
  | 'success'
  /** It may go well later: the long ladder. */
  | 'retry'
  /** The request seems to be wrong: the short ladder. */
  | 'retry_briefly'
  /** The receiver wants nothing any more. */
  | 'gone'
  /** The receiver wants this message not again. */
  | 'aborted'
  /** The endpoint says that nothing will change this answer. */
  | 'final'

/** The rules of an endpoint, made ready once. */
export type AnswerRules = {
  readonly isSuccessStatus: (status: number) => boolean
  readonly isFinalStatus: (status: number) => boolean
  /** Undefined: the body does not matter. */
  readonly acceptsBody: ((body: string) => boolean) | undefined
  readonly otherwise: AnswerClass
}

type StatusRange = { readonly from: number; readonly to: number }

const STATUSES = /^([2-5]\d\d)(?:-([2-5]\d\d))?$/

/** Reads `202` and `200-299`.
 * @returns undefined: neither
 */
export function parseStatuses(text: string): StatusRange | undefined {
  const [, from, to = from] = STATUSES.exec(text) ?? []
  const range = { from: Number(from), to: Number(to) }
  return from !== undefined && range.from <= range.to ? range : undefined
}

function inAny(texts: readonly string[]): (status: number) => boolean {
  const ranges = texts.map(parseStatuses).filter((range) => range !== undefined)
  return (status) => ranges.some(({ from, to }) => from <= status && status <= to)
}

const otherwiseClasses = { retry: 'retry', retry_briefly: 'retry_briefly', give_up: 'final' } as const

const compiled = new WeakMap<PostbackEndpoint, AnswerRules>()

/** The rules of an endpoint, compiled at the first call for it. */
export function answerRulesOf(endpoint: PostbackEndpoint): AnswerRules {
  const known = compiled.get(endpoint)
  if (known !== undefined) return known
  const rules = compileAnswerRules(endpoint)
  compiled.set(endpoint, rules)
  return rules
}

export function compileAnswerRules({
  success,
  final_statuses = [],
}: Pick<PostbackEndpoint, 'success' | 'final_statuses'>): AnswerRules {
  return {
    isSuccessStatus: inAny(success?.statuses ?? ['200-299']),
    isFinalStatus: inAny(final_statuses),
    acceptsBody: success && bodyCheck(success),
    otherwise: otherwiseClasses[success?.otherwise ?? 'retry'],
  }
}

type Success = NonNullable<PostbackEndpoint['success']>

/** All that is asked of the body must hold. Upper and lower case count as equal, as in rules. */
function bodyCheck({ body = {}, json }: Success): AnswerRules['acceptsBody'] {
  const { contains, not_contains, matches } = body
  const checks: ((text: string) => boolean)[] = []
  if (contains !== undefined) checks.push(containsAny(contains))
  if (not_contains !== undefined) {
    const isFound = containsAny(not_contains)
    checks.push((text) => !isFound(text))
  }
  if (matches !== undefined) {
    const pattern = patternOf(matches)
    checks.push((text) => pattern?.isFoundIn(text) === true)
  }
  if (json !== undefined) checks.push((text) => jsonTextAt(text, json.path) === json.equals)
  return checks.length === 0 ? undefined : (text) => checks.every((check) => check(text))
}

function containsAny(words: readonly string[]): (text: string) => boolean {
  const folded = words.map((word) => word.toLowerCase())
  return (text) => {
    const body = text.toLowerCase()
    return folded.some((word) => body.includes(word))
  }
}

function patternOf(source: string): Pattern | undefined {
  const read = readPattern(source)
  return read.kind === 'read' ? read.pattern : undefined
}

/** What stands at a path of a JSON text (`data.items.0.status`), as text: `true`, `1` and `"1"` are compared as they look.
 * @returns undefined: no JSON, nothing there, or no single value
 */
function jsonTextAt(text: string, path: string): string | undefined {
  let value = parseJson(text)
  for (const key of path.split('.').slice(0, JSON_PATH_DEPTH_MAX)) {
    if (typeof value !== 'object' || value === null || !Object.hasOwn(value, key)) return undefined
    value = (value as Readonly<Record<string, unknown>>)[key]
  }
  if (value === null) return 'null'
  return typeof value === 'object' || value === undefined ? undefined : String(value as string | number | boolean)
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}

const RETRIED_CLIENT_ERRORS: ReadonlySet<number> = new Set([408, 409, 425, 429])
const GONE = 410

/** Says what an answer is. Pure.
 *
 * First what the endpoint asks of a success; then what the receiver says in words (`webhook-delivery: abort-message`), what the
 * endpoint calls final, and last the status. A body that broke off cannot be judged: it counts as a failure that passes.
 */
export function classifyAnswer(answer: Answer, rules: AnswerRules): AnswerClass {
  const { status } = answer
  const isGood = rules.isSuccessStatus(status)
  if (isGood && (rules.acceptsBody === undefined || isAcceptedBody(answer, rules.acceptsBody))) return 'success'
  if (answer.isAborted === true) return 'aborted'
  if (isGood) return answer.isBodyWhole === false ? 'retry' : rules.otherwise
  if (rules.isFinalStatus(status)) return 'final'
  if (status === GONE) return 'gone'
  if (status >= 500 || RETRIED_CLIENT_ERRORS.has(status)) return 'retry'
  return status < 300 ? rules.otherwise : 'retry_briefly'
}

const isAcceptedBody = ({ body = '', isBodyWhole }: Answer, accepts: (body: string) => boolean): boolean =>
  isBodyWhole !== false && accepts(body)

export type SuccessProblem = {
  readonly key: 'statuses' | 'matches' | 'json' | 'final_statuses'
  readonly message: string
}

/** What is wrong with the rules of an endpoint, for whoever applies a configuration. */
export function validateAnswerRules({
  success,
  final_statuses = [],
}: Pick<PostbackEndpoint, 'success' | 'final_statuses'>): readonly SuccessProblem[] {
  const problems: SuccessProblem[] = []
  for (const text of success?.statuses ?? []) {
    const range = parseStatuses(text)
    if (range === undefined || range.to > 499)
      problems.push({ key: 'statuses', message: `"${text}" is no status from 200 to 499 and no range of them.` })
  }
  for (const text of final_statuses)
    if (parseStatuses(text) === undefined)
      problems.push({ key: 'final_statuses', message: `"${text}" is no status from 200 to 599 and no range of them.` })
  const matches = success?.body?.matches
  const read = matches === undefined ? undefined : readPattern(matches)
  if (read?.kind === 'refused') problems.push({ key: 'matches', message: read.message })
  if ((success?.json?.path.split('.').length ?? 0) > JSON_PATH_DEPTH_MAX)
    problems.push({ key: 'json', message: `The path goes deeper than ${JSON_PATH_DEPTH_MAX} steps.` })
  return problems
}
