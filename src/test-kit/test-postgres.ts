import { join } from 'node:path'

import { createLogLines } from '#platform/log-lines'
import { createPool, migratePostgres, startEmbeddedPostgres } from '#platform/postgres'

import { makeTempDir, removeDir } from './directories.ts'

/** Migrated and never connected to: PostgreSQL copies a template only while nobody uses it. */
export const TEMPLATE_DATABASE = 'waypost_template'
/** Migrated; every test that rolls back works in it. */
export const SHARED_DATABASE = 'waypost_shared'

export type TestPostgres = { readonly url: string; stop(): Promise<void> }

/** A server in a temporary directory that holds the two migrated databases. It does not flush to the disk: nothing in it
 * outlives the run. */
export async function startTestPostgres(): Promise<TestPostgres> {
  const directory = makeTempDir()
  const server = await startEmbeddedPostgres({
    dataDir: join(directory, 'postgres'),
    password: 'test',
    logLines: createLogLines('test', 'error'),
    settings: { fsync: 'off', full_page_writes: 'off', max_connections: '100', shared_buffers: '32MB' },
  })
  // Also when the process ends without its hooks: the server must not outlive it.
  process.on('exit', () => server.pid > 0 && process.kill(server.pid, 'SIGQUIT'))
  await makeDatabases(server.url)
  return {
    url: server.url,
    stop: async () => {
      await server.stop()
      removeDir(directory)
    },
  }
}

async function makeDatabases(url: string): Promise<void> {
  const admin = createPool(url, { max: 1 })
  await admin.query(`CREATE DATABASE ${TEMPLATE_DATABASE}`)
  const template = createPool(databaseUrl(url, TEMPLATE_DATABASE), { max: 1 })
  await migratePostgres(template)
  await template.end()
  await admin.query(`CREATE DATABASE ${SHARED_DATABASE} TEMPLATE ${TEMPLATE_DATABASE}`)
  await admin.end()
}

/** The same server, another database. */
export function databaseUrl(serverUrl: string, database: string): string {
  const url = new URL(serverUrl)
  url.pathname = `/${database}`
  return url.href
}
