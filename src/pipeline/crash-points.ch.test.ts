/** What a kill at each point between the log and the databases leaves behind, and that each guard is needed: with it switched
 * off the same crash gives wrong numbers.
 */
import assert from 'node:assert/strict'
import { test } from 'node:test'

import type { FaultGuard } from '#config'
import { changeStatus } from '#conversions'
import { insertFacts, LineBuffer } from '#facts'
import type { Pool, Tx } from '#platform/postgres'
import { encodeRecord } from '#records'

import { CONVERSION_FACTS } from './conversion-facts.ts'
import { markPending, takeOver } from './positions.ts'
import {
  clickWith,
  eventWith,
  PARTITION,
  snapshotWith,
  withInstallation,
  type TestInstallation,
} from './test-installation.ts'

type Intercept = (statement: string) => Promise<void> | void

/** A pool whose statements are looked at first: an intercept that throws is a connection that broke before the statement. */
function intercepted(pool: Pool, intercept: Intercept): Pool {
  const wrap = <T extends Pool | Tx>(target: T): T =>
    new Proxy(target, {
      get(_, name) {
        if (name === 'query')
          return async (statement: string, values?: unknown[]) => {
            await intercept(statement)
            return target.query(statement, values)
          }
        if (name === 'connect') return async () => wrap(await (target as Pool).connect())
        const value: unknown = Reflect.get(target, name)
        return typeof value === 'function' ? value.bind(target) : value
      },
    })
  return wrap(pool)
}

/** Runs a pipeline whose connection breaks before a statement that fits, and ends it as a kill would: nothing is put right. */
async function crashBefore(
  w: TestInstallation,
  statement: RegExp,
  guardsOff: readonly FaultGuard[] = [],
): Promise<void> {
  const crashed = Promise.withResolvers<void>()
  const pool = intercepted(w.pool, (text) => {
    if (!statement.test(text)) return
    crashed.resolve()
    throw new Error('the connection broke')
  })
  const pipeline = await w.start({ pool, guardsOff: new Set(guardsOff) })
  await crashed.promise
  await pipeline.stop()
}

const factsOf = (w: TestInstallation): Promise<number> => w.countFacts('SELECT count() FROM clicks')
const eventsOf = (w: TestInstallation): Promise<number> => w.countFacts('SELECT count() FROM events')
const COUNTERS = 'SELECT clicks, events FROM pipeline_counters'

async function appendVisit(w: TestInstallation): Promise<void> {
  const click = clickWith()
  await w.append(click, eventWith(click.click_id, 'open'), eventWith(click.click_id, 'reg'))
}

test('a batch whose facts were inserted but whose transaction did not commit is sent again and counted once', async (t) => {
  const w = await withInstallation(t)
  await appendVisit(w)
  await crashBefore(w, /^COMMIT$/)
  assert.equal(await factsOf(w), 1)
  assert.deepEqual(
    await w.row('SELECT position, pending_to FROM consumer_positions WHERE consumer = $1', ['pipeline']),
    {
      position: 0n,
      pending_to: 3n,
    },
  )
  await w.append(clickWith())
  await w.drain()
  assert.equal(await factsOf(w), 2)
  assert.equal(await eventsOf(w), 2)
  assert.deepEqual(await w.row(COUNTERS), { clicks: 2n, events: 2n })
  assert.deepEqual(await w.row('SELECT count(*) AS n FROM conversions'), { n: 1n })
  assert.deepEqual(await w.row('SELECT count(*) AS n FROM deliveries'), { n: 1n })
})

test('without the deduplication token the same crash counts twice', async (t) => {
  const w = await withInstallation(t)
  await appendVisit(w)
  await crashBefore(w, /^COMMIT$/, ['token'])
  await w.drain({ guardsOff: new Set(['token']) })
  assert.equal(await eventsOf(w), 4)
})

test('a crash before the facts are inserted loses nothing', async (t) => {
  const w = await withInstallation(t)
  await appendVisit(w)
  await crashBefore(w, /pending_to = \$5/)
  assert.equal(await factsOf(w), 0)
  await w.drain()
  assert.equal(await factsOf(w), 1)
  assert.deepEqual(await w.row(COUNTERS), { clicks: 1n, events: 2n })
})

for (const [point, statement] of [
  ['after conversions were stored', /INSERT INTO conversion_revisions/],
  ['after the ledger was booked', /INSERT INTO pipeline_counters/],
  ['before the position moves', /SET position/],
] as const)
  test(`a crash ${point} leaves nothing of the batch in PostgreSQL and counts it once later`, async (t) => {
    const w = await withInstallation(t)
    await appendVisit(w)
    await crashBefore(w, statement)
    assert.deepEqual(await w.row('SELECT count(*) AS n FROM conversions'), { n: 0n })
    assert.deepEqual(await w.row('SELECT count(*) AS n FROM ledger_entries'), { n: 0n })
    await w.drain()
    assert.deepEqual(await w.row('SELECT count(*) AS n FROM conversions'), { n: 1n })
    assert.deepEqual(await w.row('SELECT sum(amount_micros)::bigint AS total, count(*) AS n FROM ledger_entries'), {
      total: 0n,
      n: 4n,
    })
  })

test('with the position outside of the transaction the same crash loses a conversion', async (t) => {
  const w = await withInstallation(t)
  await appendVisit(w)
  await crashBefore(w, /^COMMIT$/, ['position'])
  await w.drain({ guardsOff: new Set(['position']) })
  assert.deepEqual(await w.row('SELECT count(*) AS n FROM conversions'), { n: 0n })
})

