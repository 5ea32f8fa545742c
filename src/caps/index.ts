export type {
  Cap,
  CapCounts,
  CapDimension,
  CapFacts,
  CapKey,
  CapMetric,
  CapMode,
  CapPeriod,
  CapSlot,
  ExpectedAmounts,
} from './cap.ts'
export type {
  BookedConversion,
  CapCount,
  CapCounters,
  CapEvent,
  CapGap,
  CapLevel,
  CapState,
  Reservation,
  Settlement,
} from './cap-state.ts'
export { openSqliteCapState } from './cap-states/sqlite.ts'
export type { SqliteCapStateOptions } from './cap-states/sqlite.ts'
export { openCapBooks } from './cap-states/sqlite/books.ts'
export type { CapBooks } from './cap-states/sqlite/books.ts'
export { createMemoryCaps } from './cap-states/memory.ts'
export type { MemoryCaps } from './cap-states/memory.ts'
export { compileCaps, metricOfCount, readCapSlot } from './compile-caps.ts'
export type { CompiledCaps } from './compile-caps.ts'
export { capLimitMeanings, capLimits } from './limits.ts'
export type { CountedConversion } from './tally.ts'
export { dryCaps, liveCaps } from './counters.ts'
export type { CapVerdict, RoutingCaps } from './counters.ts'
export { clicksLeft } from './tally.ts'
export { periodClock } from './periods.ts'
export type { Period } from './periods.ts'
