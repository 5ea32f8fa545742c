export { withDatabase, withTx } from './databases.ts'
export { withClickHouse } from './facts.ts'
export { withTempDir } from './directories.ts'
export { listTestFiles } from './test-files.ts'
