import { randomUUID } from 'node:crypto'

import type { ChdbQueryStream, Session as ChdbSession } from 'chdb'

import { BEGIN_CONNECTION } from './begin-connection.ts'
import { inlineParams, quote } from './inline-params.ts'
import { settingsSql, type FileQuery, type StreamEngine, type StreamPart, type StreamQuery } from './stream.ts'

/** Streams over an engine's directory. Each has a connection of its own: one connection has one stream at a time, and its
 * statements wait for each other.
 * @returns with `drain`, which ends those under way: the engine must not close below one
 */
export function embeddedStreams(path: string): StreamEngine & { readonly drain: () => Promise<void> } {
  const open = new Set<Promise<void>>()
  const ending = new AbortController()
  const connect = async (): Promise<{ readonly session: ChdbSession; readonly close: () => Promise<void> }> => {
    const { Session, drainPending } = await import('chdb')
    const over = Promise.withResolvers<void>()
    open.add(over.promise)
    const session = new Session(path)
    session.query(BEGIN_CONNECTION)
    return {
      session,
      close: async () => {
        session.close()
        // What was aborted goes on inside until its part is done.
        if (ending.signal.aborted) await drainPending()
        over.resolve()
        open.delete(over.promise)
      },
    }
  }
  return {
    stream: async function* (query) {
      const { session, close } = await connect()
      try {
        yield* parts(session, query, ending.signal)
      } finally {
        await close()
      }
    },
    writeFile: async (query) => {
      const { session, close } = await connect()
      try {
        return await writeFile(path, session, query, ending.signal)
      } finally {
        await close()
      }
    },
    drain: async () => {
      ending.abort(new Error('The facts are being closed.'))
      await Promise.allSettled(open)
    },
  }
}

async function* parts(session: ChdbSession, query: StreamQuery, ending: AbortSignal): AsyncIterable<StreamPart> {
  const sql = inlineParams(query.sql, query.params) + settingsSql(query.settings)
  const stream: ChdbQueryStream = session.queryStream(sql, { format: query.format })
  for await (const chunk of stream) {
    if (query.signal?.aborted === true) throw query.signal.reason
    if (ending.aborted) throw ending.reason
    yield { bytes: chunk.raw(), rows: chunk.numRows }
  }
}

const LOOK_MS = 500

/** A statement of the engine can only be ended from another connection, by its name in the list of what runs. */
async function writeFile(path: string, session: ChdbSession, query: FileQuery, ending: AbortSignal): Promise<number> {
  const { Session } = await import('chdb')
  const mark = randomUUID()
  const settings = settingsSql({ ...query.settings, log_comment: mark })
  const file = quote(query.file)
  const sql = `${inlineParams(query.sql, query.params)} INTO OUTFILE ${file} FORMAT ${query.format}${settings}`
  let isOver = false
  const done = session.queryAsync(sql).finally(() => (isOver = true))
  const looker = new Session(path)
  try {
    // Whatever happens while it is looked at, its own end is what counts.
    done.catch(() => undefined)
    while (!isOver) {
      await Promise.race([
        done.then(
          () => undefined,
          () => undefined,
        ),
        new Promise((resolve) => setTimeout(resolve, LOOK_MS)),
      ])
      if (isOver) break
      const isUnwanted = query.signal?.aborted === true || ending.aborted
      if (isUnwanted) await looker.queryAsync(`KILL QUERY WHERE Settings['log_comment'] = '${mark}' ASYNC`)
      else if (query.onProgress !== undefined) query.onProgress(await rowsRead(looker, mark))
    }
    await done
    return await countRows(looker, file)
  } catch (error) {
    if (query.signal?.aborted === true) throw query.signal.reason
    throw error
  } finally {
    looker.close()
  }
}

async function rowsRead(session: ChdbSession, mark: string): Promise<number> {
  const sql = `SELECT toUInt64(sum(read_rows)) FROM system.processes WHERE Settings['log_comment'] = '${mark}'`
  return Number((await session.queryAsync(sql, { format: 'TabSeparated' })).text())
}

/** As the file itself says. */
async function countRows(session: ChdbSession, file: string): Promise<number> {
  const sql = `SELECT toUInt64(sum(num_rows)) FROM file(${file}, ParquetMetadata)`
  return Number((await session.queryAsync(sql, { format: 'TabSeparated' })).text())
}
