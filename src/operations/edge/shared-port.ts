/** One port for the edges of a data directory: the threads of a process, and any number of processes.
 *
 * The kernel deals out connections among all who listen with SO_REUSEPORT, and lets in every program of this user. So a port is first
 * taken alone for a moment: a program that shares it would get a part of the requests unnoticed. Where an edge of this data directory
 * listens already it cannot be taken alone and need not be, since that edge has tried. Who listens is told by a lock of SQLite on an
 * empty database for each port, which the kernel gives up with the process that held it.
 */
import { once } from 'node:events'
import { mkdirSync } from 'node:fs'
import { createServer, type AddressInfo } from 'node:net'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { setTimeout as delay } from 'node:timers/promises'

import { canSharePort, type Config } from '#config'

import { dataPaths } from '../data-directory.ts'

/** A running edge, of one thread or of several. */
export type ListeningEdge = { readonly port: number; stop(): Promise<void> }

/** Starts an edge on its port, which other edges of the data directory may listen on as well.
 * @param start gets the configuration with the port that was found, where it asks for any
 * @throws {Error} EADDRINUSE and the like; what `start` throws
 */
export async function onSharedPort(
  config: Config,
  start: (config: Config) => Promise<ListeningEdge>,
): Promise<ListeningEdge> {
  if (!canSharePort) return start(config)
  const { port, release } = await takePort(config)
  try {
    const edge = await start({ ...config, edgePort: port })
    return {
      port: edge.port,
      stop: async () => {
        await edge.stop()
        release()
      },
    }
  } catch (error) {
    release()
    throw error
  }
}

async function takePort({ dataDir, edgeHost, edgePort }: Config): Promise<{ port: number; release: () => void }> {
  const directory = dataPaths(dataDir).ports
  mkdirSync(directory, { recursive: true, mode: 0o700 })
  const fileOf = (port: number): string => join(directory, `${edgeHost.replaceAll(':', '_')}-${port}.lock`)
  // One at a time, so that whoever else holds the lock of the port has had it alone.
  const turn = await takeTurn(join(directory, 'start.lock'))
  try {
    const isOurs = edgePort !== 0 && isHeld(fileOf(edgePort))
    const port = isOurs ? edgePort : await findFreePort(edgeHost, edgePort)
    const held = lock(fileOf(port), 'BEGIN; SELECT count(*) FROM sqlite_schema')
    return { port, release: () => held.close() }
  } finally {
    turn.close()
  }
}

/** A turn takes some milliseconds. */
const TURN_WAIT_MS_MAX = 10_000
const TURN_RETRY_MS = 10

async function takeTurn(file: string): Promise<DatabaseSync> {
  for (let waitedMs = 0; ; waitedMs += TURN_RETRY_MS) {
    const turn = tryLockAlone(file)
    if (turn !== undefined) return turn
    if (waitedMs >= TURN_WAIT_MS_MAX) throw new Error(`Another edge has been starting for ten seconds (${file}).`)
    await delay(TURN_RETRY_MS)
  }
}

/** Whether an edge listens on the port of this file, or is about to. */
function isHeld(file: string): boolean {
  const alone = tryLockAlone(file)
  alone?.close()
  return alone === undefined
}

const SQLITE_BUSY = 5

function tryLockAlone(file: string): DatabaseSync | undefined {
  try {
    return lock(file, 'BEGIN EXCLUSIVE')
  } catch (error) {
    if (error instanceof Error && 'errcode' in error && error.errcode === SQLITE_BUSY) return undefined
    throw error
  }
}

function lock(file: string, begin: string): DatabaseSync {
  const database = new DatabaseSync(file, { timeout: 0 })
  try {
    database.exec(`PRAGMA journal_mode = MEMORY; ${begin}`)
    return database
  } catch (error) {
    database.close()
    throw error
  }
}

/** @throws {Error} EADDRINUSE and the like */
async function findFreePort(host: string, wanted: number): Promise<number> {
  const server = createServer()
  server.listen({ host, port: wanted, exclusive: true })
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  server.close()
  await once(server, 'close')
  return port
}
