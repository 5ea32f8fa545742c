export { startOptimization } from './start-optimization.ts'
export type { Optimization, OptimizationOptions } from './start-optimization.ts'
export { findLearned } from './store.ts'
export type { Learned, PlaceState } from './store.ts'
