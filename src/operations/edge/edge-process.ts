/** The edge as a process of its own, kept running by the main process.
 *
 *   starting ──listening──▶ serving ──stop──▶ draining ──▶ ended
 *      ▲                      │
 *      └───────backoff────────┘  it died and nobody asked it to
 *
 * The two talk over the channel that Node gives a forked process. When the main process is gone the channel closes, and the
 * edge drains and ends: nobody would count its clicks.
 */
import { fork, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { setTimeout as delay } from 'node:timers/promises'

import { childEnvironment, type Environment } from '#config'
import type { LogLines } from '#platform/log-lines'

/** What the edge tells the main process. */
export type EdgeMessage =
  | { readonly kind: 'listening'; readonly port: number }
  /** It could not start; said once, before it ends with exit code 1. */
  | { readonly kind: 'failed'; readonly message: string }

/** What the main process tells the edge. */
export type MainMessage = { readonly kind: 'stop' }

export type EdgeProcess = {
  /** Port that it listens on; the same after a restart. */
  readonly port: number
  /** Process id; 0 while it is being started again. */
  readonly pid: number
  /** Lets it answer what it has accepted, then ends it; at the latest after ten seconds. Safe to call twice. */
  stop(): Promise<void>
}

const RESTART_DELAY_MS_MIN = 100
const RESTART_DELAY_MS_MAX = 5_000
/** An edge that lived this long was well: the next restart is quick again. */
const HEALTHY_AFTER_MS = 10_000
const DRAIN_MS = 10_000

/** Starts the edge and keeps it running.
 * @param program file and arguments of the edge's process
 * @param environment what it sees differently from us
 * @throws {Error} it cannot start, with its own words
 */
export async function startEdgeProcess(options: {
  readonly program: readonly [file: string, ...args: string[]]
  readonly environment: Environment
  readonly logLines: LogLines
}): Promise<EdgeProcess> {
  const { logLines } = options
  const stopAsked = new AbortController()
  let edge = forkEdge(options.program, options.environment)
  const port = await untilListening(edge)
  const samePort = { ...options.environment, WAYPOST_EDGE_PORT: String(port) }
  let isUp = true

  async function restartWhenItDies(): Promise<void> {
    let delayMs = RESTART_DELAY_MS_MIN
    while (true) {
      const startedAt = performance.now()
      if (!hasEnded(edge)) await once(edge, 'exit')
      isUp = false
      if (stopAsked.signal.aborted) return
      if (performance.now() - startedAt > HEALTHY_AFTER_MS) delayMs = RESTART_DELAY_MS_MIN
      logLines.error(
        { exit_code: edge.exitCode, signal: edge.signalCode },
        'The edge ended by itself; starting it again',
      )
      try {
        await delay(delayMs, undefined, { signal: stopAsked.signal })
        edge = forkEdge(options.program, samePort)
        await untilListening(edge)
        isUp = true
        logLines.info({ pid: edge.pid }, 'The edge is back')
      } catch (cause) {
        if (!stopAsked.signal.aborted) logLines.error({ err: cause }, 'The edge did not start; trying again')
      }
      delayMs = Math.min(delayMs * 2, RESTART_DELAY_MS_MAX)
    }
  }
  const supervision = restartWhenItDies()

  async function stop(): Promise<void> {
    stopAsked.abort()
    if (!hasEnded(edge)) await drain(edge, logLines)
    await supervision
  }
  let stopped: Promise<void> | undefined
  return {
    port,
    get pid() {
      return isUp ? (edge.pid ?? 0) : 0
    },
    stop: () => (stopped ??= stop()),
  }
}

function forkEdge([file, ...args]: readonly [string, ...string[]], environment: Environment): ChildProcess {
  return fork(file, args, { env: childEnvironment(environment), stdio: ['ignore', 'inherit', 'inherit', 'ipc'] })
}

function untilListening(edge: ChildProcess): Promise<number> {
  return new Promise((resolve, reject) => {
    edge.on('error', reject)
    edge.on('message', (message: EdgeMessage) => {
      if (message.kind === 'listening') resolve(message.port)
      else reject(new Error(message.message))
    })
    edge.on('exit', (code, signal) => reject(new Error(`The edge ended while it started (${signal ?? code}).`)))
  })
}

async function drain(edge: ChildProcess, logLines: LogLines): Promise<void> {
  const ended = once(edge, 'exit')
  if (edge.connected) edge.send({ kind: 'stop' } satisfies MainMessage)
  const deadline = setTimeout(() => {
    logLines.error({}, 'The edge did not drain in time; it is ended')
    edge.kill('SIGKILL')
  }, DRAIN_MS)
  await ended
  clearTimeout(deadline)
}

const hasEnded = (edge: ChildProcess): boolean => edge.exitCode !== null || edge.signalCode !== null
