export { clickRules, conversionRules, fraudRules } from './fraud-rules.ts'
export type { ClickRuleName, ConversionRuleName, FraudRule, FraudRuleName } from './fraud-rules.ts'
export { networkOf } from './network-of.ts'
export {
  createRateBoard,
  emptyRateCounters,
  openDryRateCounters,
  openRateCounters,
  rateKinds,
} from './rate-counters.ts'
export type { RateBoard, RateBoardSize, RateCounters, RateKind } from './rate-counters.ts'
export { scoreAgain, scoreClick } from './score-click.ts'
export type { ClickFacts, ClickVerdict } from './score-click.ts'
export { scoreConversion } from './score-conversion.ts'
export type { ConversionFacts, ConversionVerdict } from './score-conversion.ts'
export { fraudLimitMeanings, fraudLimits } from './limits.ts'
export { checkFraudSettings, compileFraud, fraudDefaults } from './settings.ts'
export type {
  ClickThresholds,
  CompiledFraud,
  ConversionThresholds,
  FraudDiversion,
  FraudIssue,
  FraudSettings,
  OfferFraud,
  RateLimit,
} from './settings.ts'
export type { OwnRule } from './own-rules.ts'
export { decodeVerdict, describeVerdict, encodeVerdict, mainReason } from './verdict.ts'
export type { FraudAction, FraudReason, FraudVerdict, ReasonRule } from './verdict.ts'
export type { HintHeaders } from './user-agent-signs.ts'
export { compareAffiliates } from './compare-affiliates.ts'
export { compareCtit } from './compare-ctit.ts'
export type { CtitComparison, CtitOptions, CtitVerdict } from './compare-ctit.ts'
