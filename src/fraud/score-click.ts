import type { VisitorFacts } from '#records'
import type { RuleFacts } from '#rules'
import type { ClickRuleName } from './fraud-rules.ts'
import { isLanguageForeign, isZoneForeign } from './locale-signs.ts'
import { ownReasons } from './own-rules.ts'
import type { RateCounters, RateKind } from './rate-counters.ts'
import { hostOfReferrer, isListed } from './referrer-list.ts'
import type { CompiledFraud } from './settings.ts'
import {
  areHintsMissing,
  isAutomation,
  isBrandMismatch,
  isMobileMismatch,
  isPlatformMismatch,
  type HintHeaders,
} from './user-agent-signs.ts'
import { NO_REASONS, totalScore, type FraudReason, type FraudVerdict } from './verdict.ts'

/** What is known of a click when it is scored. Unknown values are left out and give no reason. */
export type ClickFacts = {
  /** Milliseconds since the epoch. */
  readonly at: number
  readonly visitor: Pick<VisitorFacts, 'ip' | 'user_agent' | 'language' | 'country' | 'bot' | 'is_proxy' | 'is_hosting'>
  readonly hints: HintHeaders
  /** Whether the request came by HTTPS; browsers send no client hints otherwise. */
  readonly isHttps: boolean
  readonly visitorCode?: string | undefined
  /** By what a visitor is known who brought no code; undefined for one who brought one. */
  readonly newcomer?: string | undefined
  readonly campaignId?: string | undefined
  readonly affiliateId?: string | undefined
  readonly referrer?: string | undefined
  /** IANA zone of the device, where a page told it. */
  readonly timeZone?: string | undefined
  /** The link is marked as a trap: hidden on a page, so that only programs follow it. */
  readonly isTrap: boolean
  /** What the operator's own rules read; left out: none of them is asked. */
  readonly ruleFacts?: RuleFacts | undefined
}

export type ClickVerdict = FraudVerdict<'none' | 'mark' | 'divert' | 'refuse'>

const CLEAN: ClickVerdict = Object.freeze({ score: 0, reasons: NO_REASONS, action: 'none' })

/** Scores a click by the rules that are on. It is counted by every rate rule that is on, whatever else speaks against it, so
 * that the answer depends on the click and the counters alone. Synchronous; throws nothing.
 * @param settings those of the offer, see compileFraud
 * @param counters dry ones for a click that is only asked about
 * @returns the points (0 to 100), each reason, and the hardest action whose threshold the points reach
 */
export function scoreClick(facts: ClickFacts, settings: CompiledFraud, counters: RateCounters): ClickVerdict {
  const found = new Findings(settings)
  findAgentSigns(facts, settings, found)
  findNetworkSigns(facts, settings, found)
  findReferrerSigns(facts, settings, found)
  if (settings.ownClickRules.length > 0) found.addAll(ownReasons(settings.ownClickRules, facts.ruleFacts))
  findRates(facts, settings, counters, found)
  if (found.reasons === NO_REASONS) return CLEAN
  const score = totalScore(found.reasons)
  return { score, reasons: found.reasons, action: actionFor(score, settings) }
}

/** Scores a click once more by the reasons that its record has, with the points and thresholds of other settings. Signs that gave no
 * reason then are not found now: what they were seen in is not kept.
 */
export function scoreAgain(reasons: readonly FraudReason[], settings: CompiledFraud): ClickVerdict {
  const kept = reasons.flatMap((reason): readonly FraudReason[] => {
    const own = settings.ownClickRules.find((one) => one.reason.rule === reason.rule)
    if (own !== undefined) return [own.reason]
    const score = (settings.scores as Readonly<Record<string, number>>)[reason.rule] ?? 0
    return score === 0 ? [] : [{ ...reason, score }]
  })
  if (kept.length === 0) return CLEAN
  const score = totalScore(kept)
  return { score, reasons: kept, action: actionFor(score, settings) }
}

function actionFor(score: number, { thresholds: { mark, divert, refuse } }: CompiledFraud): ClickVerdict['action'] {
  if (score >= refuse) return 'refuse'
  if (score >= divert) return 'divert'
  return score >= mark ? 'mark' : 'none'
}

