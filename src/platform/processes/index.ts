export { holdPidFile, isStillRunning, markOf } from './processes.ts'
export type { ProcessMark } from './processes.ts'
