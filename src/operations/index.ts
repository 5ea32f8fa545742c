export { applyFile } from './apply-file.ts'
export { runConfigCommand } from './config-command.ts'
export { runSecretsCommand } from './secrets-command.ts'
export { doctor } from './doctor.ts'
export { runEndpointsCommand } from './endpoints-command.ts'
export type { EndpointsQuestion } from './endpoints-command.ts'
export { runCostsCommand, runRatesCommand } from './costs-command.ts'
export type { CostsQuestion, RatesQuestion } from './costs-command.ts'
export { inspectInstallationLog } from './inspect-log.ts'
export { listTemplates } from './list-templates.ts'
export { reconcileInstallation } from './reconcile-installation.ts'
export { explainUrl, simulateFile, testRuleText } from './routing-commands.ts'
export { parseRoles, roles } from './roles.ts'
export type { Role } from './roles.ts'
export { serve } from './serve.ts'
export { correctConversion } from './conversions-command.ts'
export { onStopRequest } from './signals.ts'
export {
  askReplay,
  cancelReplayById,
  printDeliveries,
  printEndpoints,
  printReplays,
  printWhyNot,
  runReplay,
  testEndpoint,
} from './delivery-commands.ts'
export { runRetentionCommand } from './retention-command.ts'
export type { RetentionQuestion } from './retention-command.ts'
export { printLive } from './live-command.ts'
export { runSavedReportsCommand } from './saved-reports-command.ts'
export type { SavedReportsQuestion } from './saved-reports-command.ts'
export { cancelJobById, exportToFile, printJobs } from './jobs-command.ts'
