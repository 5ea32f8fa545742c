import assert from 'node:assert/strict'
import { existsSync, readdirSync, rmSync, truncateSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { test, type TestContext } from 'node:test'

import type { FactsClient } from '#platform/clickhouse'
import type { Pool } from '#platform/postgres'
import { withClickHouse, withDatabase, withTempDir } from '#test-kit'

import { ask } from './ask.ts'
import {
  listRetirements,
  planRetirements,
  policiesOf,
  readRetired,
  restoreDay,
  runRetention,
  sourcesFor,
} from './index.ts'
import type { ArchiveKind, ArchivePlaces, RetentionTools } from './index.ts'
import { readColumns } from './retire.ts'
import { askWorld, correctConversions, DAYS, fillWorld, NOW_MS, testTools } from './test-world.ts'

type World = {
  readonly facts: FactsClient
  readonly pool: Pool
  readonly places: ArchivePlaces
  readonly tools: RetentionTools
}

/** acme keeps raw rows for 14 days and archives them, the others for ever unless said otherwise. */
async function withWorld(t: TestContext, archive: ArchiveKind = 'files', byDefaultDays?: number): Promise<World> {
  const facts = await withClickHouse(t)
  const { pool } = await withDatabase(t)
  await fillWorld(facts, pool)
  const places = { directory: withTempDir(t), s3: undefined }
  const policies = policiesOf({ rawDays: byDefaultDays, archive: 'none' }, [
    { advertiser_id: 'acme', retention: { raw_days: 14, archive } },
  ])
  return { facts, pool, places, tools: testTools(facts, pool, places, policies) }
}

const countRows = async (facts: FactsClient, where: string): Promise<readonly number[]> => {
  const rows = await ask<{ n: string }>(
    facts,
    ['clicks', 'events', 'conversions']
      .map((table) => `SELECT count() AS n FROM ${table} WHERE ${where}`)
      .join(' UNION ALL '),
  )
  return rows.map(({ n }) => Number(n)).sort((a, b) => a - b)
}

const IS_OLD = `at < toDateTime64('2026-03-10 00:00:00', 3, 'UTC')`

test('raw rows of an advertiser past its age go to the archive and what is kept adds up to the same', async (t) => {
  const { facts, pool, places, tools } = await withWorld(t)
  const before = await askWorld(facts, pool, places)
  const others = await countRows(facts, `advertiser_id != 'acme'`)
  const run = await runRetention(tools)
  assert.deepEqual(
    run?.planned
      .map(({ table_name, day, advertiser_ids, archive }) => `${table_name} ${day} ${advertiser_ids.join()} ${archive}`)
      .sort(),
    ['clicks', 'conversions', 'events'].map((table) => `${table} 2026-03-01 acme files`),
  )
  assert.equal(run?.dropped, 3)
  assert.deepEqual(await countRows(facts, `advertiser_id = 'acme' AND ${IS_OLD}`), [0, 0, 0])
  assert.deepEqual(await countRows(facts, `advertiser_id != 'acme'`), others)
  assert.deepEqual(await askWorld(facts, pool, places), before)
  const manifest = await listRetirements(pool)
  assert.ok(manifest.every(({ state, path }) => state === 'dropped' && existsSync(join(places.directory!, path!))))
  assert.deepEqual(await planRetirements(tools), [])
})

test('a day of which nothing stays is one partition drop', async (t) => {
  const { facts, pool, places, tools } = await withWorld(t, 'files', 10)
  const before = await askWorld(facts, pool, places)
  const mutations = `SELECT count() AS n FROM system.mutations WHERE database = currentDatabase() AND table IN ('clicks', 'events', 'conversions')`
  const [{ n }] = (await ask<{ n: string }>(facts, mutations)) as [{ n: string }]
  await runRetention(tools)
  assert.deepEqual(await countRows(facts, IS_OLD), [0, 0, 0])
  assert.deepEqual(await ask(facts, mutations), [{ n }])
  assert.deepEqual(await askWorld(facts, pool, places), before)
})

test('corrections of a dropped day count, and are retired with the next run', async (t) => {
  const { facts, pool, places, tools } = await withWorld(t, 'files', 10)
  await runRetention(tools)
  await correctConversions(facts, DAYS[0])
  const corrected = await askWorld(facts, pool, places)
  await fillWorldAgain({ facts, pool, places, tools })
  await correctConversions(facts, DAYS[0])
  assert.deepEqual(corrected, await askWorld(facts, pool, places))
  await runRetention(tools)
  assert.deepEqual(await countRows(facts, IS_OLD), [0, 0, 0])
})

const fillWorldAgain = ({ facts, pool }: World): Promise<void> => fillWorld(facts, pool)

test('rows beyond the place of the pipeline stay: they may be sent again', async (t) => {
  const { facts, pool, tools } = await withWorld(t, 'none', 10)
  await pool.query(`UPDATE consumer_positions SET position = 150 WHERE log_partition = 'p1'`)
  await runRetention(tools)
  const rows = await ask(
    facts,
    `SELECT log_partition, count() AS n, min(log_offset) AS first FROM clicks WHERE ${IS_OLD} GROUP BY log_partition`,
  )
  assert.deepEqual(rows, [{ log_partition: 'p1', n: '75', first: '150' }])
})

test('a partition is not dropped while the pipeline is at work on it', async (t) => {
  const { facts, pool, places, tools } = await withWorld(t, 'none', 10)
  await pool.query(`UPDATE consumer_positions SET pending_to = 100001`)
  const before = await askWorld(facts, pool, places)
  const stopping = new AbortController()
  const dropping = runRetention({
    ...tools,
    signal: stopping.signal,
    reach: (step) => step === 'drop' && setTimeout(() => stopping.abort(), 120),
  })
  await assert.rejects(dropping, { name: 'AbortError' })
  assert.notDeepEqual(await countRows(facts, IS_OLD), [0, 0, 0])
  assert.deepEqual(await askWorld(facts, pool, places), before)
  await pool.query(`UPDATE consumer_positions SET pending_to = NULL`)
  await runRetention(tools)
  assert.deepEqual(await countRows(facts, IS_OLD), [0, 0, 0])
})

test('a restored day has its raw rows again, once, and stays for a while', async (t) => {
  const { facts, pool, places, tools } = await withWorld(t)
  const before = await askWorld(facts, pool, places)
  const content = `SELECT count() AS n, sum(cityHash64(*)) AS h FROM clicks WHERE ${IS_OLD}`
  const raw = await ask(facts, content)
  await runRetention(tools)
  await restoreDay(tools, DAYS[0])
  assert.deepEqual(await ask(facts, content), raw)
  assert.deepEqual(await askWorld(facts, pool, places), before)
  assert.deepEqual(await ask(facts, 'SELECT count() AS n FROM kept_clicks'), [{ n: '0' }])
  assert.deepEqual(await planRetirements(tools), [])
  const later = { ...tools, clock: { now: () => NOW_MS + 8 * 86_400_000 } }
  await runRetention(later)
  assert.deepEqual(await countRows(facts, `advertiser_id = 'acme' AND ${IS_OLD}`), [0, 0, 0])
  assert.deepEqual(await askWorld(facts, pool, places), before)
})

test('a day without an archive cannot be restored, nor one that was never retired', async (t) => {
  const { tools } = await withWorld(t, 'none')
  await runRetention(tools)
  await assert.rejects(restoreDay(tools, DAYS[0]), { code: 'conflict' })
  await assert.rejects(restoreDay(tools, DAYS[1]), { code: 'not_found' })
})

test('an archive that is damaged or gone is said, and never read as fewer rows', async (t) => {
  const { facts, pool, places, tools } = await withWorld(t)
  await runRetention(tools)
  const [one] = await listRetirements(pool, { table: 'clicks' })
  truncateSync(join(places.directory!, one!.path!), 100)
  await assert.rejects(restoreDay(tools, one!.day))
  rmSync(join(places.directory!, one!.path!))
  await assert.rejects(restoreDay(tools, one!.day), { code: 'archive_unavailable', message: /is missing/ })
  assert.deepEqual(await countRows(facts, `advertiser_id = 'acme' AND ${IS_OLD}`), [0, 0, 0])
})

test('what is not kept is read from the archive when asked, else the days are named', async (t) => {
  const { facts, pool, places, tools } = await withWorld(t)
  const sql = `SELECT sub1 AS g, count() AS n FROM {from} WHERE advertiser_id = 'acme' GROUP BY sub1`
  const count = async (from: string): Promise<string> =>
    (await ask<{ n: string }>(facts, `SELECT count() AS n FROM (${sql.replace('{from}', from)})`))[0]!.n
  const before = await count('clicks')
  await runRetention(tools)
  const retired = await readRetired(pool, { fromMs: Date.parse(DAYS[0]), toMs: NOW_MS })
  const columns = await readColumns(facts, 'clicks')
  const question = { table: 'clicks', sql, isWholeHours: true } as const
  const bare = sourcesFor({ ...question, withArchive: false }, retired, places, columns)
  assert.deepEqual(bare.missing, [
    { table: 'clicks', from: DAYS[0], to: DAYS[0], columns: ['sub1'], why: 'archive_not_asked' },
  ])
  const { sources, missing } = sourcesFor({ ...question, withArchive: true }, retired, places, columns)
  assert.deepEqual(missing, [])
  const union = `(${sources.map(({ from }) => `SELECT sub1, advertiser_id FROM ${from}`).join(' UNION ALL ')})`
  assert.equal(await count(union), before)
})

test('with no room for the archive nothing is dropped and nothing half written stays', async (t) => {
  const { facts, pool, places, tools } = await withWorld(t)
  const before = await countRows(facts, '1')
  const file = join(places.directory!, 'not-a-directory')
  writeFileSync(file, '')
  const broken = { ...tools, places: { directory: file, s3: undefined } }
  await assert.rejects(runRetention(broken))
  assert.deepEqual(await countRows(facts, '1'), before)
  assert.deepEqual(readdirSync(places.directory!), ['not-a-directory'])
  assert.ok((await listRetirements(pool)).every(({ state }) => state === 'planned'))
  await runRetention(tools)
  assert.deepEqual(await countRows(facts, `advertiser_id = 'acme' AND ${IS_OLD}`), [0, 0, 0])
})

class Killed extends Error {}

/** Ends a run before its n-th step, as a kill does: what the engines have by then stays.
 * @returns whether it came so far
 */
async function runUntil(step: number, work: (reach: () => void) => Promise<unknown>): Promise<boolean> {
  let reached = 0
  try {
    await work(() => {
      if (reached++ === step) throw new Killed()
    })
    return false
  } catch (error) {
    if (!(error instanceof Killed)) throw error
    return true
  }
}

test('ended before any step and begun again, a run loses and doubles nothing', async (t) => {
  const { facts, pool, places, tools } = await withWorld(t, 'files', 10)
  const before = await askWorld(facts, pool, places)
  // Each round ends one step later than the one before it, and the next goes on from there.
  let step = 0
  while (await runUntil(step, (reach) => runRetention({ ...tools, reach }))) {
    assert.deepEqual(await askWorld(facts, pool, places), before, `ended before step ${step}`)
    step++
  }
  assert.deepEqual(await askWorld(facts, pool, places), before)
  assert.deepEqual(await countRows(facts, IS_OLD), [0, 0, 0])
})

test('ended before any step and begun again, a restore loses and doubles nothing', async (t) => {
  const { facts, pool, places, tools } = await withWorld(t)
  const before = await askWorld(facts, pool, places)
  await runRetention(tools)
  let step = 0
  while (await runUntil(step, (reach) => restoreDay({ ...tools, reach }, DAYS[0]))) {
    assert.deepEqual(await askWorld(facts, pool, places), before, `ended before step ${step}`)
    step++
  }
  assert.deepEqual(await askWorld(facts, pool, places), before)
  assert.equal((await countRows(facts, `advertiser_id = 'acme' AND ${IS_OLD}`))[2], 100)
})
