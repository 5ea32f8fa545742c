import { createClient, type ClickHouseClient } from '@clickhouse/client'
import { createChdbConnection } from 'chdb/connection'

/** The official ClickHouse client, over an engine in this process or a server. */
export type FactsClient = ClickHouseClient

/** Opens the facts: an engine inside this process with its data in a directory, or a server.
 * A process has one such directory at a time, and a directory belongs to one process.
 * @param place.url http(s)://user:password@host:port/database
 * @throws {Error} the directory is in use by another process, or the server does not answer
 */
export async function openClickHouse(
  place: { readonly path: string } | { readonly url: string },
): Promise<FactsClient> {
  const client = 'url' in place ? createClient({ url: place.url }) : createClient({ connection: embedded(place.path) })
  await client.command({ query: 'SELECT 1' })
  return client
}

type ClientConnection = NonNullable<NonNullable<Parameters<typeof createClient>[0]>['connection']>

/** The package is written against `@clickhouse/client-common`, whose types the client carries as a copy of its own: the same
 * shapes by structure, except for the private fields of one class, which makes TypeScript tell them apart.
 */
const embedded = (path: string): ClientConnection => createChdbConnection({ path }) as unknown as ClientConnection
