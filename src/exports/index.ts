export { downloadName, EXPORT_KIND, exportFormats, exportJob } from './export-job.ts'
export type {
  ExportFormat,
  ExportInput,
  ExportOptions,
  ExportResult,
  ListInput,
  LogInput,
  ReportInput,
} from './export-job.ts'
export { exportLimitMeanings, exportLimits } from './limits.ts'
export type { ExportLimits } from './limits.ts'
export { checkLink, signLink } from './links.ts'
