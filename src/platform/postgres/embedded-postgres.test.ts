import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { test, type TestContext } from 'node:test'

import { createLogLines } from '#platform/log-lines'
import { createPool, findRunningPostgres, startEmbeddedPostgres, type EmbeddedPostgres } from '#platform/postgres'
import { isStillRunning, markOf } from '#platform/processes'
import { withTempDir } from '#test-kit'

const logLines = createLogLines('test', 'silent')

async function startServer(t: TestContext, dataDir: string): Promise<EmbeddedPostgres> {
  const server = await startEmbeddedPostgres({
    dataDir,
    password: "it's 100% secret",
    logLines,
    settings: { fsync: 'off' },
  })
  t.after(() => server.stop())
  return server
}

async function ask(url: string, sql: string): Promise<unknown> {
  const pool = createPool(url, { max: 1 })
  try {
    return (await pool.query(sql)).rows[0]
  } finally {
    await pool.end()
  }
}

test('starts, keeps its data over a stop, and leaves no process', async (t) => {
  const dataDir = join(withTempDir(t), 'postgres')
  const first = await startServer(t, dataDir)
  const mark = markOf(first.pid)!
  await ask(first.url, 'CREATE TABLE kept AS SELECT 42 AS answer')
  await first.stop()
  assert.equal(isStillRunning(mark), false)
  const second = await startServer(t, dataDir)
  assert.deepEqual(await ask(second.url, 'SELECT answer FROM kept'), { answer: 42 })
})

test('asks for the password and listens on loopback only', async (t) => {
  const server = await startServer(t, join(withTempDir(t), 'postgres'))
  const wrong = new URL(server.url)
  wrong.password = 'wrong'
  await assert.rejects(ask(wrong.href, 'SELECT 1'), /password authentication failed/)
  assert.deepEqual(await ask(server.url, `SELECT current_setting('listen_addresses') AS listen`), {
    listen: '127.0.0.1',
  })
})

test('flushes every commit to the disk unless told otherwise', async (t) => {
  const server = await startEmbeddedPostgres({ dataDir: join(withTempDir(t), 'postgres'), password: 'p', logLines })
  t.after(() => server.stop())
  const settings = `SELECT current_setting('fsync') AS fsync, current_setting('synchronous_commit') AS commit, current_setting('full_page_writes') AS pages`
  assert.deepEqual(await ask(server.url, settings), { fsync: 'on', commit: 'on', pages: 'on' })
})

test('comes back at the same address when it is killed', async (t) => {
  const server = await startServer(t, join(withTempDir(t), 'postgres'))
  await ask(server.url, 'CREATE TABLE kept AS SELECT 1 AS n')
  const killed = markOf(server.pid)!
  process.kill(killed.pid, 'SIGKILL')
  await untilTrue(async () => server.pid !== 0 && server.pid !== killed.pid)
  assert.deepEqual(await ask(server.url, 'SELECT n FROM kept'), { n: 1 })
})

test('a second start on the same directory is refused while the first runs', async (t) => {
  const dataDir = join(withTempDir(t), 'postgres')
  const server = await startServer(t, dataDir)
  await assert.rejects(startServer(t, dataDir), new RegExp(`is run by process ${process.pid}`))
  assert.deepEqual(findRunningPostgres(dataDir, "it's 100% secret"), { url: server.url, owner: process.pid })
  await server.stop()
  assert.equal(findRunningPostgres(dataDir, 'x'), undefined)
})

test('stops the server that a killed run left behind', async (t) => {
  const dataDir = join(withTempDir(t), 'postgres')
  const script = `import { startEmbeddedPostgres } from '#platform/postgres'
    import { createLogLines } from '#platform/log-lines'
    const server = await startEmbeddedPostgres({ dataDir: process.argv[1], password: "it's 100% secret", logLines: createLogLines('test', 'silent') })
    console.log(server.pid)
    setInterval(() => undefined, 1000)`
  const run = spawn(process.execPath, ['--input-type=module', '--eval', script, dataDir], {
    cwd: new URL('../../..', import.meta.url),
  })
  const [line] = (await once(run.stdout, 'data')) as [Buffer]
  const leftOver = markOf(Number(line.toString()))!
  run.kill('SIGKILL')
  await once(run, 'exit')
  assert.equal(isStillRunning(leftOver), true)
  const server = await startServer(t, dataDir)
  assert.equal(isStillRunning(leftOver), false)
  assert.deepEqual(await ask(server.url, 'SELECT 1 AS n'), { n: 1 })
})

test('a set-up that was cut off is made again', async (t) => {
  const dataDir = join(withTempDir(t), 'postgres')
  const first = await startServer(t, `${dataDir}.new`)
  await first.stop()
  await startServer(t, dataDir)
  assert.equal(existsSync(`${dataDir}.new`), false)
})

test('a cluster of another major version is refused with what to do', async (t) => {
  const dataDir = join(withTempDir(t), 'postgres')
  const first = await startServer(t, dataDir)
  await first.stop()
  writeFileSync(join(dataDir, 'PG_VERSION'), '15\n')
  await assert.rejects(startServer(t, dataDir), /was made by PostgreSQL 15, this installation has 18/)
})

async function untilTrue(condition: () => Promise<boolean>): Promise<void> {
  const deadline = performance.now() + 20_000
  while (!(await condition())) {
    if (performance.now() > deadline) throw new Error('it did not happen within 20 s')
    await new Promise((resolve) => setTimeout(resolve, 20))
  }
}
