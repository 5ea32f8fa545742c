export { isUuid, newClickId, newUuidV7, parseClickId, uuidOf, uuidV7Time } from './ids.ts'
export type { ClickId } from './ids.ts'
