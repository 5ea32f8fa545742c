export { eventIdOf, triggersOfRevision } from './delivery-causes.ts'
export type { CausingConversion, DeliveryCause, TriggerState } from './delivery-causes.ts'
export { enqueueDeliveries, enqueueDeliveriesUnsafely } from './enqueue-deliveries.ts'
