import { spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { createWriteStream, type WriteStream } from 'node:fs'

/** A process that is started again whenever it ends, as systemd would do. */
export type SupervisedProcess = {
  readonly name: string
  /** undefined between an end and the next start. */
  readonly pid: () => number | undefined
  /** SIGKILL; it comes back by itself. @returns whether there was a process to kill; a paused one is left alone */
  readonly kill: () => boolean
  /** SIGSTOP for a while: to everyone else it looks dead, then it goes on where it was. */
  readonly pause: () => boolean
  readonly resume: () => void
  /** SIGTERM and no new start. @returns exit code; null after a signal */
  readonly stop: () => Promise<number | null>
  readonly startCount: () => number
}

export type SupervisedOptions = {
  readonly name: string
  readonly command: string
  readonly args: readonly string[]
  readonly env: NodeJS.ProcessEnv
  readonly cwd: string
  readonly logFile: string
  readonly restartDelayMs: number
}

/** A stop that takes longer than this is a finding, not something to wait for. */
const STOP_MS_MAX = 30_000

export function superviseProcess(options: SupervisedOptions): SupervisedProcess {
  const output: WriteStream = createWriteStream(options.logFile, { flags: 'a' })
  let child: ChildProcess | undefined
  let starts = 0
  let isStopping = false
  let isPaused = false
  let restart: NodeJS.Timeout | undefined

  const start = (): void => {
    starts += 1
    const started = spawn(options.command, [...options.args], {
      cwd: options.cwd,
      env: options.env,
      stdio: ['ignore', 'pipe', 'pipe'],
    })
    child = started
    started.stdout.pipe(output, { end: false })
    started.stderr.pipe(output, { end: false })
    started.once('exit', () => {
      child = undefined
      isPaused = false
      if (!isStopping) restart = setTimeout(start, options.restartDelayMs)
    })
  }
  const signal = (name: NodeJS.Signals): boolean => child?.kill(name) ?? false
  start()
  return {
    name: options.name,
    pid: () => child?.pid,
    kill: () => !isPaused && signal('SIGKILL'),
    pause: () => (isPaused = signal('SIGSTOP')),
    resume: () => {
      signal('SIGCONT')
      isPaused = false
    },
    startCount: () => starts,
    stop: async () => {
      isStopping = true
      clearTimeout(restart)
      const stopping = child
      if (stopping === undefined) return null
      const exited = once(stopping, 'exit') as Promise<[number | null]>
      // A stopped process would take the signal only after it goes on.
      stopping.kill('SIGCONT')
      stopping.kill('SIGTERM')
      const giveUp = setTimeout(() => stopping.kill('SIGKILL'), STOP_MS_MAX)
      const [code] = await exited
      clearTimeout(giveUp)
      return code
    },
  }
}
