export { hostRefusedBy } from './allow-list.ts'
export { causesOfRevision, eventIdOf } from './delivery-causes.ts'
export type { CausingConversion, DeliveryCause, TriggerState } from './delivery-causes.ts'
export { listAllAttempts } from './archived-attempts.ts'
export type { AskArchive } from './archived-attempts.ts'
export { awaitTest } from './await-test.ts'
export { deliveriesOfClick } from './deliveries-of-click.ts'
export { deliveryStates, findDelivery, listDeliveries } from './deliveries.ts'
export type {
  AttemptRow,
  ClickDeliveries,
  DeliveryCursor,
  DeliveryFilter,
  DeliveryRow,
  DeliveryState,
  WhyNotRow,
} from './deliveries.ts'
export { readQueueDepth } from './delivery-metrics.ts'
export type { AttemptCounts, QueueDepth } from './delivery-metrics.ts'
export { printWaitingSeries } from './delivery-series.ts'
export { readEndpointRecords } from './endpoint-spans.ts'
export type { EndpointRecord, TrySummary } from './endpoint-spans.ts'
export { enqueueDeliveries, enqueueDeliveriesUnsafely } from './enqueue-deliveries.ts'
export { keepHistory } from './history/keep-history.ts'
export type { HistoryOptions, HistoryRetention } from './history/keep-history.ts'
export { composeBatch } from './compose-batch.ts'
export type { BatchBody } from './compose-batch.ts'
export { postbackLimitMeanings, postbackLimits } from './limits.ts'
export { macroAliasesByTracker } from './macro-aliases.ts'
export { enableEndpoint } from './gate/enable.ts'
export type { Enabling } from './gate/enable.ts'
export { createGateMetrics } from './gate/gate-metrics.ts'
export { recoverMissed } from './gate/missed.ts'
export type { Recovery } from './gate/missed.ts'
export { listNotices } from './gate/notices.ts'
export type { Notice, NoticeFilter } from './gate/notices.ts'
export { listPauses, pauseDeliveries, pausedObjects, resumeDeliveries } from './gate/pauses.ts'
export type { Pause, PausedObject } from './gate/pauses.ts'
export { listFailing, readBehind, readQuotaUse, readWaiting } from './gate/waiting.ts'
export type { FailingEndpoint, QuotaUse, Waiting } from './gate/waiting.ts'
export { parseStatuses, validateAnswerRules } from './judge-answer.ts'
export type { SuccessProblem } from './judge-answer.ts'
export { macroMeanings } from './macro-meanings.ts'
export { findMacro, postbackMacroNames } from './macros.ts'
export { attemptErrors, giveUpReasons, noticeKinds, waitReasons, whyNotReasons } from './reasons.ts'
export type { NoticeKind } from './reasons.ts'
export { deliveryChecks, reconcileDeliveries } from './reconcile-deliveries.ts'
export type { DeliveryCheck, DeliveryFinding } from './reconcile-deliveries.ts'
export { maskHeaders } from './headers.ts'
export { maskBody, maskRequest, maskUrl } from './mask-request.ts'
export type { MaskedRequest } from './mask-request.ts'
export { workerSettings } from './queue.ts'
export { fillReceiverTemplate, receiverTemplateNames, receiverTemplates } from './receiver-templates.ts'
export type { FilledTemplate, ReceiverTemplate, ReceiverTemplateName } from './receiver-templates.ts'
export { replayDelivery, sendTest } from './replay.ts'
export type { Replay, TestSend, TestSubject } from './replay.ts'
export {
  cancelReplay,
  countReplay,
  createReplay,
  endedStates,
  listReplays,
  replayLimits,
  runReplays,
  skipReasons,
} from './replay-by-filter.ts'
export type { ReplayCount, ReplayFilter, ReplayRow, ReplayState, SkipReason } from './replay-by-filter.ts'
export { isSecretName, isSecretValue, SECRET_VALUE_FORM } from './secret-placeholders.ts'
export { signRequest, verifySignature } from './sign.ts'
export type { ReceivedRequest, Verification, VerificationFailure } from './sign.ts'
export { startDelivery } from './start-delivery.ts'
export type { Delivery, DeliveryOptions } from './start-delivery.ts'
export { templateProblemCodes } from './templates.ts'
export { validateEndpoint } from './validate-endpoint.ts'
export type { EndpointProblem } from './validate-endpoint.ts'
export { readQueueLengths, watchQueueLengths } from './queue-lengths.ts'
export type { QueueLength, QueueLengths } from './queue-lengths.ts'
export { resealHeaders } from './reseal-headers.ts'
export { watchTries } from './watch-tries.ts'
export { searchWhyNot } from './why-not.ts'
export type { WhyNotFilter } from './why-not.ts'
