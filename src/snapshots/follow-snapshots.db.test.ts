import assert from 'node:assert/strict'
import { readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { test, type TestContext } from 'node:test'

import { systemClock } from '#platform/clock'
import { createLogLines } from '#platform/log-lines'
import type { Pool } from '#platform/postgres'
import type { LearnedOverlay, Snapshot } from '#routing'
import { withDatabase, withTempDir } from '#test-kit'
import { followSnapshots, type SnapshotFollower } from './follow-snapshots.ts'
import { writeSnapshotFile } from './snapshot-file.ts'

/** Nobody listens here: a database that is down. */
const DEAD_DATABASE = 'postgres://nobody@127.0.0.1:1/none'

const config = (version: number): Snapshot => ({
  version,
  created_at: `2026-01-01T00:00:0${version}.000Z`,
  advertisers: [],
  affiliates: [],
  offers: [],
  campaigns: [],
  links: [],
  endpoints: [],
})

async function publish(pool: Pool, snapshot: Snapshot, isAnnounced: boolean): Promise<void> {
  await pool.query(
    `INSERT INTO config_versions (version, snapshot, created_at, created_by, diff) VALUES ($1, $2, $3, 'test', '[]')`,
    [snapshot.version, snapshot, snapshot.created_at],
  )
  if (isAnnounced) await pool.query('NOTIFY waypost_config')
}

function follow(t: TestContext, cacheFile: string, databaseUrl?: string): SnapshotFollower {
  const logLines = createLogLines('test', 'silent')
  const follower = followSnapshots({
    ...(databaseUrl !== undefined && { databaseUrl }),
    cacheFile,
    logLines,
    clock: systemClock,
  })
  t.after(() => follower.stop())
  return follower
}

const nextChange = (follower: SnapshotFollower): Promise<Snapshot> =>
  new Promise((resolve) => {
    const stop = follower.onChange((snapshot) => {
      stop()
      resolve(snapshot)
    })
  })

test('takes the newest version from the database and keeps it on the disk for its owner only', async (t) => {
  const { pool, url } = await withDatabase(t)
  await publish(pool, config(1), false)
  await publish(pool, config(2), false)
  const cacheFile = join(withTempDir(t), 'snapshot.json')
  const follower = follow(t, cacheFile, url)
  await follower.firstLook()
  assert.deepEqual(follower.current(), config(2))
  assert.ok(follower.isFresh())
  assert.equal(statSync(cacheFile).mode & 0o777, 0o600)
  assert.equal(readdirSync(join(cacheFile, '..')).length, 1)
  await follower.stop()
})

test('has nothing while there is no configuration, and the first one as soon as there is', async (t) => {
  const { pool, url } = await withDatabase(t)
  const follower = follow(t, join(withTempDir(t), 'snapshot.json'), url)
  await follower.firstLook()
  assert.equal(follower.current(), undefined)
  const change = nextChange(follower)
  await publish(pool, config(1), true)
  assert.equal((await change).version, 1)
  await follower.stop()
})

test('hears of a change at once, and finds an unannounced one with the next look', async (t) => {
  const { pool, url } = await withDatabase(t)
  const follower = follow(t, join(withTempDir(t), 'snapshot.json'), url)
  await follower.firstLook()
  for (const [version, isAnnounced, msMax] of [
    [1, true, 900],
    [2, false, 2_500],
  ] as const) {
    const change = nextChange(follower)
    const startedAt = performance.now()
    await publish(pool, config(version), isAnnounced)
    assert.equal((await change).version, version)
    assert.ok(performance.now() - startedAt < msMax, `version ${version}`)
  }
  await follower.stop()
})

test('takes the version of a database that was made anew, although its number is smaller', async (t) => {
  const { pool, url } = await withDatabase(t)
  const cacheFile = join(withTempDir(t), 'snapshot.json')
  await writeSnapshotFile(cacheFile, config(9))
  await publish(pool, config(1), false)
  const follower = follow(t, cacheFile, url)
  assert.equal(follower.current()?.version, 9)
  await follower.firstLook()
  assert.equal(follower.current()?.version, 1)
  await follower.stop()
})

async function publishWeights(pool: Pool, version: number, weights: LearnedOverlay['weights']): Promise<void> {
  await pool.query(
    `INSERT INTO learned_weights (version, weights, state, created_at, learned_at) VALUES ($1, $2, '[]', now(), now())`,
    [version, weights],
  )
  await pool.query('NOTIFY waypost_config')
}

test('hears of learned weights at once, beside the configuration, and keeps both on the disk', async (t) => {
  const { pool, url } = await withDatabase(t)
  await publish(pool, config(1), false)
  const cacheFile = join(withTempDir(t), 'snapshot.json')
  const follower = follow(t, cacheFile, url)
  await follower.firstLook()
  assert.equal(follower.current()?.learned, undefined)
  for (const version of [1, 2]) {
    const change = nextChange(follower)
    const startedAt = performance.now()
    await publishWeights(pool, version, { 'offers:f1': { o1: version } })
    assert.deepEqual((await change).learned, { version, weights: { 'offers:f1': { o1: version } } })
    assert.ok(performance.now() - startedAt < 900)
  }
  const change = nextChange(follower)
  await publish(pool, config(2), true)
  const expected = { ...config(2), learned: { version: 2, weights: { 'offers:f1': { o1: 2 } } } }
  assert.deepEqual(await change, expected)
  await follower.stop()
  assert.deepEqual(follow(t, cacheFile, DEAD_DATABASE).current(), expected)
})

test('drops the weights on the disk where the database has none', async (t) => {
  const { pool, url } = await withDatabase(t)
  const cacheFile = join(withTempDir(t), 'snapshot.json')
  await writeSnapshotFile(cacheFile, { ...config(1), learned: { version: 5, weights: {} } })
  await publish(pool, config(1), false)
  const follower = follow(t, cacheFile, url)
  assert.equal(follower.current()?.learned?.version, 5)
  await follower.firstLook()
  assert.deepEqual(follower.current(), config(1))
  await follower.stop()
})

test('goes on after its connection was cut', async (t) => {
  const { pool, url } = await withDatabase(t)
  await publish(pool, config(1), false)
  const follower = follow(t, join(withTempDir(t), 'snapshot.json'), url)
  await follower.firstLook()
  await pool.query(
    `SELECT pg_terminate_backend(pid) FROM pg_stat_activity
     WHERE datname = current_database() AND application_name = 'waypost snapshots'`,
  )
  const change = nextChange(follower)
  await publish(pool, config(2), false)
  assert.equal((await change).version, 2)
  await follower.stop()
})

test('serves the last configuration from the disk while the database is down', async (t) => {
  const cacheFile = join(withTempDir(t), 'snapshot.json')
  await writeSnapshotFile(cacheFile, config(4))
  const follower = follow(t, cacheFile, DEAD_DATABASE)
  assert.deepEqual(follower.current(), config(4))
  await follower.firstLook()
  assert.deepEqual(follower.current(), config(4))
  assert.ok(!follower.isFresh())
})

const breakages: Readonly<Record<string, (text: string) => string>> = {
  'cut short': (text) => text.slice(0, -20),
  'changed in the middle': (text) => text.replace('"version":4', '"version":5'),
  'of another kind': () => '{"version":4}',
  empty: () => '',
}
for (const [name, damage] of Object.entries(breakages)) {
  test(`ignores a kept configuration that is ${name}`, async (t) => {
    const cacheFile = join(withTempDir(t), 'snapshot.json')
    await writeSnapshotFile(cacheFile, config(4))
    writeFileSync(cacheFile, damage(readFileSync(cacheFile, 'utf8')))
    assert.equal(follow(t, cacheFile).current(), undefined)
  })
}
