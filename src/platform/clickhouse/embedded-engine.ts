/** ClickHouse inside this process. The library (about 170 MB of mapped code) is loaded at the first use only, so that a process
 * that never opens the facts does not pay for it.
 */
import { mkdirSync } from 'node:fs'
import { dirname, resolve } from 'node:path'

import type { createClient } from '@clickhouse/client'
import type { ChdbConnection } from 'chdb/connection'

import { holdPidFile } from '#platform/processes'

import { BEGIN_CONNECTION, resetSql } from './begin-connection.ts'
import { embeddedStreams } from './embedded-streams.ts'
import { keepEngineMemory } from './engine-memory.ts'
import { inlineParams } from './inline-params.ts'
import type { LinesEngine, LinesInsert } from './insert-lines.ts'
import type { StreamEngine } from './stream.ts'

type ClientConnection = NonNullable<NonNullable<Parameters<typeof createClient>[0]>['connection']>
type Method = 'query' | 'command' | 'exec' | 'insert'
type Params = Parameters<ClientConnection[Method]>[0]

/** Half of the machine for the engine as a whole, because PostgreSQL and the edge live beside it; its own default is nine tenths. */
const ENGINE_ARGUMENTS = [
  '--max_server_memory_usage_to_ram_ratio=0.5',
  '--mark_cache_size=67108864',
  '--index_mark_cache_size=16777216',
  '--log_level=none',
] as const

/** A connection for the client that spreads statements over some connections to the engine of a directory.
 * @throws {Error} another process has the directory open
 */
export async function connectEngine(
  path: string,
  connections: number,
): Promise<ClientConnection & LinesEngine & StreamEngine> {
  const release = holdDirectory(resolve(path))
  try {
    keepEngineMemory()
    const [{ Session }, { createChdbConnection }] = await Promise.all([import('chdb'), import('chdb/connection')])
    // The first connection of a process decides the arguments of its engine, and only a session takes arguments. It stays
    // open as long as the others, because the engine ends with its last connection.
    const session = new Session(path, { connectionArgs: ENGINE_ARGUMENTS })
    const lines = Array.from({ length: connections }, () => new EngineLine(createChdbConnection({ path })))
    await Promise.all(lines.map((line) => line.run('command', { query: BEGIN_CONNECTION })))
    const { drain, ...streams } = embeddedStreams(path)
    const connection = spread(lines, drain, () => {
      session.close()
      release()
    })
    return Object.assign(connection, streams)
  } catch (cause) {
    release()
    throw new Error(`The facts in ${path} cannot be opened.`, { cause })
  }
}

/** Directories that this process has open: how many connections hold each, and what gives it free. */
const held = new Map<string, { count: number; readonly release: () => void }>()

/** The engine has a lock of its own and complains on standard error when it is taken; asking first keeps that clean and
 * names the process.
 * @returns gives this hold back
 */
function holdDirectory(path: string): () => void {
  const hold = held.get(path) ?? { count: 0, release: holdFile(path) }
  held.set(path, hold)
  hold.count++
  return () => {
    if (--hold.count > 0) return
    held.delete(path)
    hold.release()
  }
}

function holdFile(path: string): () => void {
  mkdirSync(dirname(path), { recursive: true, mode: 0o700 })
  const hold = holdPidFile(`${path}.owner`)
  if (hold.kind === 'held') return hold.release
  throw new Error(`The facts in ${path} are used by process ${hold.by.pid}.`)
}

/** The package is written against `@clickhouse/client-common`, whose types the client carries as a copy of its own: the same
 * shapes by structure, except for the private fields of one class, which makes TypeScript tell them apart.
 */
const own = (connection: unknown): ClientConnection => connection as ClientConnection

