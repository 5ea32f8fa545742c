import { Readable } from 'node:stream'
import type { ChdbConnection } from 'chdb/connection'

import type { FactsClient } from './open.ts'

/** The engine behind each client of a directory, for inserts that hand over bytes instead of building a statement text. */
const engines = new WeakMap<FactsClient, ChdbConnection>()

export const rememberEngine = (client: FactsClient, engine: ChdbConnection): void => void engines.set(client, engine)

/** Rows that are JSON already: one object per line, each line ended by a newline. */
export type LinesInsert = {
  readonly table: string
  readonly lines: Buffer
  /** Insert deduplication token; a table drops what it has seen with the same one. Left out: always inserted. */
  readonly token?: string
}

const PLAIN_NAME = /^[a-z][a-z0-9_]*$/
const PLAIN_TOKEN = /^[A-Za-z0-9:._-]{1,200}$/

/** Inserts rows in one block per day and table, all or nothing, with a deduplication token. An empty insert does nothing.
 *
 * The token stands in the statement: a setting of the session would leak into the next insert of the embedded engine.
 * The buffer must not change until the promise settles.
 * @throws {Error} of the engine or the server, with its `code`; {RangeError} table or token of another alphabet (programmer error)
 */
export async function insertLines(client: FactsClient, { table, lines, token }: LinesInsert): Promise<void> {
  if (!PLAIN_NAME.test(table) || (token !== undefined && !PLAIN_TOKEN.test(token)))
    throw new RangeError(`table ${table} or token ${token} is not plain`)
  if (lines.length === 0) return
  const engine = engines.get(client)
  if (engine === undefined) return sendLines(client, { table, lines, ...(token === undefined ? {} : { token }) })
  await engine.chdb.rawInsert({
    table,
    values: lines,
    format: 'JSONEachRow',
    ...(token === undefined ? {} : { settings: { insert_deduplication_token: token } }),
  })
}

async function sendLines(client: FactsClient, { table, lines, token }: LinesInsert): Promise<void> {
  const settings = token === undefined ? '' : ` SETTINGS insert_deduplication_token = '${token}'`
  const answer = await client.exec({
    query: `INSERT INTO ${table}${settings} FORMAT JSONEachRow`,
    values: Readable.from([lines], { objectMode: false }),
  })
  answer.stream.resume()
}
