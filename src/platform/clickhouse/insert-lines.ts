import { Readable } from 'node:stream'

import type { FactsClient } from './open.ts'

/** Rows that are JSON already: one object per line, each line ended by a newline. */
export type LinesInsert = {
  readonly table: string
  readonly lines: Buffer
  /** Insert deduplication token; a table drops what it has seen with the same one. There is always one: without it the table
   * would compare contents, and drop equal rows that are two.
   */
  readonly token: string
}

/** The part of the embedded engine that takes bytes as they are. */
export type LinesEngine = { readonly insertLines: (insert: LinesInsert) => Promise<void> }

const engines = new WeakMap<FactsClient, LinesEngine>()

/** Lets insertLines find the engine behind a client. */
export const rememberEngine = (client: FactsClient, engine: LinesEngine): void => void engines.set(client, engine)

const PLAIN_NAME = /^[a-z][a-z0-9_]*$/
const PLAIN_TOKEN = /^[A-Za-z0-9:._-]{1,200}$/

/** Inserts rows in one block per day and table, all or nothing, with a deduplication token. An empty insert does nothing.
 *
 * The token stands in the statement itself: as a setting of the session it would reach other inserts of the embedded engine.
 * The buffer must not change until the promise settles.
 * @throws {Error} of the engine or the server, with its `code`; {RangeError} table or token of another alphabet (programmer error)
 */
export async function insertLines(client: FactsClient, insert: LinesInsert): Promise<void> {
  if (!PLAIN_NAME.test(insert.table) || !PLAIN_TOKEN.test(insert.token))
    throw new RangeError(`table ${insert.table} or token ${insert.token} is not plain`)
  if (insert.lines.length === 0) return
  await (engines.get(client)?.insertLines(insert) ?? sendLines(client, insert))
}

async function sendLines(client: FactsClient, { table, lines, token }: LinesInsert): Promise<void> {
  const answer = await client.exec({
    query: `INSERT INTO ${table} SETTINGS insert_deduplication_token = '${token}' FORMAT JSONEachRow`,
    values: Readable.from([lines], { objectMode: false }),
  })
  answer.stream.resume()
}
