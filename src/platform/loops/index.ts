export { repeat } from './repeat.ts'
export type { Repeated, RepeatOptions } from './repeat.ts'
export { createWake } from './wake.ts'
export type { Wake } from './wake.ts'
