import { migrateClickHouse, openClickHouse } from '#platform/clickhouse'

import { makeTempDir } from './directories.ts'

/** Migrated facts that nobody has open, to be copied: to migrate takes ten times as long. */
export async function makeFactsTemplate(): Promise<string> {
  const directory = makeTempDir()
  const client = await openClickHouse({ path: directory })
  await migrateClickHouse(client)
  await client.close()
  return directory
}
