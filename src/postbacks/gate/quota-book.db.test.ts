import assert from 'node:assert/strict'
import { test } from 'node:test'

import type { Pool } from '#platform/postgres'
import { withDatabase } from '#test-kit'

import { QuotaBook, type QuotaRoom } from './quota-book.ts'
import { readQuotas, takeQuota, type QuotaPeriod } from './quota-store.ts'

const HOUR = 3_600_000
const NOW = Date.UTC(2026, 0, 1, 12, 30)

function openBook(pool: Pool, at: { now: number }): { book: QuotaBook; answered: () => Promise<void> } {
  let answer = Promise.withResolvers<void>()
  const book = new QuotaBook({
    pool,
    nowMs: () => at.now,
    onAnswer: () => {
      answer.resolve()
      answer = Promise.withResolvers<void>()
    },
    onError: (error) => assert.fail(String(error)),
  })
  return { book, answered: () => answer.promise }
}

/** Asks until it is told how much there is. */
async function roomOf(
  { book, answered }: ReturnType<typeof openBook>,
  quota: { count: number; per: 'hour' | 'day' | 'month'; zone: string },
): Promise<QuotaRoom> {
  const next = answered()
  const room = book.roomOf('crm', quota)
  if (room.kind !== 'asked') return room
  await next
  return book.roomOf('crm', quota)
}

const TAKEN = 'SELECT taken::int FROM endpoint_quotas'
const takenOf = async (pool: Pool): Promise<number> => (await pool.query<{ taken: number }>(TAKEN)).rows[0]!.taken

test('never more tries start in a period than the quota says, and the next period has its own', async (t) => {
  const { pool } = await withDatabase(t)
  const at = { now: NOW }
  const opened = openBook(pool, at)
  const quota = { count: 3, per: 'hour', zone: 'Etc/UTC' } as const
  let used = 0
  for (let room = await roomOf(opened, quota); room.kind === 'room'; room = await roomOf(opened, quota)) {
    opened.book.use('crm')
    used += 1
    assert.ok(used <= 3)
  }
  assert.equal(used, 3)
  assert.deepEqual(opened.book.roomOf('crm', quota), { kind: 'used', untilMs: Date.UTC(2026, 0, 1, 13) })
  at.now = NOW + HOUR
  assert.equal((await roomOf(opened, quota)).kind, 'room')
  await opened.book.close()
})

test('of a quota that is used up there is one notice for each period, however many workers ask', async (t) => {
  const { pool } = await withDatabase(t)
  const at = { now: NOW }
  const quota = { count: 1, per: 'hour', zone: 'Etc/UTC' } as const
  const notices = async (): Promise<readonly unknown[]> =>
    (await pool.query("SELECT details ->> 'period_start' AS start FROM notices WHERE kind = 'quota_used'")).rows
  const useUp = async (): Promise<void> => {
    const opened = openBook(pool, at)
    for (let room = await roomOf(opened, quota); room.kind !== 'used'; room = await roomOf(opened, quota))
      if (room.kind === 'room') opened.book.use('crm')
    await opened.book.close()
  }
  await useUp()
  await useUp()
  assert.deepEqual(await notices(), [{ start: '2026-01-01T12:00:00.000Z' }])
  at.now = NOW + HOUR
  await useUp()
  assert.equal((await notices()).length, 2)
})

test('what was used is known after a restart, and what was not used is given back at the stop', async (t) => {
  const { pool } = await withDatabase(t)
  const at = { now: NOW }
  const quota = { count: 100, per: 'day', zone: 'Europe/Berlin' } as const
  const first = openBook(pool, at)
  assert.deepEqual(await roomOf(first, quota), { kind: 'room', count: 5 })
  first.book.use('crm')
  first.book.use('crm')
  await first.book.close()
  assert.equal(await takenOf(pool), 2)
  const second = openBook(pool, at)
  await roomOf(second, quota)
  assert.equal(await takenOf(pool), 7)
  await second.book.close()
  assert.equal(await takenOf(pool), 2)
})

test('after a crash the rest of a block is missing until the period ends, a twentieth of the quota at most', async (t) => {
  const { pool } = await withDatabase(t)
  const at = { now: NOW }
  const quota = { count: 40, per: 'day', zone: 'Etc/UTC' } as const
  const crashed = openBook(pool, at)
  assert.deepEqual(await roomOf(crashed, quota), { kind: 'room', count: 2 })
  const next = openBook(pool, at)
  let used = 0
  for (let room = await roomOf(next, quota); room.kind === 'room'; room = await roomOf(next, quota)) {
    next.book.use('crm')
    used += 1
  }
  assert.equal(used, 38)
})

test('a block that nobody uses goes back after ten seconds', async (t) => {
  const { pool } = await withDatabase(t)
  const at = { now: NOW }
  const opened = openBook(pool, at)
  await roomOf(opened, { count: 100, per: 'month', zone: 'Etc/UTC' })
  await opened.book.tend()
  assert.equal(await takenOf(pool), 5)
  at.now += 10_000
  await opened.book.tend()
  assert.equal(await takenOf(pool), 0)
})

test('workers that ask at the same moment never get more than there is', async (t) => {
  const { pool } = await withDatabase(t)
  const period: QuotaPeriod = { endpointId: 'crm', per: 'hour', zone: 'Etc/UTC', startMs: NOW, count: 100 }
  await pool.query("INSERT INTO endpoint_quotas VALUES ('crm', 'hour', 'Etc/UTC', to_timestamp(0), 0)")
  const grants = await Promise.all(Array.from({ length: 40 }, () => takeQuota(pool, [{ period, wanted: 7 }])))
  const granted = grants.reduce((sum, one) => sum + (one.get('crm') ?? 0), 0)
  assert.equal(granted, 100)
  assert.equal((await readQuotas(pool, [period])).get('crm'), 100)
})

test('a machine whose clock is behind takes nothing from a later period', async (t) => {
  const { pool } = await withDatabase(t)
  const period: QuotaPeriod = { endpointId: 'crm', per: 'hour', zone: 'Etc/UTC', startMs: NOW, count: 10 }
  await pool.query("INSERT INTO endpoint_quotas VALUES ('crm', 'hour', 'Etc/UTC', to_timestamp(0), 0)")
  await takeQuota(pool, [{ period, wanted: 1 }])
  assert.equal(
    (await takeQuota(pool, [{ period: { ...period, startMs: NOW - HOUR }, wanted: 1 }])).get('crm'),
    undefined,
  )
  assert.equal(await takenOf(pool), 1)
})

test('a quota that is changed counts at once, with what was used of it', async (t) => {
  const { pool } = await withDatabase(t)
  const at = { now: NOW }
  const opened = openBook(pool, at)
  const quota = { count: 1, per: 'day', zone: 'Etc/UTC' } as const
  await roomOf(opened, quota)
  opened.book.use('crm')
  assert.equal((await roomOf(opened, quota)).kind, 'used')
  assert.deepEqual(await roomOf(opened, { ...quota, count: 2 }), { kind: 'room', count: 1 })
  await opened.book.close()
})
