import assert from 'node:assert/strict'
import { once } from 'node:events'
import { mkdirSync, rmdirSync, truncateSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { Worker } from 'node:worker_threads'
import { withTempDir } from '#test-kit'
import { readSharedFile, shareFile } from './shared-file.ts'

/** A thread that reads the file it is given and answers with a sum over its bytes. */
const READER = `
  import { parentPort, workerData } from 'node:worker_threads'
  const { readSharedFile } = await import(workerData.module)
  parentPort.postMessage(readSharedFile(workerData.file).reduce((sum, byte) => sum + byte, 0))`

const readInThread = async (file: unknown): Promise<unknown> => {
  const module = new URL('./shared-file.ts', import.meta.url).href
  const worker = new Worker(new URL(`data:text/javascript,${encodeURIComponent(READER)}`), {
    workerData: { file, module },
  })
  const [sum] = (await once(worker, 'message')) as [unknown]
  return sum
}

test('is read once, by whichever thread comes first, and seen by all', async (t) => {
  const path = join(withTempDir(t), 'a.bin')
  writeFileSync(path, Buffer.alloc(3_000_000, 1))
  const file = shareFile(path)
  const sums = await Promise.all([readInThread(file), readInThread(file), readInThread(file)])
  assert.deepEqual(sums, [3_000_000, 3_000_000, 3_000_000])
  // Nobody looks at the disk again.
  writeFileSync(path, Buffer.alloc(3_000_000, 2))
  assert.equal(readSharedFile(file)[2_999_999], 1)
})

test('that cannot be read says so to each who asks, and is read when it can be', (t) => {
  const path = join(withTempDir(t), 'a.bin')
  writeFileSync(path, 'abc')
  const file = shareFile(path)
  truncateSync(path, 1)
  for (let attempt = 0; attempt < 2; attempt++) assert.throws(() => readSharedFile(file), /a\.bin has become shorter/)
  writeFileSync(path, 'xyz')
  assert.equal(readSharedFile(file).toString(), 'xyz')
  const folder = join(withTempDir(t), 'folder')
  mkdirSync(folder)
  const directory = shareFile(folder)
  rmdirSync(folder)
  assert.throws(() => readSharedFile(directory), { code: 'ENOENT' })
})
