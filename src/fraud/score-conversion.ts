import type { RuleFacts } from '#rules'
import type { ConversionRuleName } from './fraud-rules.ts'
import { ownReasons } from './own-rules.ts'
import type { CompiledFraud } from './settings.ts'
import { NO_REASONS, totalScore, type FraudReason, type FraudVerdict } from './verdict.ts'

/** What is known of a conversion when it is scored. Unknown values are left out and give no reason. */
export type ConversionFacts = {
  /** Milliseconds since the epoch. */
  readonly clickAt: number
  readonly convertedAt: number
  /** Clicks of this click's address that converted within the window, this one included. */
  readonly ipConversions?: number | undefined
  /** The same of the visitor's device. */
  readonly deviceConversions?: number | undefined
  readonly clickCountry?: string | undefined
  /** Country of the visitor who converted. A postback comes from a server, whose country says nothing: leave it out. */
  readonly conversionCountry?: string | undefined
  /** What the operator's own rules read; left out: none of them is asked. */
  readonly ruleFacts?: RuleFacts | undefined
}

export type ConversionVerdict = FraudVerdict<'none' | 'mark' | 'hold' | 'reject'>

/** Scores a conversion. Pure; throws nothing.
 * @param settings those of the offer, see compileFraud
 */
export function scoreConversion(facts: ConversionFacts, settings: CompiledFraud): ConversionVerdict {
  const named = conversionSigns(facts, settings).flatMap(([rule, detail]): FraudReason[] => {
    const score = settings.scores[rule]
    if (score === 0) return []
    return [detail === undefined ? { rule, score } : { rule, score, detail }]
  })
  const reasons = [...named, ...ownReasons(settings.ownConversionRules, facts.ruleFacts)]
  if (reasons.length === 0) return { score: 0, reasons: NO_REASONS, action: 'none' }
  const score = totalScore(reasons)
  return { score, reasons, action: actionFor(score, settings) }
}

function actionFor(score: number, { conversionThresholds }: CompiledFraud): ConversionVerdict['action'] {
  const { mark, hold, reject } = conversionThresholds
  if (score >= reject) return 'reject'
  if (score >= hold) return 'hold'
  return score >= mark ? 'mark' : 'none'
}

type Sign = readonly [rule: ConversionRuleName, detail?: number]

function conversionSigns(facts: ConversionFacts, settings: CompiledFraud): readonly Sign[] {
  const { ipConversions = 0, deviceConversions = 0, clickCountry, conversionCountry } = facts
  const { per_ip, per_device } = settings.conversions
  const signs: Sign[] = [...ctitSigns(facts, settings)]
  if (ipConversions > per_ip) signs.push(['ip_conversions', ipConversions])
  if (deviceConversions > per_device) signs.push(['device_conversions', deviceConversions])
  if (clickCountry !== undefined && conversionCountry !== undefined && clickCountry !== conversionCountry)
    signs.push(['country_differs'])
  return signs
}

function ctitSigns({ clickAt, convertedAt }: ConversionFacts, { ctit }: CompiledFraud): readonly Sign[] {
  const seconds = (convertedAt - clickAt) / 1000
  if (seconds < 0) return [['before_click', Math.ceil(-seconds)]]
  if (seconds < ctit.seconds_min) return [['too_fast', Math.floor(seconds)]]
  return seconds > ctit.seconds_max ? [['too_late', Math.floor(seconds)]] : []
}
