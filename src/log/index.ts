export type {
  DamagedRange,
  EventLog,
  LogBatch,
  LogRecord,
  LogWriter,
  Partition,
  ReadLimits,
  RetentionPolicy,
} from './event-log.ts'
export { openFileLog } from './event-logs/segment-files.ts'
export type { FileLog, FileLogOptions, SegmentDescription } from './event-logs/segment-files.ts'
export { inspectLog } from './inspect-log.ts'
export type { InspectionResult, LogInspection } from './inspect-log.ts'
