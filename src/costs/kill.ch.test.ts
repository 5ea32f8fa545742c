import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import { test } from 'node:test'
import { setTimeout as delay } from 'node:timers/promises'

import { migrateClickHouse, openClickHouse } from '#platform/clickhouse'
import { withDatabase, withTempDir } from '#test-kit'

import { addClicks, sumCosts } from './test-clicks.ts'

const ROOT = new URL('../..', import.meta.url)

/** Books an import in a process of its own, and says when it begins and when it is done. */
const PROGRAM = `
  import { finishBookings, importCosts, readCosts } from '#costs'
  import { openClickHouse } from '#platform/clickhouse'
  import { systemClock } from '#platform/clock'
  import { createPool } from '#platform/postgres'
  const [url, path, amount] = process.argv.slice(1)
  const facts = await openClickHouse({ path })
  const books = { facts, pool: createPool(url), clock: systemClock }
  const { rows } = readCosts([{ from: '2026-11-01', to: '2026-11-06', amount }, { date: '2026-11-01', country: 'XX', amount }], { timezone: 'UTC', currency: 'EUR' })
  process.stdout.write('begins')
  await finishBookings(books)
  const outcome = await importCosts(books, { advertiserId: 'acme', key: 'k', timezone: 'UTC', spread: 'clicks', rows, by: 'test' })
  process.stdout.write(' ' + outcome.kind)
  await books.pool.end()
  await facts.close()
  process.exit()`

test('an import whose process is killed at any moment is booked once by the next', { timeout: 120_000 }, async (t) => {
  const seed = 7
  t.diagnostic(`seed ${seed}`)
  const { pool, url } = await withDatabase(t)
  const path = join(withTempDir(t), 'facts')
  const prepared = await openClickHouse({ path })
  await migrateClickHouse(prepared)
  const clicks = Array.from({ length: 600 }, (_, index) => ({
    at: new Date(Date.UTC(2026, 10, 1, 0, index * 14)).toISOString(),
    country: index % 3 === 0 ? 'AT' : 'DE',
  }))
  await addClicks(prepared, pool, clicks)
  await prepared.close()

  const run = async (amount: string, killAfterMs?: number): Promise<string> => {
    const child = spawn(process.execPath, ['--input-type=module', '--eval', PROGRAM, url, path, amount], { cwd: ROOT })
    let said = ''
    child.stdout.on('data', (text: Buffer) => {
      if (said === '' && killAfterMs !== undefined) void delay(killAfterMs).then(() => child.kill('SIGKILL'))
      said += text.toString()
    })
    await once(child, 'close')
    return said
  }
  let state = seed
  /** A multiplicative generator: the moments of a seed can be had again. */
  const nextMs = (): number => (state = (state * 48_271) % 2_147_483_647) % 250

  for (const amount of ['9.999999', '3', '5.5']) await run(amount, nextMs())
  assert.match(await run('7.000001'), /^begins (booked|unchanged)$/)
  assert.equal(await run('7.000001'), 'begins unchanged')

  const facts = await openClickHouse({ path })
  t.after(() => facts.close())
  assert.deepEqual(await sumCosts(facts, 'country'), { AT: 2_333_333n, DE: 4_666_668n, XX: 7_000_001n })
  const answer = await facts.query({
    query: `SELECT 1 FROM costs GROUP BY import_version, import_row, is_reversal, click_id, at HAVING count() > 1`,
    format: 'JSONEachRow',
  })
  assert.deepEqual(await answer.json(), [])
})