function spread(
  lines: readonly EngineLine[],
  beforeClose: () => Promise<void>,
  afterClose: () => void,
): ClientConnection & LinesEngine {
  const leastBusy = (): EngineLine => lines.reduce((best, line) => (line.waiting < best.waiting ? line : best))
  const connection: Pick<ClientConnection, Method | 'ping' | 'close'> & LinesEngine = {
    query: (params) => leastBusy().run('query', params),
    command: (params) => leastBusy().run('command', params),
    exec: (params) => leastBusy().run('exec', params),
    insert: (params) => leastBusy().run('insert', params),
    insertLines: (insert) => leastBusy().insertLines(insert),
    ping: (params) => leastBusy().ping(params),
    close: async () => {
      await beforeClose()
      await Promise.all(lines.map((line) => line.close()))
      afterClose()
    },
  }
  return connection as ClientConnection & LinesEngine
}

const ignore = (): void => undefined

/** One connection to the engine; its statements run one after the other. Values stand in the text of a statement: the engine binds
 * parameters for the whole process, so that statements with parameters of all connections would wait for each other.
 *
 * The package turns the settings of a statement into `SET` statements, and those stay for all that follow: an insert without
 * a deduplication token would be dropped as a repeat of an earlier one that had a token. Every statement therefore first
 * puts back what earlier ones have set.
 *
 * What a statement has written before it fails stays in the engine, and the next answer on the connection would begin with
 * it, rows of another tenant perhaps. So nothing else runs until a statement of ours has taken that away.
 */
class EngineLine {
  readonly #engine: ChdbConnection
  readonly #connection: ClientConnection
  readonly #changed = new Set<string>()
  #waiting = 0
  /** Ends with the last statement so far, and never rejects. */
  #last: Promise<unknown> = Promise.resolve()

  constructor(engine: ChdbConnection) {
    this.#engine = engine
    this.#connection = own(engine)
  }

  /** Statements that run or wait. */
  get waiting(): number {
    return this.#waiting
  }

  async run<M extends Method>(
    method: M,
    params: Parameters<ClientConnection[M]>[0],
  ): Promise<Awaited<ReturnType<ClientConnection[M]>>> {
    const call = this.#connection[method].bind(this.#connection) as (
      params: Params,
    ) => Promise<Awaited<ReturnType<ClientConnection[M]>>>
    const { query_params: values, ...plain } = params
    const statement = values === undefined ? params : { ...plain, query: inlineParams(params.query, values) }
    return this.#inTurn(() => call(this.#withFreshSettings(statement as Params)))
  }

  /** Bytes go to the engine as they are: 20 000 clicks hold the event loop for 4 ms, as a statement's text for 90 to 170 ms. */
  async insertLines({ table, lines, token }: LinesInsert): Promise<void> {
    await this.#inTurn(() =>
      this.#engine.chdb.rawInsert({
        table,
        values: lines,
        format: 'JSONEachRow',
        // Parsing by several threads first looks for the ends of rows in a pass of its own: an eighth more work for the same.
        settings: { insert_deduplication_token: token, input_format_parallel_parsing: 0 },
      }),
    )
  }

  async #inTurn<Result>(work: () => Promise<Result>): Promise<Result> {
    this.#waiting++
    const turn = this.#last.then(work)
    this.#last = turn.then(ignore, () => this.#connection.ping({ select: true }).then(ignore, ignore))
    try {
      return await turn
    } finally {
      this.#waiting--
    }
  }

  #withFreshSettings(params: Params): Params {
    const settings = params.clickhouse_settings ?? {}
    const stale = [...this.#changed].filter((name) => !(name in settings))
    for (const name of Object.keys(settings)) this.#changed.add(name)
    for (const name of stale) this.#changed.delete(name)
    if (stale.length === 0) return params
    return { ...params, query: `${stale.map(resetSql).join('')}${params.query}` }
  }

  ping(params: Parameters<ClientConnection['ping']>[0]): ReturnType<ClientConnection['ping']> {
    return this.#connection.ping(params)
  }

  close(): Promise<void> {
    return this.#connection.close()
  }
}
