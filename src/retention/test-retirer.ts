/** A process that retires days, for tests that kill it: `node test-retirer.ts FACTS DATABASE_URL ARCHIVE fill|retire`. It writes a line
 * of JSON for what it finds at first, for each step before it is taken, and for what it finds in the end.
 */
import { writeSync } from 'node:fs'

import { migrateClickHouse, openClickHouse } from '#platform/clickhouse'
import { createPool } from '#platform/postgres'

import { policiesOf, runRetention } from './index.ts'
import { askWorld, fillWorld, testTools } from './test-world.ts'

const [path = '', databaseUrl = '', directory = '', mode = ''] = process.argv.slice(2)
/** Written before the next step begins, so that a kill finds the process in it. */
const say = (line: object): void => void writeSync(1, `${JSON.stringify(line)}\n`)

const facts = await openClickHouse({ path })
await migrateClickHouse(facts)
const pool = createPool(databaseUrl, { max: 4 })
pool.on('error', () => undefined)
const places = { directory, s3: undefined }
if (mode === 'fill') await fillWorld(facts, pool)
say({ found: await askWorld(facts, pool, places) })
if (mode === 'retire') {
  const policies = policiesOf({ rawDays: 10, archive: 'files' }, [
    { advertiser_id: 'acme', retention: { raw_days: 10, archive: 'none' } },
  ])
  const tools = { ...testTools(facts, pool, places, policies), reach: (step: string) => say({ step }) }
  // The lock of a process that was killed goes with its connection.
  while ((await runRetention(tools)) === undefined) await new Promise((resolve) => setImmediate(resolve))
  say({ found: await askWorld(facts, pool, places) })
}
await facts.close()
await pool.end()
