import assert from 'node:assert/strict'
import { test, type TestContext } from 'node:test'

import { createLogLines } from '#platform/log-lines'
import { createPool, type Pool } from '#platform/postgres'
import { withDatabase } from '#test-kit'

import { startWatchPage, type WatchPageOptions } from './watch-page.ts'

async function pageOf(t: TestContext, pool: Pool, more: Partial<WatchPageOptions> = {}): Promise<string> {
  const page = await startWatchPage({
    host: '127.0.0.1',
    port: 0,
    roles: ['delivery'],
    pool,
    snapshots: { current: () => undefined, isFresh: () => false },
    metrics: [],
    logLines: createLogLines('test', 'silent'),
    ...more,
  })
  t.after(() => page.stop())
  return `http://127.0.0.1:${page.port}`
}

const configured = { current: () => ({ version: 7 }) as never, isFresh: () => true }

async function read(url: string, method = 'GET'): Promise<readonly [number, string]> {
  const response = await fetch(url, { method })
  return [response.status, await response.text()]
}

test('is ready once it has a configuration and PostgreSQL answers', async (t) => {
  const { pool } = await withDatabase(t)
  const without = await pageOf(t, pool)
  assert.deepEqual(await read(`${without}/healthz`), [200, '{"status":"ok"}'])
  assert.equal((await read(`${without}/readyz`))[0], 503)
  const ready = await read(`${await pageOf(t, pool, { snapshots: configured })}/readyz`)
  assert.deepEqual(
    [ready[0], JSON.parse(ready[1])],
    [200, { status: 'ready', roles: ['delivery'], config_version: 7, is_config_fresh: true, is_database_up: true }],
  )
})

test('lives and is not ready while PostgreSQL is away', async (t) => {
  const pool = createPool('postgres://nobody@127.0.0.1:1/none', { max: 1, applicationName: 'test' })
  t.after(() => pool.end())
  const url = await pageOf(t, pool, { snapshots: configured })
  assert.equal((await read(`${url}/healthz`))[0], 200)
  const [status, text] = await read(`${url}/readyz`)
  assert.equal(status, 503)
  assert.equal(JSON.parse(text).is_database_up, false)
})

test('serves all metrics of the process and says what failed with a status alone', async (t) => {
  const { pool } = await withDatabase(t)
  const good = await pageOf(t, pool, { metrics: [() => 'a 1\n', () => Promise.resolve('b 2\n')] })
  assert.deepEqual(await read(`${good}/metrics`), [200, 'a 1\nb 2\n'])
  const bad = await pageOf(t, pool, { metrics: [() => Promise.reject(new Error('password=x'))] })
  assert.deepEqual(await read(`${bad}/metrics`), [500, '{"status":"failed"}'])
})

test('answers nothing else', async (t) => {
  const { pool } = await withDatabase(t)
  const url = await pageOf(t, pool)
  assert.equal((await read(`${url}/v1/notices`))[0], 404)
  assert.equal((await read(`${url}/metrics`, 'POST'))[0], 405)
  assert.deepEqual(await read(`${url}/healthz?x=1`, 'HEAD'), [200, ''])
})
