import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'

import { holdPidFile, isStillRunning, markOf, pidFileHolder } from '#platform/processes'
import { withTempDir } from '#test-kit'

test('recognises a process until it has ended', async () => {
  const child = spawn('sleep', ['60'])
  await once(child, 'spawn')
  const mark = markOf(child.pid!)!
  assert.equal(isStillRunning(mark), true)
  child.kill('SIGKILL')
  await once(child, 'exit')
  assert.equal(isStillRunning(mark), false)
})

test('does not take a process for an earlier one with the same id', () => {
  const own = markOf(process.pid)!
  assert.equal(isStillRunning({ ...own, startedAt: '1' }), false)
})

test('a file is held until it is given back', (t) => {
  const file = join(withTempDir(t), 'owner')
  const first = holdPidFile(file)
  assert.equal(first.kind, 'held')
  assert.deepEqual(holdPidFile(file), { kind: 'busy', by: markOf(process.pid) })
  assert.deepEqual(pidFileHolder(file), markOf(process.pid))
  if (first.kind === 'held') first.release()
  assert.equal(existsSync(file), false)
  assert.equal(pidFileHolder(file), undefined)
})

for (const [what, content] of [
  ['of a process that has ended', JSON.stringify({ pid: process.pid, startedAt: '1' })],
  ['that was half written', '{"pid": 1'],
  ['that is empty', ''],
] as const) {
  test(`takes over a file ${what}`, (t) => {
    const file = join(withTempDir(t), 'owner')
    writeFileSync(file, content)
    assert.equal(holdPidFile(file).kind, 'held')
    assert.deepEqual(JSON.parse(readFileSync(file, 'utf8')), markOf(process.pid))
  })
}
