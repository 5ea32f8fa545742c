import assert from 'node:assert/strict'
import { spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { test, type TestContext } from 'node:test'
import { setTimeout as delay } from 'node:timers/promises'

const SCRIPT = `
  import { onStopRequest } from '#operations'
  const busy = setInterval(() => undefined, 1000)
  onStopRequest(() => process.stdout.write('stop\\n'), () => process.exit(7))
  process.stdout.write('ready\\n')`

async function startProcess(t: TestContext, withChannel: boolean): Promise<ChildProcess> {
  const child = spawn(process.execPath, ['--input-type=module', '--eval', SCRIPT], {
    cwd: new URL('../..', import.meta.url),
    stdio: withChannel ? ['ignore', 'pipe', 'inherit', 'ipc'] : ['ignore', 'pipe', 'inherit'],
  })
  t.after(() => child.kill('SIGKILL'))
  await once(child.stdout!, 'data')
  return child
}

for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
  test(`${signal} asks to stop`, async (t) => {
    const child = await startProcess(t, false)
    child.kill(signal)
    assert.equal(String((await once(child.stdout!, 'data'))[0]), 'stop\n')
  })
}

test('asks to stop when the process that started it is gone', async (t) => {
  const child = await startProcess(t, true)
  child.disconnect()
  assert.equal(String((await once(child.stdout!, 'data'))[0]), 'stop\n')
})

test('the same Ctrl-C that comes twice is one request; a later one ends the process', async (t) => {
  const child = await startProcess(t, false)
  child.kill('SIGINT')
  await once(child.stdout!, 'data')
  child.kill('SIGINT')
  // The wait is what is tested: a person who asks again, not npm passing on what the terminal has sent to us as well.
  await delay(1_200)
  assert.equal(child.exitCode, null)
  child.kill('SIGINT')
  assert.equal((await once(child, 'exit'))[0], 7)
})
