export { clickOfRow } from './click-of-row.ts'
export { clickIdOf, decodeClick, decodeRecord, encodeRecord, eventIdentity, isClickPayload } from './codec.ts'
export { refusalReasons } from './reasons.ts'
export type { RefusalReason } from './reasons.ts'
export { builtInEventTypes, subNames } from './records.ts'
export type {
  Assignment,
  BotReason,
  BuiltInEventType,
  ClickOutcome,
  ClickRecord,
  Device,
  DeviceType,
  EventRecord,
  LoggedRecord,
  Place,
  PostbackRecord,
  SubName,
  Subs,
  TrafficClass,
  Utm,
  VisitorFacts,
} from './records.ts'
