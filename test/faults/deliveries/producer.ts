import { fork, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { closeSync, openSync } from 'node:fs'
import { join } from 'node:path'
import type { ProducerInput } from './producer-process.ts'
import { readProduction, type Production } from './production-journal.ts'

/** Who makes conversions; comes back by itself after a kill. */
export type Producer = {
  readonly kill: () => void
  /** Resolves when it has made its total. */
  readonly done: Promise<void>
  /** Lets it finish its batch; everything asked for is then acknowledged. */
  readonly stop: () => Promise<Production>
  readonly production: () => Production
  /** SIGKILL and no new start. */
  readonly abandon: () => Promise<void>
}

export function startProducer(input: ProducerInput, logDir: string): Producer {
  const done = Promise.withResolvers<void>()
  // Whoever waits for it hears of it; whoever does not will when it is stopped.
  done.promise.catch(() => undefined)
  let isStopping = false
  let isAbandoned = false
  let child = start()

  function start(): ChildProcess {
    const log = openSync(join(logDir, 'producer.log'), 'a')
    const started = fork(new URL('./producer-process.ts', import.meta.url), [JSON.stringify(input)], {
      stdio: ['ignore', log, log, 'ipc'],
    })
    closeSync(log)
    // It is gone before it took the news: then there is nothing to stop.
    started.on('error', () => undefined)
    started.once('exit', (code) => {
      if (code === 0 || isAbandoned) return done.resolve()
      if (code !== null) return done.reject(new Error(`the producer ended with ${code}: producer.log says why`))
      child = start()
      if (isStopping) child.send('stop')
    })
    return started
  }
  return {
    kill: () => void child.kill('SIGKILL'),
    done: done.promise,
    stop: async () => {
      isStopping = true
      if (child.connected) child.send('stop')
      await done.promise
      return readProduction(input.journalFile)
    },
    production: () => readProduction(input.journalFile),
    abandon: async () => {
      isAbandoned = true
      if (child.exitCode === null && child.signalCode === null) {
        child.kill('SIGKILL')
        await once(child, 'exit')
      }
    },
  }
}
