export { savedReportLimitMeanings, savedReportLimits } from './limits.ts'
export { listLinks, makeLink, openLink, revokeLink } from './links.ts'
export type { ReportLink } from './links.ts'
export { makeLinkToken, readLinkToken } from './link-tokens.ts'
export { isSameTenant, narrowTenant } from './narrow-tenant.ts'
export { daysOf, relativeRanges } from './relative-range.ts'
export type { Days, RelativeRange } from './relative-range.ts'
export {
  asKey,
  changeSavedReport,
  deleteSavedReport,
  findSavedReport,
  listSavedReports,
  saveReport,
  sharingKinds,
  tenantOf,
} from './store.ts'
export type { SavedReport, SavedReportContent, Sharing, SharingKind } from './store.ts'
export { parseCron } from './cron.ts'
export type { CronTimes, ParsedCron } from './cron.ts'
export { reportFilePath } from './end-run.ts'
export { reportFormatNames } from './formats.ts'
export type { ReportFormat, WrittenReport } from './formats.ts'
export { queueDueRuns, tidyRuns } from './queue-due-runs.ts'
export { runSchedules } from './run-schedules.ts'
export { scheduledReportJob } from './scheduled-report-job.ts'
export type { WriteReport } from './scheduled-report-job.ts'
export {
  deleteSchedule,
  findSchedule,
  listRuns,
  listSchedules,
  makeSchedule,
  readReportFile,
  runStates,
  scheduleStates,
  setScheduleState,
} from './schedules.ts'
export type { NewSchedule, ReportFile, ReportSchedule, RunState, ScheduledRun, ScheduleState } from './schedules.ts'
