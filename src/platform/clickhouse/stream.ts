import type { FactsClient } from './open.ts'

/** A question whose answer may be larger than the memory. */
export type StreamQuery = {
  /** SELECT without FORMAT and SETTINGS. */
  readonly sql: string
  readonly params: Readonly<Record<string, unknown>>
  /** Without heads: every part of an answer is rows. */
  readonly format: 'CSV' | 'JSONEachRow' | 'JSONCompactEachRow'
  readonly settings?: Settings
  /** Ends it between two parts. */
  readonly signal?: AbortSignal
}

/** A part of an answer: whole rows on the embedded engine; of a server any bytes, with the rows that end in them. */
export type StreamPart = { readonly bytes: Uint8Array; readonly rows: number }

export type FileQuery = Omit<StreamQuery, 'format'> & {
  /** Path of a file that is not there yet. */
  readonly file: string
  readonly format: 'Parquet'
  /** Told about every second how many rows were read. */
  readonly onProgress?: (rows: number) => void
}

export type Settings = Readonly<Record<string, string | number>>

/** What the embedded engine does on a connection of its own for each question, so that nobody else waits for it. */
export type StreamEngine = {
  readonly stream: (query: StreamQuery) => AsyncIterable<StreamPart>
  readonly writeFile: (query: FileQuery) => Promise<number>
}

const engines = new WeakMap<FactsClient, StreamEngine>()

/** Lets streamFacts find the engine behind a client. */
export const rememberStreamEngine = (client: FactsClient, engine: StreamEngine): void =>
  void engines.set(client, engine)

const PLAIN_NAME = /^[a-z][a-z0-9_]*$/

/** `SETTINGS a = 1, b = 'x'`. */
export function settingsSql(settings: Settings = {}): string {
  const parts = Object.entries(settings).map(([name, value]) => {
    const isPlain = PLAIN_NAME.test(name) && !/['\\]/.test(String(value))
    if (!isPlain) throw new RangeError(`The setting ${name} is not plain.`)
    return `${name} = ${typeof value === 'number' ? value : `'${value}'`}`
  })
  return parts.length === 0 ? '' : ` SETTINGS ${parts.join(', ')}`
}

/** The bytes of an answer as ClickHouse formats them, part by part; the next part is made when it is asked for.
 * On the embedded engine every part is whole rows, and the memory is that of a part. A question that fails or is aborted throws
 * in the middle: whoever wrote the parts somewhere takes them back.
 * @throws {Error} of the engine or the server, with its number in `code`
 */
export function streamFacts(client: FactsClient, query: StreamQuery): AsyncIterable<StreamPart> {
  return engines.get(client)?.stream(query) ?? streamFromServer(client, query)
}

type ServerQuery = Omit<StreamQuery, 'format'> & { readonly format: StreamQuery['format'] | FileQuery['format'] }

async function* streamFromServer(client: FactsClient, query: ServerQuery): AsyncIterable<StreamPart> {
  const { sql, params, format, settings, signal } = query
  const answer = await client.exec({
    query: `${sql}${settingsSql(settings)} FORMAT ${format}`,
    query_params: { ...params },
    // Nothing is sent before the whole answer is there otherwise, and then it must fit into a buffer.
    clickhouse_settings: { wait_end_of_query: 0 },
    ...(signal && { abort_signal: signal }),
  })
  const countRows = rowCounter(format === 'CSV')
  for await (const part of answer.stream) {
    if (signal?.aborted === true) throw signal.reason
    const bytes = part as Uint8Array
    yield { bytes, rows: format === 'Parquet' ? 0 : countRows(bytes) }
  }
}

const NEWLINE = 10
const QUOTE = 34

/** Counts the ends of rows: in CSV a newline may stand in quotes, in JSON it never does. */
function rowCounter(isCsv: boolean): (bytes: Uint8Array) => number {
  let isQuoted = false
  return (bytes) => {
    let rows = 0
    for (const byte of bytes) {
      if (byte === QUOTE && isCsv) isQuoted = !isQuoted
      else if (byte === NEWLINE && !isQuoted) rows++
    }
    return rows
  }
}

/** Writes an answer into a file, for formats whose end tells what stands where. The memory is that of a group of rows.
 * @returns rows; undefined: the server has not said
 * @throws {Error} of the engine or the server; what there is of the file is left to the caller
 */
export async function writeFactsFile(client: FactsClient, query: FileQuery): Promise<number | undefined> {
  const engine = engines.get(client)
  if (engine !== undefined) return engine.writeFile(query)
  const { createWriteStream } = await import('node:fs')
  const { pipeline } = await import('node:stream/promises')
  const { file, onProgress: _onProgress, ...rest } = query
  await pipeline(
    streamFromServer(client, rest),
    async function* (parts: AsyncIterable<StreamPart>) {
      for await (const { bytes } of parts) yield bytes
    },
    createWriteStream(file, { flags: 'wx', mode: 0o600 }),
  )
  return undefined
}
