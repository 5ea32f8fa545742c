export { eventIdOf, triggersOfRevision } from './delivery-causes.ts'
export type { CausingConversion, DeliveryCause, TriggerState } from './delivery-causes.ts'
export { deliveriesOfClick, deliveryStates, findDelivery, listAttempts, listDeliveries } from './deliveries.ts'
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
export { enqueueDeliveries, enqueueDeliveriesUnsafely } from './enqueue-deliveries.ts'
export { keepHistory } from './history/keep-history.ts'
export type { HistoryOptions, HistoryRetention } from './history/keep-history.ts'
export { macroMeanings } from './macro-meanings.ts'
export { findMacro, postbackMacroNames } from './macros.ts'
export { attemptErrors, giveUpReasons, whyNotReasons } from './reasons.ts'
export { deliveryChecks, reconcileDeliveries } from './reconcile-deliveries.ts'
export type { DeliveryCheck, DeliveryFinding } from './reconcile-deliveries.ts'
export { replayDelivery, sendTest } from './replay.ts'
export type { Replay, TestSend } from './replay.ts'
export { signRequest, verifySignature } from './sign.ts'
export type { ReceivedRequest, Verification, VerificationFailure } from './sign.ts'
export { startDelivery } from './start-delivery.ts'
export type { Delivery, DeliveryOptions } from './start-delivery.ts'
export { templateProblemCodes } from './templates.ts'
export { validateEndpoint } from './validate-endpoint.ts'
export type { EndpointProblem } from './validate-endpoint.ts'
