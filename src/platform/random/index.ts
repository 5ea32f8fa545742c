export { createRandom, drawBeta, drawGamma, drawNormal } from './random.ts'
export type { Random } from './random.ts'
