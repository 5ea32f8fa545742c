import { cpSync } from 'node:fs'
import { after, type TestContext } from 'node:test'

import { testFactsTemplate } from '#config'
import { migrateClickHouse, openClickHouse, type FactsClient } from '#platform/clickhouse'

import { makeTempDir, removeDir } from './directories.ts'

let opened: Promise<FactsClient> | undefined
const directories: string[] = []

after(async () => {
  await (await opened)?.close()
  directories.forEach(removeDir)
})

/** Migrated facts in a temporary directory. One engine per process: the tests of a file share it, so give your rows ids
 * that no other test uses, or truncate. */
export async function withClickHouse(_t: TestContext): Promise<FactsClient> {
  return (opened ??= openFacts())
}

async function openFacts(): Promise<FactsClient> {
  const directory = makeTempDir()
  directories.push(directory)
  const template = testFactsTemplate()
  if (template !== undefined) cpSync(template, directory, { recursive: true, verbatimSymlinks: true })
  const client = await openClickHouse({ path: directory })
  if (template === undefined) await migrateClickHouse(client)
  return client
}
