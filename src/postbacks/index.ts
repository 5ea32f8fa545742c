export { hostRefusedBy } from './sending/allow-list.ts'
export { causesOfRevision, eventIdOf } from './messages/delivery-causes.ts'
export type { CausingConversion, DeliveryCause, TriggerState } from './messages/delivery-causes.ts'
export { listAllAttempts } from './records/archived-attempts.ts'
export type { AskArchive } from './records/archived-attempts.ts'
export { awaitTest } from './records/await-test.ts'
export { deliveriesOfClick } from './records/deliveries-of-click.ts'
export { deliveryStates, findDelivery, listDeliveries } from './records/deliveries.ts'
export type {
  AttemptRow,
  ClickDeliveries,
  DeliveryCursor,
  DeliveryFilter,
  DeliveryRow,
  DeliveryState,
  WhyNotRow,
} from './records/deliveries.ts'
export { readQueueDepth } from './metrics/delivery-metrics.ts'
export type { AttemptCounts, QueueDepth } from './metrics/delivery-metrics.ts'
export { printWaitingSeries } from './metrics/delivery-series.ts'
export { readEndpointRecords } from './metrics/endpoint-spans.ts'
export type { EndpointRecord, TrySummary } from './metrics/endpoint-spans.ts'
export { enqueueDeliveries, enqueueDeliveriesUnsafely } from './queue/enqueue-deliveries.ts'
export { keepHistory } from './history/keep-history.ts'
export type { HistoryOptions, HistoryRetention } from './history/keep-history.ts'
export { composeBatch } from './messages/compose-batch.ts'
export type { BatchBody } from './messages/compose-batch.ts'
export { postbackLimitMeanings, postbackLimits } from './limits.ts'
export { macroAliasesByTracker } from './messages/macro-aliases.ts'
export { enableEndpoint } from './gate/enable.ts'
export type { Enabling } from './gate/enable.ts'
export { createGateMetrics } from './gate/gate-metrics.ts'
export { missedFilter } from './gate/missed.ts'
export { listNotices, recordTenantNotice } from './gate/notices.ts'
export type { Notice, NoticeFilter } from './gate/notices.ts'
export { tellNotices } from './gate/tell-notices.ts'
export {
  listPauses,
  pauseDeliveries,
  pausedObjects,
  readPaused,
  resumeDeliveries,
  subjectPauseOf,
} from './gate/pauses.ts'
export type { Pause, PausedObject, PausedThing, Subject, SubjectPause } from './gate/pauses.ts'
export { listFailing, readBehind, readHeld, readQuotaUse, readWaiting } from './gate/waiting.ts'
export type { FailingEndpoint, HeldCount, QuotaUse, Waiting } from './gate/waiting.ts'
export { parseStatuses, validateAnswerRules } from './sending/judge-answer.ts'
export type { SuccessProblem } from './sending/judge-answer.ts'
export { macroMeanings } from './messages/macro-meanings.ts'
export { findMacro, postbackMacroNames } from './messages/macros.ts'
export { attemptErrors, giveUpReasons, noticeKinds, waitReasons, whyNotReasons } from './reasons.ts'
export type { NoticeKind } from './reasons.ts'
export { deliveryChecks, reconcileDeliveries } from './queue/reconcile-deliveries.ts'
export type { DeliveryCheck, DeliveryFinding } from './queue/reconcile-deliveries.ts'
export { maskHeaders } from './messages/headers.ts'
export { maskBody, maskRequest, maskUrl } from './sending/mask-request.ts'
export type { MaskedRequest } from './sending/mask-request.ts'
export { workerSettings } from './queue/queue.ts'
export { fillReceiverTemplate, receiverTemplateNames, receiverTemplates } from './messages/receiver-templates.ts'
export type { FilledTemplate, ReceiverTemplate, ReceiverTemplateName } from './messages/receiver-templates.ts'
export { replayDelivery, sendTest } from './replay/replay.ts'
export type { Replay, TestSend, TestSubject } from './replay/replay.ts'
export {
  cancelReplay,
  countReplay,
  createReplay,
  endedStates,
  listReplays,
  replayLimits,
  runReplays,
  skipReasons,
} from './replay/replay-by-filter.ts'
export type { ReplayCount, ReplayFilter, ReplayRow, ReplayState, SkipReason } from './replay/replay-by-filter.ts'
export { isSecretName, isSecretValue, SECRET_VALUE_FORM } from './messages/secret-placeholders.ts'
export { signRequest, verifySignature } from './sending/sign.ts'
export type { ReceivedRequest, Verification, VerificationFailure } from './sending/sign.ts'
export { startDelivery } from './worker/start-delivery.ts'
export type { Delivery, DeliveryOptions } from './worker/start-delivery.ts'
export { templateProblemCodes } from './messages/templates.ts'
export { validateEndpoint } from './messages/validate-endpoint.ts'
export type { EndpointProblem } from './messages/validate-endpoint.ts'
export { readQueueLengths, watchQueueLengths } from './metrics/queue-lengths.ts'
export type { QueueLength, QueueLengths } from './metrics/queue-lengths.ts'
export { resealHeaders } from './messages/reseal-headers.ts'
export { watchTries } from './metrics/watch-tries.ts'
export { startDeliveryThreads } from './threads/delivery-threads.ts'
export type { DeliveryThreads, SecretKeySource } from './threads/delivery-threads.ts'
export { searchWhyNot } from './records/why-not.ts'
export type { WhyNotFilter } from './records/why-not.ts'
