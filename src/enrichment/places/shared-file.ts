import { closeSync, openSync, readSync, statSync } from 'node:fs'

/** A file that several threads read and that is in memory once: the first thread that needs it reads it for all. Memory that
 * nobody has written to takes no space, so a file that nobody asks for costs nothing. Can be posted to a thread.
 */
export type SharedFile = {
  readonly path: string
  readonly bytes: SharedArrayBuffer
  /** One number, see UNREAD, READING and READ. */
  readonly state: Int32Array<SharedArrayBuffer>
}

const UNREAD = 0
const READING = 1
const READ = 2

/** Makes room for a file as large as it is now. @throws {Error} the file cannot be looked at */
export const shareFile = (path: string): SharedFile => ({
  path,
  bytes: new SharedArrayBuffer(statSync(path).size),
  state: new Int32Array(new SharedArrayBuffer(Int32Array.BYTES_PER_ELEMENT)),
})

/** The bytes of the file; waits while another thread reads them, about 40 ms per 70 MB.
 * @throws {Error} the file cannot be read, or has become shorter
 */
export function readSharedFile(file: SharedFile): Buffer {
  const { bytes, state } = file
  while (Atomics.load(state, 0) !== READ) {
    if (Atomics.compareExchange(state, 0, UNREAD, READING) === UNREAD) readForAll(file)
    else Atomics.wait(state, 0, READING)
  }
  return Buffer.from(bytes)
}

function readForAll({ path, bytes, state }: SharedFile): void {
  let result = UNREAD
  try {
    readWhole(path, new Uint8Array(bytes))
    result = READ
  } finally {
    Atomics.store(state, 0, result)
    Atomics.notify(state, 0)
  }
}

function readWhole(path: string, target: Uint8Array): void {
  const file = openSync(path, 'r')
  try {
    for (let at = 0; at < target.length;) {
      const count = readSync(file, target, at, target.length - at, at)
      if (count === 0) throw new Error(`${path} has become shorter.`)
      at += count
    }
  } finally {
    closeSync(file)
  }
}
