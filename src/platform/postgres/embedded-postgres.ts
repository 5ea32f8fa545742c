/** A PostgreSQL server of our own: real server binaries from an npm package, run as a child process.
 *
 *   absent ──initdb──▶ stopped ──▶ starting ──▶ running ──▶ stopping ──▶ stopped
 *                                     ▲            │
 *                                     └──backoff───┘  it died and nobody asked it to
 *
 * A server that outlived a killed run is stopped before ours starts; a server of a run that is alive is left alone.
 * It listens on 127.0.0.1 only and asks for the password (scram-sha-256).
 */
import { spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { dirname, join, resolve } from 'node:path'
import { createInterface } from 'node:readline'
import { setTimeout as delay } from 'node:timers/promises'

import type { LogLines } from '#platform/log-lines'
import { findFreePort } from '#platform/ports'
import { holdPidFile, isStillRunning, markOf, pidFileHolder } from '#platform/processes'

import { locateBinaries, type Binaries } from './binaries.ts'
import { chooseServerUser, giveTo, letThrough, type ServerUser } from './server-user.ts'

export type EmbeddedPostgresOptions = {
  /** Directory of the cluster; made when absent. Its parent must exist or be makeable. */
  readonly dataDir: string
  /** Password of the role `waypost`, set when the cluster is made. */
  readonly password: string
  readonly logLines: LogLines
  /** TCP port on 127.0.0.1; left out: any free one. Given by whoever has to know the address before the server is up. */
  readonly port?: number
  /** Server settings that override ours, such as { fsync: 'off' } for tests. */
  readonly settings?: Readonly<Record<string, string>>
}

export type EmbeddedPostgres = {
  /** Stays the same for the life of this object, also when the server was started again. */
  readonly url: string
  /** Process id of the server that runs now; 0 while there is none. */
  readonly pid: number
  /** Ends the server: waits for transactions in progress first, then cuts them off. Safe to call twice. */
  stop(): Promise<void>
}

const USER = 'waypost'
const DATABASE = 'postgres'
const RESTART_DELAY_MS_MIN = 100
const RESTART_DELAY_MS_MAX = 5_000
const START_DEADLINE_MS = 60_000
/** "Smart" waits for every client to leave by itself. Ours have closed their pools by then; a forgotten one must not hold up the end. */
const SMART_STOP_MS = 1_000
const FAST_STOP_MS = 15_000

/** Sized for a machine with little memory: about 60 MB idle. Durability is never traded: fsync and synchronous_commit stay on. */
const SETTINGS: Readonly<Record<string, string>> = {
  listen_addresses: '127.0.0.1',
  unix_socket_directories: '',
  password_encryption: 'scram-sha-256',
  max_connections: '60',
  shared_buffers: '64MB',
  effective_cache_size: '512MB',
  work_mem: '8MB',
  maintenance_work_mem: '64MB',
  max_wal_size: '1GB',
  checkpoint_timeout: '10min',
  random_page_cost: '1.1',
  jit: 'off',
  max_parallel_workers_per_gather: '0',
  autovacuum_max_workers: '2',
  autovacuum_naptime: '20s',
  io_method: 'sync',
  timezone: 'UTC',
  log_timezone: 'UTC',
  logging_collector: 'off',
  log_line_prefix: '',
  fsync: 'on',
  synchronous_commit: 'on',
  full_page_writes: 'on',
}

/** Starts the server of a data directory and keeps it running until it is stopped.
 * @throws {Error} with one clear sentence when the binaries, the directory or the rights do not allow it
 */
export async function startEmbeddedPostgres(options: EmbeddedPostgresOptions): Promise<EmbeddedPostgres> {
  const dataDir = resolve(options.dataDir)
  const logLines = options.logLines
  mkdirSync(dirname(dataDir), { recursive: true, mode: 0o700 })
  const hold = holdPidFile(`${dataDir}.owner`)
  if (hold.kind === 'busy') throw new Error(`The database in ${dataDir} is run by process ${hold.by.pid}.`)
  try {
    const binaries = locateBinaries()
    const user = await chooseServerUser(binaries, dataDir)
    await stopLeftOver(dataDir, logLines)
    if (!existsSync(join(dataDir, 'PG_VERSION'))) await makeCluster(binaries, user, dataDir, options.password)
    checkVersion(dataDir, binaries)
    const port = options.port ?? (await findFreePort())
    return await keepRunning({ ...options, dataDir }, binaries, user, port, hold.release)
  } catch (error) {
    hold.release()
    throw error
  }
}

/** The address of an embedded server on this port. */
export const embeddedPostgresUrl = (port: number, password: string): string =>
  `postgres://${USER}:${encodeURIComponent(password)}@127.0.0.1:${port}/${DATABASE}`

/** The server of a data directory that another live process runs.
 * @returns its address; undefined when nobody runs one
 */
export function findRunningPostgres(dataDir: string, password: string): { url: string; owner: number } | undefined {
  const owner = pidFileHolder(`${resolve(dataDir)}.owner`)
  const postmasterFile = join(dataDir, 'postmaster.pid')
  if (owner === undefined || !existsSync(postmasterFile)) return undefined
  // Fourth line: the port. https://www.postgresql.org/docs/18/storage-file-layout.html
  const port = Number(readFileSync(postmasterFile, 'utf8').split('\n')[3])
  return port > 0 ? { url: embeddedPostgresUrl(port, password), owner: owner.pid } : undefined
}

async function keepRunning(
  options: EmbeddedPostgresOptions,
  binaries: Binaries,
  user: ServerUser,
  port: number,
  release: () => void,
): Promise<EmbeddedPostgres> {
  const { logLines } = options
  const stopAsked = new AbortController()
  let server = await startServer(options, binaries, user, port)
  let isUp = true

  async function restartWhenItDies(): Promise<void> {
    for (let delayMs = RESTART_DELAY_MS_MIN; ; delayMs = Math.min(delayMs * 2, RESTART_DELAY_MS_MAX)) {
      if (server.exitCode === null && server.signalCode === null) await once(server, 'exit')
      isUp = false
      if (stopAsked.signal.aborted) return
      logLines.error(
        { exit_code: server.exitCode, signal: server.signalCode },
        'PostgreSQL ended by itself; starting it again',
      )
      try {
        await delay(delayMs, undefined, { signal: stopAsked.signal })
        server = await startServer(options, binaries, user, port)
        isUp = true
        if (stopAsked.signal.aborted) await stopServer(server)
        logLines.info({ pid: server.pid }, 'PostgreSQL is back')
        delayMs = RESTART_DELAY_MS_MIN / 2
      } catch (cause) {
        if (stopAsked.signal.aborted) return
        logLines.error({ err: cause }, 'PostgreSQL did not start; trying again')
      }
    }
  }
  const supervision = restartWhenItDies()

  async function stop(): Promise<void> {
    stopAsked.abort()
    if (isUp) await stopServer(server)
    await supervision
    release()
  }
  let stopped: Promise<void> | undefined
  return {
    url: embeddedPostgresUrl(port, options.password),
    get pid() {
      return isUp ? (server.pid ?? 0) : 0
    },
    stop: () => (stopped ??= stop()),
  }
}

async function startServer(
  options: EmbeddedPostgresOptions,
  binaries: Binaries,
  user: ServerUser,
  port: number,
): Promise<ChildProcess> {
  const settings = { ...SETTINGS, ...options.settings, port: String(port) }
  const flags = Object.entries(settings).flatMap(([name, value]) => ['-c', `${name}=${value}`])
  const server = spawnAs(user, binaries.postgres, ['-D', options.dataDir, ...flags])
  const lastLines: string[] = []
  const ready = new Promise<void>((resolveReady, reject) => {
    createInterface({ input: server.stderr! }).on('line', (line) => {
      relayLine(options.logLines, line)
      lastLines.push(line)
      if (lastLines.length > 5) lastLines.shift()
      if (line.includes('database system is ready to accept connections')) resolveReady()
    })
    server.on('error', reject)
    // 'close' rather than 'exit': the last lines, which say why, have been read by then.
    server.on('close', () => reject(new Error(`PostgreSQL did not start: ${lastLines.join(' / ')}`)))
  })
  const deadline = AbortSignal.timeout(START_DEADLINE_MS)
  const onDeadline = (): void => void server.kill('SIGQUIT')
  deadline.addEventListener('abort', onDeadline)
  try {
    await ready
    return server
  } finally {
    deadline.removeEventListener('abort', onDeadline)
  }
}

function relayLine(logLines: LogLines, line: string): void {
  if (/\b(FATAL|PANIC):/.test(line)) logLines.warn({ postgres: line }, 'PostgreSQL says')
  else logLines.debug({ postgres: line }, 'PostgreSQL says')
}

async function stopServer(server: ChildProcess): Promise<void> {
  if (server.exitCode !== null || server.signalCode !== null) return
  const ended = once(server, 'exit')
  server.kill('SIGTERM')
  if (await endsWithin(ended, SMART_STOP_MS)) return
  server.kill('SIGINT')
  if (await endsWithin(ended, FAST_STOP_MS)) return
  server.kill('SIGQUIT')
  await ended
}

async function endsWithin(ended: Promise<unknown>, ms: number): Promise<boolean> {
  const timeout = new AbortController()
  const late = delay(ms, false, { signal: timeout.signal }).catch(() => false)
  const result = await Promise.race([ended.then(() => true), late])
  timeout.abort()
  return result
}

/** The detached process group keeps Ctrl-C in the terminal from reaching the server before its clients have drained. */
function spawnAs(user: ServerUser, program: string, args: readonly string[]): ChildProcess {
  const [command, ...rest] = [...user.prefix, program, ...args]
  return spawn(command!, rest, {
    stdio: ['ignore', 'ignore', 'pipe'],
    detached: true,
    env: { PATH: '/usr/sbin:/usr/bin:/sbin:/bin', LC_ALL: 'C', TZ: 'UTC' },
    ...(user.ids ?? {}),
  })
}

/** Made beside its place and moved there when whole, so that a set-up that was cut off leaves nothing that looks finished. */
async function makeCluster(binaries: Binaries, user: ServerUser, dataDir: string, password: string): Promise<void> {
  const unfinished = `${dataDir}.new`
  const passwordFile = `${dataDir}.password`
  rmSync(unfinished, { recursive: true, force: true })
  letThrough(user, dirname(dataDir))
  mkdirSync(unfinished, { mode: 0o700 })
  writeFileSync(passwordFile, `${password}\n`, { mode: 0o600 })
  giveTo(user, unfinished)
  giveTo(user, passwordFile)
  try {
    const initdb = spawnAs(user, binaries.initdb, [
      ...['-D', unfinished, '-U', USER, '--auth=scram-sha-256', `--pwfile=${passwordFile}`],
      // The provider that is part of the server: the same order of text on every operating system.
      ...['--encoding=UTF8', '--locale=C', '--locale-provider=builtin', '--builtin-locale=C.UTF-8'],
    ])
    let complaint = ''
    initdb.stderr!.on('data', (chunk: Buffer) => (complaint += chunk.toString()))
    const [code] = (await once(initdb, 'close')) as [number | null]
    if (code !== 0) throw new Error(`The database could not be made in ${dataDir}: ${complaint.trim()}${hintFor(user)}`)
    rmSync(dataDir, { recursive: true, force: true })
    renameSync(unfinished, dataDir)
  } finally {
    rmSync(passwordFile, { force: true })
  }
}

const hintFor = (user: ServerUser): string =>
  user.ids === undefined ? '' : ' It runs as another user here: put WAYPOST_DATA_DIR where that user can get to.'

function checkVersion(dataDir: string, binaries: Binaries): void {
  const made = readFileSync(join(dataDir, 'PG_VERSION'), 'utf8').trim()
  if (made === binaries.major) return
  throw new Error(
    `The database in ${dataDir} was made by PostgreSQL ${made}, this installation has ${binaries.major}. ` +
      'Dump it with the old version and load it into a new directory, or use the version that made it.',
  )
}

/** Stops the server that a killed run left behind. Whoever owned it is dead: the owner file was free. */
async function stopLeftOver(dataDir: string, logLines: LogLines): Promise<void> {
  const pidFile = join(dataDir, 'postmaster.pid')
  if (!existsSync(pidFile)) return
  const pid = Number(readFileSync(pidFile, 'utf8').split('\n')[0])
  const mark = Number.isInteger(pid) && pid > 1 ? markOf(pid) : undefined
  if (mark === undefined || !isServerOf(pid, dataDir)) return
  logLines.warn({ pid }, 'stopping the PostgreSQL that an earlier run left behind')
  for (const [signal, waitMs] of [
    ['SIGINT', FAST_STOP_MS],
    ['SIGQUIT', FAST_STOP_MS],
  ] as const) {
    // prettier-ignore
    process.kill(pid, signal)
    for (let waitedMs = 0; waitedMs < waitMs; waitedMs += 25) {
      if (!isStillRunning(mark)) return
      await delay(25)
    }
  }
  throw new Error(`The PostgreSQL of an earlier run (process ${pid}) does not stop.`)
}

/** Where /proc tells the command line, another program that got the id of a dead server is not taken for one. */
function isServerOf(pid: number, dataDir: string): boolean {
  const commandLine = `/proc/${pid}/cmdline`
  if (!existsSync(commandLine)) return true
  const args = readFileSync(commandLine, 'utf8').split('\0')
  return args[0]?.endsWith('postgres') === true && args.includes(dataDir)
}
