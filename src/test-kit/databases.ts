import { randomBytes } from 'node:crypto'
import { after, type TestContext } from 'node:test'

import { testPostgresUrl } from '#config'
import { givenSecretKeys, useSecretKeys } from '#secrets'
import { createPool, type Pool, type Tx } from '#platform/postgres'

import {
  databaseUrl,
  SHARED_DATABASE,
  startTestPostgres,
  TEMPLATE_DATABASE,
  type TestPostgres,
} from './test-postgres.ts'

// What the code under test keeps in a database it seals, as everywhere.
useSecretKeys(givenSecretKeys([Buffer.alloc(32, 'test').toString('base64')]))

/** Opened at the first need, once per test process. */
let ownServer: Promise<TestPostgres> | undefined
let sharedPool: Promise<Pool> | undefined

/** The server of the whole test run, else one for this process: then the file was started by itself. */
async function serverUrl(): Promise<string> {
  const url = testPostgresUrl()
  if (url !== undefined) return url
  ownServer ??= startOwnServer()
  return (await ownServer).url
}

function startOwnServer(): Promise<TestPostgres> {
  // Ctrl-C ends a process without its exit hooks, and one of them stops the server.
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => process.exit(1))
  return startTestPostgres()
}

const openSharedPool = async (): Promise<Pool> =>
  createPool(databaseUrl(await serverUrl(), SHARED_DATABASE), { max: 8, applicationName: 'test' })

// At the root of the test file that imports this module: after its last test.
after(async () => {
  await (await sharedPool)?.end()
  await (await ownServer)?.stop()
})

/** A transaction on the migrated database that all tests share, rolled back after the test. */
export async function withTx(t: TestContext): Promise<Tx> {
  const pool = await (sharedPool ??= openSharedPool())
  const tx = await pool.connect()
  await tx.query('BEGIN')
  t.after(async () => {
    await tx.query('ROLLBACK')
    tx.release()
  })
  return tx
}

/** A migrated database for this test alone, dropped after it: for several connections, LISTEN and DDL.
 * The drop fails the test when one of its connections is still open.
 */
export async function withDatabase(t: TestContext): Promise<{ readonly pool: Pool; readonly url: string }> {
  const server = await serverUrl()
  const name = `test_${randomBytes(8).toString('hex')}`
  await onServer(server, `CREATE DATABASE ${name} TEMPLATE ${TEMPLATE_DATABASE}`)
  const url = databaseUrl(server, name)
  const pool = createPool(url, { max: 8, applicationName: 'test' })
  t.after(async () => {
    if (!pool.ending) await pool.end()
    await onServer(server, `DROP DATABASE ${name}`)
  })
  return { pool, url }
}

async function onServer(server: string, statement: string): Promise<void> {
  const admin = createPool(server, { max: 1, applicationName: 'test' })
  await admin.query(statement)
  await admin.end()
}
