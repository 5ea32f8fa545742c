import { spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { readSync, writeSync } from 'node:fs'
import type { TestContext } from 'node:test'
import { isMainThread, Worker, workerData } from 'node:worker_threads'
import { newClickId } from '#platform/ids'
import type { Cap } from '../../cap.ts'
import { compileCaps } from '../../compile-caps.ts'
import { openSqliteCapState } from '../sqlite.ts'

/** Clicks of a process of its own, for tests: each of its threads reserves over and over and acknowledges what it was given. */
export type TestClicks = {
  readonly directory: string
  readonly caps: readonly Cap[]
  readonly at: number
  readonly threads: number
  /** Of the first thread; the others try as often, or until they are ended. */
  readonly tries: number
  /** The process kills itself when its second thread has tried so often, whatever the first is doing then. */
  readonly killAtTry?: number
  /** The first thread ends the process so after its tries, or the others and tries as often again, while these settle batch after
   * batch: they are inside of a transaction nearly all the time.
   */
  readonly ending?: 'exit' | 'throw' | 'terminate'
}

type ThreadStart = { readonly clicks: TestClicks; readonly begin: Int32Array }

const CLICKS = 'clicks'
const ACKNOWLEDGED = 'r'
const READY = '!'

/** Starts a process that waits, ready, until its `stdin` is written to. */
export function startTestClicks(t: TestContext, clicks: TestClicks): ChildProcess {
  const child = spawn(process.execPath, [import.meta.filename, CLICKS, JSON.stringify(clicks)], {
    stdio: ['pipe', 'pipe', clicks.ending === 'throw' ? 'ignore' : 'inherit'],
  })
  t.after(() => child.kill('SIGKILL'))
  return child
}

/** Lets all begin when the last is ready, and waits for their ends.
 * @returns reservations that each process had acknowledged by its end
 */
export async function runTogether(children: readonly ChildProcess[]): Promise<readonly number[]> {
  let waiting = children.length
  const countOf = async (child: ChildProcess): Promise<number> => {
    const exit = once(child, 'exit')
    let text = ''
    for await (const chunk of child.stdout!) {
      const wasReady = text.includes(READY)
      text += String(chunk)
      if (!wasReady && text.includes(READY) && --waiting === 0) for (const one of children) one.stdin!.write('go\n')
    }
    await exit
    return text.split(ACKNOWLEDGED).length - 1
  }
  return Promise.all(children.map(countOf))
}

/** @param beforehand called when the state is open */
function reserveAll({ clicks }: ThreadStart, beforehand: () => void, killAtTry?: number): void {
  const { directory, caps, at } = clicks
  const state = openSqliteCapState({ directory })
  beforehand()
  const keys = compileCaps(caps, 'UTC').keysOfClick({}, at)
  for (let tries = 0; tries < clicks.tries; tries++) {
    if (tries === killAtTry) process.kill(process.pid, 'SIGKILL')
    if (state.reserve(newClickId(at), at, keys).kind === 'reserved') acknowledge()
  }
  void state.close()
}

/** A pipe takes few small writes at once, and says so where the reader is slow. */
function acknowledge(): void {
  for (;;) {
    try {
      writeSync(1, ACKNOWLEDGED)
      return
    } catch (error) {
      if (!(error instanceof Error && 'code' in error && error.code === 'EAGAIN')) throw error
    }
  }
}

function settleForEver({ clicks }: ThreadStart, beforehand: () => void): void {
  const { directory, caps, at } = clicks
  const state = openSqliteCapState({ directory })
  beforehand()
  const clickId = newClickId(at)
  const keys = compileCaps(caps, 'UTC').keysOfConversion({}, at, { payoutMicros: 1, revenueMicros: 1 })
  const conversions = Array.from({ length: 200 }, (_, index) => String(index))
  for (let revision = 1; ; revision++) {
    const counts = revision % 2 === 0
    state.settle(
      conversions.map((conversionId) => ({ conversionId, clickId, revision, at, counts, keys, whenOver: 'count' })),
    )
  }
}

/** Two words that all threads share. */
const BEGIN = 0
const WAITING = 1

/** Opens the state and waits until the first thread says begin. */
function waitForBegin(begin: Int32Array): void {
  Atomics.add(begin, WAITING, 1)
  Atomics.notify(begin, WAITING)
  Atomics.wait(begin, BEGIN, 0)
}

function sayBegin(begin: Int32Array, waiting: number): void {
  for (let count = Atomics.load(begin, WAITING); count < waiting; count = Atomics.load(begin, WAITING))
    Atomics.wait(begin, WAITING, count)
  writeSync(1, READY)
  // One byte of any text; the pipe stays open, so the thread sleeps until it comes.
  readSync(0, Buffer.alloc(1))
  Atomics.store(begin, BEGIN, 1)
  Atomics.notify(begin, BEGIN)
}

async function runThreads(clicks: TestClicks): Promise<void> {
  const begin = new Int32Array(new SharedArrayBuffer(2 * Int32Array.BYTES_PER_ELEMENT))
  const start: ThreadStart = { clicks, begin }
  const workers = Array.from(
    { length: clicks.threads - 1 },
    () => new Worker(import.meta.filename, { workerData: start }),
  )
  await Promise.all(workers.map((worker) => once(worker, 'online')))
  reserveAll(start, () => sayBegin(begin, workers.length))
  if (clicks.ending === 'exit') process.exit(0)
  if (clicks.ending === 'throw') throw new Error('The end that the test asked for.')
  if (clicks.ending !== 'terminate') return
  for (const worker of workers) worker.on('error', () => {})
  await Promise.all(workers.map((worker) => worker.terminate()))
  reserveAll(start, () => {})
}

if (!isMainThread && workerData !== null) {
  const start = workerData as ThreadStart
  const beforehand = (): void => waitForBegin(start.begin)
  if (start.clicks.ending === undefined) reserveAll(start, beforehand, start.clicks.killAtTry)
  else settleForEver(start, beforehand)
} else if (process.argv[2] === CLICKS) {
  await runThreads(JSON.parse(process.argv[3]!) as TestClicks)
}
