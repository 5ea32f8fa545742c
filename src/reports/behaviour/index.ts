export { funnelModes } from './chains.ts'
export type { FunnelMode } from './chains.ts'
export { parseFunnel, runFunnel } from './funnel.ts'
export type { AskedFunnel, FunnelAnswer, FunnelStep, ParsedFunnel } from './funnel.ts'
export { behaviourLimitMeanings, behaviourLimits } from './limits.ts'
export type { AskedScope, AskedStep, BehaviourDefaults, Refusal, Scope, Unit } from './steps.ts'
export { parseTimeToConvert, runTimeToConvert, WAIT_BUCKETS_FROM_SECONDS, WAIT_PERCENTILES } from './time-to-convert.ts'
export type { AskedTimeToConvert, ParsedTimeToConvert, TimeToConvertAnswer, Waits } from './time-to-convert.ts'
export { cohortPeriods } from './periods.ts'
export type { CohortPeriod } from './periods.ts'
export { parseRetention, retentionKinds, runRetention } from './retention.ts'
export type {
  AskedRetention,
  Cohort,
  ParsedRetention,
  RetentionAnswer,
  RetentionCell,
  RetentionKind,
} from './retention.ts'
export { parsePaths, runPaths } from './paths.ts'
export type { AskedNode, AskedPaths, ParsedPaths, PathNode, PathsAnswer } from './paths.ts'
