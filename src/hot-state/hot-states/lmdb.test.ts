import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { readdirSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { test } from 'node:test'
import { newClickId, type ClickId } from '#platform/ids'
import { withTempDir } from '#test-kit'
import { testHotState } from '../hot-state.conformance.ts'
import { openLmdbHotState } from './lmdb.ts'

testHotState({
  name: 'LMDB',
  makePlace: (t) => {
    const directory = join(withTempDir(t), 'hot-state')
    return { open: () => openLmdbHotState({ directory }) }
  },
})

const POSITION = { partition: 'edge-0', nextOffset: 1, appendedAt: 1_000 }

/** Writes clicks in a process of its own: for each id that comes in, one click, then a line out. */
const WRITER = `
  const { openLmdbHotState } = await import('#hot-state')
  const { createInterface } = await import('node:readline')
  const state = openLmdbHotState({ directory: process.argv[1] })
  for await (const clickId of createInterface({ input: process.stdin })) {
    await state.indexClicks([{ clickId, payload: Buffer.alloc(100_000, clickId) }], ${JSON.stringify(POSITION)})
    console.log('indexed')
  }`

test('a reader that started before the state exists finds what another process indexes, as soon as it is indexed', async (t) => {
  const directory = join(withTempDir(t), 'hot-state')
  const reader = openLmdbHotState({ directory, readOnly: true })
  assert.equal(reader.getClick(newClickId(1)), undefined)
  assert.equal(reader.indexPosition('edge-0'), undefined)

  const writer = spawn(process.execPath, ['--input-type=module', '--eval', WRITER, '--', directory], {
    stdio: ['pipe', 'pipe', 'inherit'],
  })
  t.after(() => writer.kill('SIGKILL'))
  const answers = createInterface({ input: writer.stdout })[Symbol.asyncIterator]()
  // Together larger than any first mapping of the file: the reader's mapping must grow with it.
  for (let count = 0; count < 50; count++) {
    const id: ClickId = newClickId(1_000 + count)
    assert.equal(reader.getClick(id), undefined)
    writer.stdin.write(`${id}\n`)
    await answers.next()
    assert.deepEqual(reader.getClick(id), Buffer.alloc(100_000, id))
  }
  assert.deepEqual(reader.indexPosition('edge-0'), { nextOffset: 1, appendedAt: 1_000 })
  writer.kill('SIGKILL')
  await once(writer, 'exit')
  await reader.close()

  const next = openLmdbHotState({ directory })
  await next.indexClicks([], { ...POSITION, nextOffset: 2 })
  assert.equal(next.indexPosition('edge-0')?.nextOffset, 2)
  await next.close()
})

test('a state that is open for reading only refuses to be written', async (t) => {
  const state = openLmdbHotState({ directory: withTempDir(t), readOnly: true })
  await assert.rejects(state.indexClicks([], POSITION))
  await assert.rejects(state.claim('signature', []))
  await assert.rejects(state.forgetBefore({ clicksBeforeMs: 0, claimsBeforeMs: 0 }))
  await state.close()
})

test('the directory and its files are open to their owner only', async (t) => {
  const directory = join(withTempDir(t), 'hot-state')
  const state = openLmdbHotState({ directory })
  assert.equal(statSync(directory).mode & 0o777, 0o700)
  for (const name of readdirSync(directory)) assert.equal(statSync(join(directory, name)).mode & 0o777, 0o600)
  await state.close()
})
