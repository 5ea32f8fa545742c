/** A process that makes exports, for tests that kill it: `node test-exporter.ts FACTS DATABASE_URL EXPORTS ROWS`. */
import { startJobs } from '#jobs'
import { migrateClickHouse, openClickHouse } from '#platform/clickhouse'
import { createLogLines } from '#platform/log-lines'
import { createPool } from '#platform/postgres'

import { exportJob } from './index.ts'

const [path = '', databaseUrl = '', directory = '', rows = '0'] = process.argv.slice(2)
const facts = await openClickHouse({ path })
await migrateClickHouse(facts)
if (Number(rows) > 0)
  await facts.command({
    query: `INSERT INTO clicks (at, click_id, class, outcome, advertiser_id, sub1, sub3)
      SELECT toDateTime64('2026-11-19 00:00:00', 3, 'UTC') + number / 10, generateUUIDv4(), 'click', 'redirected', 'acme', toString(number), repeat('x', 100)
      FROM numbers(${Number(rows)})`,
  })
const pool = createPool(databaseUrl, { max: 4 })
const kind = exportJob({
  facts,
  directory,
  defaultsFor: () => ({ timezone: 'UTC', currency: 'USD', nowMs: Date.now() }),
  readReport: () => Promise.reject(new Error('This process exports logs only.')),
  openList: () => {
    throw new Error('This process exports logs of ClickHouse only.')
  },
})
const jobs = startJobs({
  pool,
  kinds: [kind],
  logLines: createLogLines('test', 'silent'),
  leaseMs: 2_000,
  renewMs: 200,
})
process.once('SIGTERM', () => {
  void jobs
    .stop()
    .then(() => facts.close())
    .then(() => pool.end())
    .then(() => process.exit(0))
})
