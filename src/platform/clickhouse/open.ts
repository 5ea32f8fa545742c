import { ClickHouseLogLevel, createClient, type ClickHouseClient } from '@clickhouse/client'

import { NOTED_ABOUT_PARTS } from './begin-connection.ts'
import { connectEngine } from './embedded-engine.ts'
import { rememberEngine } from './insert-lines.ts'
import { rememberStreamEngine } from './stream.ts'

/** The official ClickHouse client, over an engine in this process or a server. */
export type FactsClient = ClickHouseClient

const SERVER_TIMEOUT_MS = 60_000
/** A server refuses statements with settings that it does not know. */
const KNOWN_SETTINGS = `SELECT name FROM system.settings WHERE name IN (${NOTED_ABOUT_PARTS.map((name) => `'${name}'`).join(', ')})`

/** Opens the facts: an engine inside this process with its data in a directory, or a server.
 * A process has one such directory at a time, and a directory belongs to one process. Clients opened on the same directory
 * run beside each other: give readers one of their own, so that a long report does not hold up the writer.
 * @param place.url http(s)://user:password@host:port/database
 * @param place.connections statements that run at the same time on the embedded engine, default 1; more wait in line
 * @throws {Error} the directory is in use by another process, or the server does not answer
 */
export async function openClickHouse(
  place: { readonly path: string; readonly connections?: number } | { readonly url: string },
): Promise<FactsClient> {
  const client = 'url' in place ? await openServer(place.url) : await openEmbedded(place.path, place.connections ?? 1)
  try {
    await client.command({ query: 'SELECT 1' })
    return client
  } catch (error) {
    await client.close()
    throw error
  }
}

async function openServer(url: string): Promise<FactsClient> {
  const options = {
    url,
    request_timeout: SERVER_TIMEOUT_MS,
    application: 'waypost',
    // Errors are thrown and written by who asked; the client's own lines would only repeat them, without our shape.
    log: { level: ClickHouseLogLevel.OFF },
  } as const
  const asking = createClient(options)
  try {
    const known = await asking.query({ query: KNOWN_SETTINGS, format: 'JSONEachRow' })
    const names = (await known.json<{ name: string }>()).map(({ name }) => name)
    return createClient({ ...options, clickhouse_settings: Object.fromEntries(names.map((name) => [name, 0])) })
  } finally {
    await asking.close()
  }
}

async function openEmbedded(path: string, connections: number): Promise<FactsClient> {
  const connection = await connectEngine(path, connections)
  const client = createClient({ connection })
  rememberEngine(client, connection)
  rememberStreamEngine(client, connection)
  return client
}
