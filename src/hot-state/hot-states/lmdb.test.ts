import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { readdirSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { test } from 'node:test'
import { setImmediate } from 'node:timers/promises'
import { newClickId, type ClickId } from '#platform/ids'
import { runOnMount, withTempDir } from '#test-kit'
import { testHotState } from '../hot-state.conformance.ts'
import { openLmdbHotState } from './lmdb.ts'
import { openLock } from './open-lock.ts'

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

test('a click of 1.4 kB takes at most 2.2 kB of disk where clicks come in the order of their ids', async (t) => {
  const directory = join(withTempDir(t), 'hot-state')
  const state = openLmdbHotState({ directory })
  t.after(() => state.close())
  const count = 5_000
  const clicks = Array.from({ length: count }, (_, index) => ({
    clickId: newClickId(1_000 + index),
    payload: Buffer.alloc(1_400, 1),
  }))
  for (let from = 0; from < count; from += 1_000)
    await state.indexClicks(clicks.slice(from, from + 1_000), { ...POSITION, nextOffset: from })
  assert.ok(statSync(join(directory, 'data.mdb')).size / count <= 2_200)
})

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

test('a look-up does not wait for a commit that is under way when the state appears', async (t) => {
  const directory = join(withTempDir(t), 'hot-state')
  const reader = openLmdbHotState({ directory, readOnly: true })
  t.after(() => reader.close())
  const writer = openLmdbHotState({ directory })
  t.after(() => writer.close())
  const id = newClickId(1)
  await writer.indexClicks([{ clickId: id, payload: Buffer.of(1) }], POSITION)

  const lock = openLock(directory)
  t.after(() => lock.close())
  lock.take()
  // Nobody else runs while it is held: a look-up that waited would fail.
  assert.equal(reader.getClick(id), undefined)
  lock.release()
  while (reader.getClick(id) === undefined) await setImmediate()
  assert.deepEqual(reader.getClick(id), Buffer.of(1))
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

/** Fills a small file system with clicks until commits fail, then makes space. Nothing here handles a rejection that the state
 * left behind: one would end the process.
 */
const FILL = `
  const { openLmdbHotState } = await import('#hot-state')
  const { newClickId } = await import('#platform/ids')
  const { rmSync, writeFileSync } = await import('node:fs')
  const [directory, ballast] = process.argv.slice(1)
  let state = openLmdbHotState({ directory })
  writeFileSync(ballast, Buffer.alloc(3 << 20))
  const kept = []
  const add = async () => {
    const clicks = Array.from({ length: 100 }, () => ({ clickId: newClickId(Date.now()), payload: Buffer.alloc(500) }))
    const nextOffset = kept.length + clicks.length
    await state.indexClicks(clicks, { partition: 'edge-0', nextOffset, appendedAt: 1_000 })
    kept.push(...clicks.map(({ clickId }) => clickId))
  }
  const failures = []
  while (failures.length < 5) await add().catch((error) => failures.push(error))
  const full = { kept: kept.length, position: state.indexPosition('edge-0').nextOffset }
  rmSync(ballast)
  for (let count = 0; count < 5; count++) await add()
  await state.close()
  state = openLmdbHotState({ directory })
  const missing = kept.filter((id) => state.getClick(id) === undefined).length
  const reasons = failures.map(({ message, cause }) => [message, cause instanceof Error])
  console.log(JSON.stringify({ full, reasons, kept: kept.length, missing, position: state.indexPosition('edge-0').nextOffset }))`

test('a full disk fails the commit with its reason, keeps what was committed, and goes on when there is space', (t) => {
  const disk = withTempDir(t)
  const run = runOnMount(t, disk, { type: 'tmpfs', options: 'size=6m' }, [
    '--input-type=module',
    '--eval',
    FILL,
    '--',
    join(disk, 'hot-state'),
    join(disk, 'ballast'),
  ])
  if (run === undefined) return
  assert.equal(run.status, 0, run.stderr)
  const report = JSON.parse(run.stdout) as {
    readonly full: { readonly kept: number; readonly position: number }
    readonly reasons: readonly (readonly [message: string, hasCause: boolean])[]
    readonly kept: number
    readonly missing: number
    readonly position: number
  }
  assert.ok(report.full.kept > 0)
  assert.equal(report.full.position, report.full.kept)
  for (const [message, hasCause] of report.reasons) {
    assert.match(message, /^The hot state could not be written/)
    assert.ok(hasCause)
  }
  assert.equal(report.kept, report.full.kept + 500)
  assert.deepEqual([report.missing, report.position], [0, report.kept])
})
