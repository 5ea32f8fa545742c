import { fork, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'

/** A process of the bench that told its port. */
export type ServerProcess = { readonly port: number; readonly pid: number; readonly stop: () => Promise<void> }

/** Starts a module as a process of its own and waits until it sends `{ port }`.
 * @throws {Error} it ended without telling a port
 */
export async function startServerProcess(moduleUrl: URL, args: readonly string[] = []): Promise<ServerProcess> {
  const child = fork(moduleUrl, args, { stdio: ['ignore', 'ignore', 'inherit', 'ipc'] })
  const message = await firstMessage<{ port: number }>(child)
  return { port: message.port, pid: child.pid!, stop: () => stopProcess(child) }
}

/** Runs a module as a process of its own with `input` and returns the one message that it answers with. */
export async function runProcess<Answer>(moduleUrl: URL, input: object): Promise<Answer> {
  const child = fork(moduleUrl, [], { stdio: ['ignore', 'ignore', 'inherit', 'ipc'] })
  child.send(input)
  const answer = await firstMessage<Answer>(child)
  await stopProcess(child)
  return answer
}

async function firstMessage<Message>(child: ChildProcess): Promise<Message> {
  const gone = once(child, 'exit').then(([code]) => {
    throw new Error(`a process of the bench ended with ${String(code)} before it answered`)
  })
  const [message] = (await Promise.race([once(child, 'message'), gone])) as [Message]
  // The exit that follows a stop is expected: nobody waits for it any more.
  gone.catch(() => undefined)
  return message
}

async function stopProcess(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return
  const exited = once(child, 'exit')
  if (child.connected) child.disconnect()
  else child.kill('SIGTERM')
  await exited
}