/** Reasons so far; none are made for a click without any. */
class Findings {
  reasons: readonly FraudReason[] = NO_REASONS
  readonly #scores: CompiledFraud['scores']

  constructor({ scores }: CompiledFraud) {
    this.#scores = scores
  }

  add(rule: ClickRuleName, detail?: number): void {
    const score = this.#scores[rule]
    if (score === 0) return
    const reason: FraudReason = detail === undefined ? { rule, score } : { rule, score, detail }
    this.reasons = [...this.reasons, reason]
  }

  addAll(reasons: readonly FraudReason[]): void {
    if (reasons.length > 0) this.reasons = [...this.reasons, ...reasons]
  }
}

function findAgentSigns({ visitor, hints, isHttps, isTrap }: ClickFacts, { scores }: CompiledFraud, found: Findings) {
  if (isTrap) found.add('trap')
  if (visitor.bot === 'user_agent') found.add('known_bot')
  if (visitor.language === undefined) found.add('no_language')
  const agent = visitor.user_agent
  if (agent === undefined || agent === '') return found.add('empty_user_agent')
  if (scores.automation > 0 && isAutomation(agent, hints.brands)) found.add('automation')
  if (scores.hint_platform > 0 && isPlatformMismatch(agent, hints)) found.add('hint_platform')
  if (scores.hint_mobile > 0 && isMobileMismatch(agent, hints)) found.add('hint_mobile')
  if (scores.hint_brand > 0 && isBrandMismatch(agent, hints)) found.add('hint_brand')
  if (isHttps && scores.hints_missing > 0 && areHintsMissing(agent, hints)) found.add('hints_missing')
}

function findNetworkSigns({ visitor, timeZone, at }: ClickFacts, { scores }: CompiledFraud, found: Findings) {
  const { language, country, is_proxy, is_hosting } = visitor
  // VPNs stand in data centres: one place is one reason.
  if (is_proxy) found.add('proxy')
  else if (is_hosting) found.add('datacentre')
  if (country === undefined) return
  if (language !== undefined && scores.language_country > 0 && isLanguageForeign(language, country))
    found.add('language_country')
  if (timeZone !== undefined && scores.zone_country > 0 && isZoneForeign(timeZone, country, at))
    found.add('zone_country')
}

function findReferrerSigns({ referrer }: ClickFacts, { allowed, denied }: CompiledFraud, found: Findings) {
  if (allowed === undefined && denied === undefined) return
  const host = referrer ? hostOfReferrer(referrer) : ''
  if (denied !== undefined && isListed(denied, host)) return found.add('referrer_denied')
  if (allowed === undefined) return
  if (!referrer) found.add('referrer_missing')
  else if (!isListed(allowed, host)) found.add('referrer_not_allowed')
}

function findRates(facts: ClickFacts, settings: CompiledFraud, counters: RateCounters, found: Findings) {
  const { visitor, visitorCode, newcomer, campaignId, affiliateId, at } = facts
  const { scores, duplicateSeconds } = settings
  const countBy = (rule: ClickRuleName, kind: RateKind, key: string | undefined): void => {
    if (scores[rule] === 0 || key === undefined) return
    const { limit, window_seconds } = settings.rates[kind]
    const clicks = counters.count(kind, key, window_seconds, at)
    if (clicks > limit) found.add(rule, clicks)
  }
  countBy('ip_rate', 'ip', visitor.ip)
  countBy('subnet_rate', 'subnet', visitor.ip)
  countBy('visitor_rate', 'visitor', visitorCode)
  countBy('affiliate_rate', 'affiliate', affiliateId)
  if (scores.duplicate === 0 || visitorCode === undefined || campaignId === undefined) return
  // Who clicks twice before the first answer has come brings no code either time: both names are noted, and either tells.
  const isRepeat = (name: string): boolean => counters.isRepeat(name, campaignId, duplicateSeconds, at)
  const isKnown = isRepeat(visitorCode)
  if ((newcomer !== undefined && isRepeat(newcomer)) || isKnown) found.add('duplicate')
}
