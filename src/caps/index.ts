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
export { openLmdbCapState } from './cap-states/lmdb.ts'
export type { LmdbCapStateOptions } from './cap-states/lmdb.ts'
export { closeCapGate, createCapGate } from './cap-states/lmdb/thread-gate.ts'
export type { CapGate } from './cap-states/lmdb/thread-gate.ts'
export { createMemoryCaps } from './cap-states/memory.ts'
export { compileCaps, readCapSlot } from './compile-caps.ts'
export type { CompiledCaps } from './compile-caps.ts'
export { dryCaps, liveCaps } from './counters.ts'
export type { CapVerdict, RoutingCaps } from './counters.ts'
