export { eventIdOf, triggersOfRevision } from './delivery-causes.ts'
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
export { macroMeanings } from './macro-meanings.ts'
export { findMacro, postbackMacroNames } from './macros.ts'
export { attemptErrors, giveUpReasons, whyNotReasons } from './reasons.ts'
export { deliveryChecks, reconcileDeliveries } from './reconcile-deliveries.ts'
export type { DeliveryCheck, DeliveryFinding } from './reconcile-deliveries.ts'
export { maskBody, maskRequest, maskUrl } from './mask-request.ts'
export type { MaskedRequest } from './mask-request.ts'
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
export { signRequest, verifySignature } from './sign.ts'
export type { ReceivedRequest, Verification, VerificationFailure } from './sign.ts'
export { startDelivery } from './start-delivery.ts'
export type { Delivery, DeliveryOptions } from './start-delivery.ts'
export { templateProblemCodes } from './templates.ts'
export { validateEndpoint } from './validate-endpoint.ts'
export type { EndpointProblem } from './validate-endpoint.ts'
export { readWaiting, watchWaiting } from './waiting.ts'
export type { Waiting, WaitingSample } from './waiting.ts'
export { watchTries } from './watch-tries.ts'
export { searchWhyNot } from './why-not.ts'
export type { WhyNotFilter } from './why-not.ts'
