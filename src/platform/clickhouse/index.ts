export { migrateClickHouse } from './migrate.ts'
export { openClickHouse } from './open.ts'
export type { FactsClient } from './open.ts'