test('a token that was noted without its rows is found and the rows are sent under another', async (t) => {
  const w = await withInstallation(t)
  const click = clickWith()
  await w.append(click)
  const lines = new LineBuffer()
  lines.addObject(encodeRecord(click).subarray(1), `"log_partition":"elsewhere","log_offset":0`)
  await insertFacts(w.facts, { table: 'clicks', lines: lines.toBuffer(), range: `${PARTITION}:0-1` })
  await w.facts.command({ query: 'ALTER TABLE clicks DELETE WHERE 1 SETTINGS mutations_sync = 1' })
  const { place } = await takeOver(w.pool, 'pipeline', PARTITION)
  await markPending(w.pool, place, 0, 1)
  await w.drain()
  assert.equal(await factsOf(w), 1)
})

/** The first statement that only the transaction of a batch has: the release of holds begins transactions too, and holding that
 * one back would let the pipeline take its place after the other one has.
 */
const LOCKS_CLICKS = /click_id = ANY/

/** Holds a pipeline back in its transaction, until another one has taken over and done the same batch. */
async function letZombieCommit(w: TestInstallation, guardsOff: readonly FaultGuard[]): Promise<void> {
  const isHeld = Promise.withResolvers<void>()
  const gate = Promise.withResolvers<void>()
  const isOver = Promise.withResolvers<void>()
  const pool = intercepted(w.pool, async (statement) => {
    if (LOCKS_CLICKS.test(statement)) {
      isHeld.resolve()
      await gate.promise
    }
    if (statement === 'COMMIT' || statement === 'ROLLBACK') isOver.resolve()
  })
  const zombie = await w.start({ pool, guardsOff: new Set(guardsOff) })
  await isHeld.promise
  await w.drain()
  gate.resolve()
  await isOver.promise
  await zombie.stop()
}

test('a consumer that was taken over in the middle of a batch cannot commit it', async (t) => {
  const w = await withInstallation(t)
  await appendVisit(w)
  await letZombieCommit(w, [])
  assert.deepEqual(await w.row(COUNTERS), { clicks: 1n, events: 2n })
  assert.equal(await factsOf(w), 1)
})

test('without the fence its batch is counted twice', async (t) => {
  const w = await withInstallation(t)
  await appendVisit(w)
  await letZombieCommit(w, ['fence'])
  assert.deepEqual(await w.row(COUNTERS), { clicks: 2n, events: 4n })
})

// ── conversions on their way into the facts ──

const SIGNS = `SELECT sum(sign) FROM conversions WHERE status = 'approved'`
const PAYOUT = 'SELECT sum(payout_micros * sign) FROM conversions'

test('revisions that were inserted but whose place did not move are counted once', async (t) => {
  const w = await withInstallation(t)
  await appendVisit(w)
  await w.drain()
  const { conversion_id: conversionId } = await w.row<{ conversion_id: string }>(
    'SELECT conversion_id FROM conversions',
  )
  const change = { conversionId, status: 'approved', by: 'test', at: Date.UTC(2026, 5, 2) } as const
  assert.equal((await changeStatus(w.pool, w.snapshot, change)).kind, 'changed')
  await crashBefore(w, /SET position/)
  assert.equal(await w.countFacts(SIGNS), 1)
  assert.deepEqual(
    await w.row('SELECT pending_to - position AS begun FROM consumer_positions WHERE consumer = $1', [
      CONVERSION_FACTS.consumer,
    ]),
    { begun: 1n },
  )
  await w.drain()
  assert.equal(await w.countFacts(SIGNS), 1)
  assert.equal(await w.countFacts(PAYOUT), 4_000_000)
  assert.equal(await w.countFacts('SELECT count() FROM conversions'), 3)
})

test('without the deduplication token revisions are counted twice', async (t) => {
  const w = await withInstallation(t)
  await appendVisit(w)
  await w.drain()
  const { conversion_id: conversionId } = await w.row<{ conversion_id: string }>(
    'SELECT conversion_id FROM conversions',
  )
  await changeStatus(w.pool, w.snapshot, { conversionId, status: 'approved', by: 'test', at: Date.UTC(2026, 5, 2) })
  await crashBefore(w, /SET position/, ['token'])
  await w.drain({ guardsOff: new Set(['token']) })
  assert.equal(await w.countFacts(SIGNS), 2)
})

test('a pipeline goes on when PostgreSQL comes back', async (t) => {
  const w = await withInstallation(t)
  let failures = 0
  const isBack = Promise.withResolvers<void>()
  const pool = intercepted(w.pool, () => {
    if (failures < 6) {
      failures++
      throw new Error('the database is away')
    }
    isBack.resolve()
  })
  await appendVisit(w)
  const pipeline = await w.start({ pool })
  await isBack.promise
  await pipeline.drained()
  assert.equal(failures, 6)
  assert.deepEqual(await w.row(COUNTERS), { clicks: 1n, events: 2n })
})

test('a conversion that was scored before a crash is scored once, and alike, when its range is sent again', async (t) => {
  const w = await withInstallation(t)
  w.snapshot = snapshotWith({ fraud: { conversion_thresholds: { hold: 50 }, conversions: { per_ip: 1 } } })
  const clicks = [clickWith(), clickWith()]
  const late = (at: number) => ({ at: at + 60_000 })
  await w.append(...clicks, ...clicks.map(({ click_id, at }) => eventWith(click_id, 'deposit', late(at))))
  await crashBefore(w, /INSERT INTO conversion_revisions/)
  assert.deepEqual(await w.row('SELECT count(*)::integer AS n FROM conversions'), { n: 0 })
  await w.drain()
  const { rows } = await w.pool.query('SELECT status, fraud FROM conversions ORDER BY created_at')
  assert.deepEqual(rows, [{ status: 'approved', fraud: null }, { status: 'pending', fraud: 'h50 ic.2' }]) // prettier-ignore
})
