export { WaypostError, errorCatalogue } from './catalogue.ts'
export type { ErrorCode } from './catalogue.ts'
