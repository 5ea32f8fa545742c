import { fork, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { childEnvironment } from '#config'

/** Questions that a process of the bench answers, by name; answers may be typed arrays. */
type Answers = Readonly<Record<string, (input: never) => unknown>>
type Question = { readonly id: number; readonly name: string; readonly input: unknown }
type Reply = { readonly id: number; readonly answer?: unknown; readonly error?: string }

/** A process of the bench that is asked again and again. */
export type AnsweringProcess<Asked extends Answers> = {
  readonly pid: number
  /** @throws {Error} what the process threw, or that it ended */
  readonly ask: <Name extends keyof Asked & string>(
    name: Name,
    ...input: Parameters<Asked[Name]>
  ) => Promise<Awaited<ReturnType<Asked[Name]>>>
  /** Ends it; safe to call twice. */
  readonly stop: () => Promise<void>
}

export type ProcessOptions = {
  /** Added to the environment. */
  readonly env?: Readonly<Record<string, string>>
}

/** Starts a module that calls `answerParent` as a process of its own. */
export function startAnswering<Asked extends Answers>(
  moduleUrl: URL,
  { env = {} }: ProcessOptions = {},
): AnsweringProcess<Asked> {
  const child = fork(moduleUrl, [], {
    stdio: ['ignore', 'ignore', 'inherit', 'ipc'],
    serialization: 'advanced',
    env: childEnvironment(env),
  })
  const open = new Map<number, PromiseWithResolvers<unknown>>()
  let asked = 0
  child.on('message', ({ id, answer, error }: Reply) => {
    const question = open.get(id)!
    open.delete(id)
    if (error === undefined) question.resolve(answer)
    else question.reject(new Error(error))
  })
  child.on('exit', (code, signal) => {
    for (const question of open.values())
      question.reject(new Error(`a process of the bench ended (${code ?? signal}) before it answered`))
    open.clear()
  })
  return {
    pid: child.pid!,
    ask: (name, ...[input]) => {
      const question = Promise.withResolvers<unknown>()
      const id = (asked += 1)
      open.set(id, question)
      child.send({ id, name, input } satisfies Question)
      return question.promise as never
    },
    stop: () => stopProcess(child),
  }
}

async function stopProcess(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return
  const exited = once(child, 'exit')
  if (child.connected) child.disconnect()
  await exited
}

/** Answers the parent's questions until it hangs up, then ends the process. */
export function answerParent(answers: Answers): void {
  process.on('message', ({ id, name, input }: Question) => {
    void Promise.try(answers[name]!, input as never).then(
      (answer) => reply({ id, answer }),
      (error: unknown) => reply({ id, error: error instanceof Error ? (error.stack ?? error.message) : String(error) }),
    )
  })
  process.on('disconnect', () => process.exit(0))
}

const reply = (message: Reply): void => void process.send?.(message)
