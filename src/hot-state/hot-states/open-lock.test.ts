import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { setImmediate } from 'node:timers/promises'
import { test } from 'node:test'
import { withTempDir } from '#test-kit'
import { CommitGate, openLock, whileLocked } from './open-lock.ts'

/** Opens once and tells when it has. */
const OPENER = `
  const { whileLocked } = await import(process.argv[1])
  process.stdout.write('waits\\n')
  whileLocked(process.argv[2], () => undefined)
  process.stdout.write('opened\\n')`

async function startOpener(directory: string): Promise<{ readonly opened: Promise<unknown> }> {
  const module = new URL('./open-lock.ts', import.meta.url).href
  const child = spawn(process.execPath, ['--input-type=module', '-e', OPENER, module, directory], {
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  await once(child.stdout, 'data')
  return { opened: once(child.stdout, 'data') }
}

test('nobody opens while a commit is under way', async (t) => {
  const directory = withTempDir(t)
  const gate = new CommitGate(openLock(directory))
  t.after(() => gate.close())
  const committed = Promise.withResolvers<void>()
  const commit = gate.run(() => committed.promise)
  const opener = await startOpener(directory)
  let isOpened = false
  const opened = opener.opened.then(() => (isOpened = true))
  for (let turn = 0; turn < 100; turn++) await setImmediate()
  assert.equal(isOpened, false)
  committed.resolve()
  await commit
  await opened
})

test('commits that overlap without end leave a turn to who wants to open', async (t) => {
  const directory = withTempDir(t)
  const gate = new CommitGate(openLock(directory))
  t.after(() => gate.close())
  let isOpened = false
  const commitOn = async (): Promise<void> => {
    while (!isOpened) await gate.run(() => setImmediate())
  }
  const commits = [commitOn(), commitOn(), commitOn()]
  const opener = await startOpener(directory)
  await opener.opened
  isOpened = true
  await Promise.all(commits)
})

test('a commit that fails lets others on', async (t) => {
  const directory = withTempDir(t)
  const gate = new CommitGate(openLock(directory))
  t.after(() => gate.close())
  await assert.rejects(
    gate.run(() => Promise.reject(new Error('disk'))),
    /disk/,
  )
  assert.equal(
    whileLocked(directory, () => 'opened'),
    'opened',
  )
})
