import { isMainThread } from 'node:worker_threads'

/** Keeps threads from being ended in the middle of a transaction.
 *
 * A thread that another one ends (`process.exit`, an uncaught error, `worker.terminate`) stops between two steps of its JavaScript,
 * and lmdb-js then waits for ever on a lock of its own, with the lock of all processes of the machine in its hand. A kill is no
 * such end: the kernel gives the lock to the next. So before threads are ended the gate is closed, and who is inside comes out.
 */
export type CapGate = SharedArrayBuffer

const CLOSED = 0
const INSIDE = 1

/** A transaction takes microseconds, and a step of sweeping some milliseconds. */
const WAIT_MS_MAX = 2_000

/** Made by the first thread of a process and given to the others. Closes by itself when the process ends.
 * @throws {Error} not the first thread
 */
export function createCapGate(): CapGate {
  const gate = gateOfOnlyThread()
  process.once('exit', () => closeCapGate(gate))
  return gate
}

/** For a process whose first thread alone opens the state: nobody ends that one in the middle of its own work.
 * @throws {Error} not the first thread
 */
export function gateOfOnlyThread(): CapGate {
  if (!isMainThread) throw new Error('The first thread of a process makes the gate of the caps for all of them.')
  return new SharedArrayBuffer(2 * Int32Array.BYTES_PER_ELEMENT)
}

/** Lets nobody in any more and waits until all are out; who comes then gets an error. To be called before `worker.terminate`.
 *
 * Kills the process where somebody stays inside for two seconds: that is the one end that harms no other process.
 */
export function closeCapGate(gate: CapGate): void {
  const state = new Int32Array(gate)
  Atomics.store(state, CLOSED, 1)
  const giveUpAt = performance.now() + WAIT_MS_MAX
  for (let inside = Atomics.load(state, INSIDE); inside > 0; inside = Atomics.load(state, INSIDE)) {
    if (performance.now() > giveUpAt) process.kill(process.pid, 'SIGKILL')
    Atomics.wait(state, INSIDE, inside, 1)
  }
}

/** Runs work as one who is inside. @throws {Error} the gate is closed */
export function passGate<T>(state: Int32Array, work: () => T): T {
  Atomics.add(state, INSIDE, 1)
  try {
    if (Atomics.load(state, CLOSED) === 1) throw new Error('The caps are closed, because this process ends.')
    return work()
  } finally {
    Atomics.sub(state, INSIDE, 1)
  }
}
