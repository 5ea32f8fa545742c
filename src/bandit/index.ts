export { learnWeights } from './learn-weights.ts'
export type { ArmConversions, ArmState, ArmStats, LearnedWeights } from './learn-weights.ts'
export { optimizeDefaults, optimizeLimits } from './options.ts'
export type { OptimizeOptions } from './options.ts'
