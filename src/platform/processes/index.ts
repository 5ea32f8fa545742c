export { memoryBytes } from './memory-bytes.ts'
export { holdPidFile, isStillRunning, markOf, pidFileHolder } from './processes.ts'
export type { ProcessMark } from './processes.ts'
