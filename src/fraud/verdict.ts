import { fraudRuleNames, fraudRules, type FraudRuleName } from './fraud-rules.ts'

/** A rule of this module, or `=` and the name of one that the operator wrote. */
export type ReasonRule = FraudRuleName | `=${string}`

/** Why there are points. */
export type FraudReason = {
  readonly rule: ReasonRule
  /** Points by the settings that held. */
  readonly score: number
  /** What was counted or measured: clicks, conversions or seconds. */
  readonly detail?: number
}

export type FraudAction = 'none' | 'mark' | 'divert' | 'refuse' | 'hold' | 'reject'

/** Points and what follows from them. There is no score without reasons, and no action without a score. */
export type FraudVerdict<Action extends FraudAction = FraudAction> = {
  /** Sum of the reasons' points, at most 100. */
  readonly score: number
  readonly reasons: readonly FraudReason[]
  readonly action: Action
}

export const NO_REASONS: readonly FraudReason[] = Object.freeze([])

/** Sum of the points, at most 100: a person can add up what the reasons say. */
export function totalScore(reasons: readonly FraudReason[]): number {
  let score = 0
  for (const reason of reasons) score += reason.score
  return Math.min(100, score)
}

/** The rule with the most points, the first of several; undefined where there are no reasons. */
export const mainReason = ({ reasons }: FraudVerdict): ReasonRule | undefined =>
  reasons.reduce<FraudReason | undefined>(
    (main, reason) => (main && main.score >= reason.score ? main : reason),
    undefined,
  )?.rule

const LETTERS: Readonly<Record<FraudAction, string>> = {
  none: 'n',
  mark: 'm',
  divert: 'd',
  refuse: 'r',
  hold: 'h',
  reject: 'j',
}
const actionOfLetter = new Map(Object.entries(LETTERS).map(([action, letter]) => [letter, action as FraudAction]))
const ruleOfCode = new Map(fraudRuleNames.map((name) => [fraudRules[name].code, name]))

/** The verdict as text for the record: the action's letter, the score, and of each reason the code, its points and its detail
 * in base 36; of an operator's rule `=`, its name, `.` and its points. Undefined where there are no reasons, so that an honest click carries nothing.
 * @example encodeVerdict(…) // 'm75 ir.1b px' is: marked, 75 points, 47 clicks of the address, a proxy
 */
export function encodeVerdict({ score, reasons, action }: FraudVerdict): string | undefined {
  if (reasons.length === 0) return undefined
  return [`${LETTERS[action]}${score}`, ...reasons.map(encodeReason)].join(' ')
}

const isOwn = (rule: ReasonRule): rule is `=${string}` => rule.startsWith('=')

const encodeReason = ({ rule, score, detail }: FraudReason): string => {
  if (isOwn(rule)) return `${rule}.${score}`
  const { code, score: usual } = fraudRules[rule]
  // Points are written only where the settings changed them.
  const points = score === usual ? '' : String(score)
  return detail === undefined ? `${code}${points}` : `${code}${points}.${detail.toString(36)}`
}

const HEAD = /^([a-z])(\d{1,3})$/
const REASON = /^([a-z]{2})(\d{0,3})(?:\.([0-9a-z]{1,9}))?$/

/** What `encodeVerdict` wrote; undefined for any other text. */
export function decodeVerdict(text: string): FraudVerdict | undefined {
  const [head, ...codes] = text.split(' ')
  const [, letter, score] = HEAD.exec(head!) ?? []
  const action = actionOfLetter.get(letter ?? '')
  const reasons = codes.map(decodeReason)
  if (action === undefined || reasons.length === 0 || reasons.some((reason) => reason === undefined)) return undefined
  return { score: Number(score), reasons: reasons as FraudReason[], action }
}

const OWN_REASON = /^(=[a-z0-9_]{1,16})\.(\d{1,3})$/

function decodeReason(text: string): FraudReason | undefined {
  const own = OWN_REASON.exec(text)
  if (own !== null) return { rule: own[1] as `=${string}`, score: Number(own[2]) }
  const [, code, points, detail] = REASON.exec(text) ?? []
  const rule = ruleOfCode.get(code ?? '')
  if (rule === undefined) return undefined
  const score = points ? Number(points) : fraudRules[rule].score
  return { rule, score, ...(detail !== undefined && { detail: parseInt(detail, 36) }) }
}

const ACTION_SENTENCES: Readonly<Record<FraudAction, string>> = {
  none: 'It was treated as any other.',
  mark: 'It was marked.',
  divert: 'It was sent elsewhere.',
  refuse: 'It was refused.',
  hold: 'It waits for a person to look at it.',
  reject: 'It was rejected.',
}

/** The verdict as sentences for a person: the reasons, each with its points, then what followed.
 * @param ownSentences those of the operator's rules, by name
 */
export const describeVerdict = (
  { score, reasons, action }: FraudVerdict,
  ownSentences: Readonly<Record<string, string>> = {},
): readonly string[] =>
  reasons.length === 0
    ? []
    : [
        ...reasons.map((reason) => describeReason(reason, ownSentences)),
        `${score} of 100 points. ${ACTION_SENTENCES[action]}`,
      ]

const UNITS: { readonly [rule in FraudRuleName]?: string } = {
  ip_rate: 'clicks',
  subnet_rate: 'clicks',
  visitor_rate: 'clicks',
  affiliate_rate: 'clicks',
  before_click: 'seconds',
  too_fast: 'seconds',
  too_late: 'seconds',
  ip_conversions: 'clicks',
  device_conversions: 'clicks',
}

function describeReason({ rule, score, detail }: FraudReason, ownSentences: Readonly<Record<string, string>>): string {
  const points = `${score} ${score === 1 ? 'point' : 'points'}`
  if (isOwn(rule))
    return `${ownSentences[rule.slice(1)] ?? `The rule ${rule.slice(1)} of the configuration holds.`} (${points})`
  const counted = detail === undefined ? '' : `${detail} ${UNITS[rule] ?? 'counted'}, `
  return `${fraudRules[rule].sentence} (${counted}${points})`
}
