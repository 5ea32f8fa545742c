import { fork, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { closeSync, openSync } from 'node:fs'
import { join } from 'node:path'
import { childEnvironment } from '#config'
import { epochMs } from './latencies.ts'
import type { WorkerInput, WorkerReport } from './worker-process.ts'

/** One life of a worker process: a new start is a new one, with an address of its own. */
export type WorkerLife = {
  /** Where it connects to: tells the receiver, and the attempts on record, which life it was. */
  readonly address: string
  readonly pid: number
  readonly fate: () => 'running' | 'killed' | 'stopped'
  /** When it was killed, milliseconds since the epoch; Infinity: it was not. */
  readonly killedAt: () => number
  /** Resolves when it delivers. */
  readonly ready: Promise<void>
  readonly report: () => Promise<WorkerReport>
  /** SIGKILL; resolves when the process is gone. */
  readonly kill: () => Promise<void>
  /** SIGSTOP: to everyone else it looks dead. */
  readonly pause: () => void
  readonly resume: () => void
  /** Its wall clock is off by so much from now on; needs shifting-clock.ts as its preload. */
  readonly setClock: (shiftMs: number) => void
  /** Lets it finish what is under way. @throws {Error} it did not end by itself in time */
  readonly stop: () => Promise<WorkerReport>
}

export type StartOptions = {
  readonly input: WorkerInput
  readonly logDir: string
  /** Another copy of worker-process.ts, in another revision. */
  readonly module?: URL
  /** Imported before anything else. */
  readonly preload?: URL
  /** Added to the environment. */
  readonly env?: Readonly<Record<string, string>>
}

const STOP_MS_MAX = 30_000
const ANSWER_MS_MAX = 20_000

export function startWorkerLife({ input, logDir, module, preload, env = {} }: StartOptions): WorkerLife {
  const log = openSync(join(logDir, `worker-${input.address}.log`), 'a')
  const child = fork(module ?? new URL('./worker-process.ts', import.meta.url), [JSON.stringify(input)], {
    stdio: ['ignore', log, log, 'ipc'],
    env: childEnvironment(env),
    ...(preload === undefined ? {} : { execArgv: ['--import', preload.href] }),
  })
  closeSync(log)
  let fate: 'running' | 'killed' | 'stopped' = 'running'
  let killedAt = Number.POSITIVE_INFINITY
  const noteKilled = (): void => {
    fate = 'killed'
    killedAt = epochMs()
  }
  const gone = once(child, 'exit')
  const ask = askingOf(child)
  return {
    address: input.address,
    pid: child.pid!,
    fate: () => fate,
    killedAt: () => killedAt,
    ready: ask.ready,
    report: () => withDeadline(ask('report'), ANSWER_MS_MAX, `the worker at ${input.address} did not answer`),
    kill: async () => {
      noteKilled()
      child.kill('SIGKILL')
      await gone
    },
    pause: () => void child.kill('SIGSTOP'),
    resume: () => void child.kill('SIGCONT'),
    setClock: (shiftMs) => void child.send({ name: 'set clock', shiftMs }),
    stop: async () => {
      const failure = `the worker at ${input.address} did not stop within ${STOP_MS_MAX} ms`
      try {
        const report = await withDeadline(ask('stop'), STOP_MS_MAX, failure)
        fate = 'stopped'
        return report
      } catch (error) {
        noteKilled()
        child.kill('SIGKILL')
        throw error
      } finally {
        await gone
      }
    },
  }
}

type Ask = ((name: 'report' | 'stop') => Promise<WorkerReport>) & { readonly ready: Promise<void> }

/** Questions and answers by their numbers; number 0 is the news that it delivers. */
function askingOf(child: ChildProcess): Ask {
  const open = new Map<number, PromiseWithResolvers<WorkerReport>>()
  const ready = Promise.withResolvers<void>()
  // Whoever kills a worker before it was ready need not have waited for it.
  ready.promise.catch(() => undefined)
  let asked = 0
  child.on('message', ({ id, report }: { readonly id: number; readonly report: WorkerReport }) => {
    if (id === 0) return ready.resolve()
    open.get(id)?.resolve(report)
    open.delete(id)
  })
  child.once('exit', (code, signal) => {
    const gone = new Error(`a worker ended (${code ?? signal}) before it answered`)
    ready.reject(gone)
    for (const question of open.values()) question.reject(gone)
  })
  const ask = (name: 'report' | 'stop'): Promise<WorkerReport> => {
    const question = Promise.withResolvers<WorkerReport>()
    open.set((asked += 1), question)
    child.send({ id: asked, name }, (error) => void (error !== null && question.reject(error)))
    return question.promise
  }
  return Object.assign(ask, { ready: ready.promise })
}

async function withDeadline<Value>(work: Promise<Value>, ms: number, failure: string): Promise<Value> {
  const late = Promise.withResolvers<never>()
  const timer = setTimeout(() => late.reject(new Error(failure)), ms)
  try {
    return await Promise.race([work, late.promise])
  } finally {
    clearTimeout(timer)
  }
}
