import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync } from 'node:fs'
import { test } from 'node:test'
import { measureProcessTree, processorMicros, processorMicrosOfTree } from './process-figures.ts'

const isLinux = existsSync('/proc/self/smaps_rollup')

test(
  'the memory of a process tree has a line for each descendant',
  { skip: isLinux ? false : 'no /proc here' },
  async (t) => {
    const child = spawn('sh', ['-c', 'sleep 30 & while ! grep -q sleep /proc/$!/comm; do :; done; echo up; wait'], {
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
  // By the processor's time and not by the clock's: others may have the processor meanwhile.
  for (const start = process.cpuUsage(); process.cpuUsage(start).user < 60_000;) Math.sqrt(Math.random())
  const used = processorMicros(process.pid)! - before
  assert.ok(used >= 20_000, `${used} µs`)
  assert.equal(processorMicros(2 ** 22 + 1), undefined)
})

test(
  'the processor time of a tree has that of descendants, whether they are there or have ended',
  { skip: isLinux ? false : 'no /proc here' },
  async (t) => {
    const spin = 'i=0; while [ $i -lt 300000 ]; do i=$((i+1)); done'
    const child = spawn('sh', ['-c', `sh -c '${spin}'; sh -c '${spin}; echo up; read never' & wait`], {
      stdio: ['pipe', 'pipe', 'ignore'],
      detached: true,
    })
    t.after(() => process.kill(-child.pid!, 'SIGKILL'))
    await once(child.stdout, 'data')
    const own = processorMicros(child.pid!)!
    const all = processorMicrosOfTree(child.pid!)
    // Each loop takes more than 50 ms on any machine of today; the shell that only waits takes next to nothing.
    assert.ok(all - own > 60_000, `${own} µs of the shell, ${all} µs of all`)
    assert.equal(processorMicrosOfTree(2 ** 22 + 1), 0)
  },
)
