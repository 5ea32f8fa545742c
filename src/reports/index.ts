export { askFacts, QUERY_ROWS_MAX, QUERY_SECONDS_MAX } from './ask-facts.ts'
export { CLICK_EVENTS_MAX, findClickFacts, listEventsOfClick } from './click-facts.ts'
export type { FactsRow } from './click-facts.ts'
export { CTIT_AFFILIATES_MAX, CTIT_SAMPLE_MAX, readCtits } from './ctit-facts.ts'
export type { AffiliateCtits } from './ctit-facts.ts'
export { dimensions, findDimension, visibleDimensions } from './dimensions.ts'
export type { Dimension } from './dimensions.ts'
export { metrics, visibleMetrics } from './metrics.ts'
export type { Metric } from './metrics.ts'
export {
  DIMENSIONS_MAX,
  FILTER_RULE_LENGTH_MAX,
  FILTER_VALUE_LENGTH_MAX,
  FILTER_VALUES_MAX,
  FILTERS_MAX,
  LIMIT_DEFAULT,
  LIMIT_MAX,
  parseReport,
} from './parse-report.ts'
export type { AskedReport, ParsedReport, ReportDefaults } from './parse-report.ts'
export { runReport } from './run-report.ts'
export type { ReportAnswer, ReportRow, ReportValue } from './run-report.ts'
export { RANGE_DAYS_MAX } from './time-range.ts'
export { countPastClicks, readOfferEarnings, readPastClicks, readPastConversions, SAMPLE_STEPS } from './past-clicks.ts'
export type { LogStart, OfferClicks, OfferConversions, PastConversion, Period } from './past-clicks.ts'
