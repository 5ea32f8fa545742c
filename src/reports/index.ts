export { askFacts, exactSettings, factsError, QUERY_ROWS_MAX, QUERY_SECONDS_MAX } from './ask-facts.ts'
export { CLICK_EVENTS_MAX, findClickFacts, listEventsOfClick } from './click-facts.ts'
export type { FactsRow } from './click-facts.ts'
export { CTIT_AFFILIATES_MAX, CTIT_SAMPLE_MAX, readCtits } from './ctit-facts.ts'
export type { AffiliateCtits } from './ctit-facts.ts'
export { dimensionSql } from './compile-report.ts'
export { compileWhere, tenantCondition } from './where.ts'
export type { CompiledQuery } from './compile-report.ts'
export { CUSTOM_METRICS_MAX, dropCustomMetric, keepCustomMetric, listCustomMetrics } from './custom-metric-store.ts'
export type { KeptMetric } from './custom-metric-store.ts'
export { defineMetric } from './custom-metrics.ts'
export type { CustomMetric, DefinedMetric } from './custom-metrics.ts'
export { dimensions, dimensionValue, findDimension, isOfTime, visibleDimensions } from './dimensions.ts'
export type { Dimension } from './dimensions.ts'
export { FORMULA_LENGTH_MAX, formulaFunctions } from './formula/index.ts'
export { reportLimitMeanings, reportLimits } from './limits.ts'
export { countedRows, findMetric, metrics, visibleMetrics } from './metrics.ts'
export type { FactsTable, Metric } from './metrics.ts'
export {
  DIMENSIONS_MAX,
  FILTER_RULE_LENGTH_MAX,
  FILTER_VALUE_LENGTH_MAX,
  FILTER_VALUES_MAX,
  FILTERS_MAX,
  FORMULAS_MAX,
  LIMIT_DEFAULT,
  LIMIT_MAX,
  METRICS_MAX,
  namesCustomMetrics,
  OFFSET_MAX,
  ORDERS_MAX,
  parseReport,
} from './parse-report.ts'
export type { AskedReport, ParsedReport, ReportDefaults } from './parse-report.ts'
export { runReport } from './run-report.ts'
export { findMissingDays, knowRetired, refuseMissing } from './source.ts'
export type { FindSources, MissingDays, RowsQuestion, RowsSource, RowsSources } from './source.ts'
export type { ReportAnswer, ReportColumn, ReportQuery, ReportRow, ReportValue } from './run-report.ts'
export { parseRuleFilter } from './rule-filter.ts'
export type { RuleFilter } from './rule-filter.ts'
export { parseMoment, RANGE_DAYS_MAX } from './time-range.ts'
export { noDimension } from './unknown-name.ts'
export { countPastClicks, readOfferEarnings, readPastClicks, readPastConversions, SAMPLE_STEPS } from './past-clicks.ts'
export type { LogStart, OfferClicks, OfferConversions, PastConversion, Period } from './past-clicks.ts'
export { refuseMissingReport, streamReport } from './stream-report.ts'
export type { StreamedReport, StreamLimits } from './stream-report.ts'
