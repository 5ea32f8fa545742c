export { createLogLines } from './log-lines.ts'
export type { LogLines } from './log-lines.ts'
