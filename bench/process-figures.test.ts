import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync } from 'node:fs'
import { test } from 'node:test'
import { measureProcessTree, processorMicros } from './process-figures.ts'

const isLinux = existsSync('/proc/self/smaps_rollup')

test(
  'the memory of a process tree has a line for each descendant',
  { skip: isLinux ? false : 'no /proc here' },
  async (t) => {
    const child = spawn('sh', ['-c', 'sleep 30 & echo up; wait'], {
      stdio: ['ignore', 'pipe', 'ignore'],
      detached: true,
    })
    t.after(() => process.kill(-child.pid!, 'SIGKILL'))
    await once(child.stdout, 'data')
    const processes = measureProcessTree(child.pid!)
    assert.equal(processes.length, 2)
    assert.ok(processes.some(({ command }) => command === 'sleep 30'))
    assert.ok(processes.every(({ pss_bytes }) => pss_bytes > 0 && pss_bytes < 50_000_000))
  },
)

test('processor time grows with work', { skip: isLinux ? false : 'no /proc here' }, () => {
  const before = processorMicros(process.pid)!
  for (const end = performance.now() + 60; performance.now() < end;) Math.sqrt(Math.random())
  const used = processorMicros(process.pid)! - before
  assert.ok(used >= 20_000 && used < 1_000_000, `${used} µs`)
  assert.equal(processorMicros(2 ** 22 + 1), undefined)
})
