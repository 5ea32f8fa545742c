/** `npm run numbers`: a million clicks with their events and conversions, and random reports on them, every cell of which must be what a
 * slow reference reads from the same log. Exits with 1 when a number differs.
 *
 *   --clicks N      a million by default
 *   --reports N     12 by default
 *   --seed N        the same world and reports again
 */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'

import { migrateClickHouse, openClickHouse } from '#platform/clickhouse'
import { compareMany } from '#reports/test-world'

const { values: options } = parseArgs({
  options: {
    clicks: { type: 'string', default: '1000000' },
    reports: { type: 'string', default: '12' },
    seed: { type: 'string', default: String(Date.now() % 1_000_000) },
  },
})

const [clicks, questions, seed] = [options.clicks, options.reports, options.seed].map(Number) as [
  number,
  number,
  number,
]
if (![clicks, questions, seed].every((value) => Number.isSafeInteger(value) && value > 0))
  throw new Error('--clicks, --reports and --seed are whole numbers over 0')

const startedAt = performance.now()
const tell = (step: string): void =>
  console.error(`${((performance.now() - startedAt) / 1000).toFixed(0).padStart(4)} s  ${step}`)

const directory = mkdtempSync(join(tmpdir(), 'waypost-numbers-'))
const facts = await openClickHouse({ path: directory })
try {
  console.log(`Numbers of ${clicks} clicks, seed ${seed}`)
  await migrateClickHouse(facts)
  const found = await compareMany(facts, { seed, clicks, questions, tell })
  console.log(
    `${questions} reports on ${found.facts} facts agree in every cell of ${found.rows} rows and their totals.`,
  )
} finally {
  await facts.close()
  rmSync(directory, { recursive: true, force: true })
}
