/** Drains a backlog of clicks and events into facts, conversions and ledger, with the engines that `npm start` uses, and prints one
 * line of JSON: how fast, and how much disk a click takes.
 *
 *   node bench/drain.ts 1000000        ten sub ids in each click
 *   node bench/drain.ts 200000 30      all thirty
 */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

import { applyConfiguration, findVersion } from '#configuration'
import { openLmdbHotState } from '#hot-state'
import { openFileLog } from '#log'
import { startPipeline } from '#pipeline'
import { migrateClickHouse, openClickHouse, type FactsClient } from '#platform/clickhouse'
import { systemClock } from '#platform/clock'
import { createLogLines } from '#platform/log-lines'
import { createPool, migratePostgres, startEmbeddedPostgres, type Pool } from '#platform/postgres'
import type { Snapshot } from '#routing'
import { givenSecretKeys, useSecretKeys } from '#secrets'

import { writeBacklog } from './backlog.ts'
import { CONFIGURATION, SUB_COUNT_TYPICAL } from './bench-site.ts'

useSecretKeys(givenSecretKeys([Buffer.alloc(32, 'bench').toString('base64')]))

const COUNT_DEFAULT = 100_000
const count = Number(process.argv[2] ?? COUNT_DEFAULT)
if (!Number.isSafeInteger(count) || count < 1) throw new Error('the count of records must be a whole number over 0')
const subCount = Number(process.argv[3] ?? SUB_COUNT_TYPICAL)
if (!Number.isInteger(subCount) || subCount < 1 || subCount > 30) throw new Error('sub ids: 1 to 30')

const directory = mkdtempSync(join(tmpdir(), 'waypost-drain-'))
const logLines = createLogLines('bench', 'warn')
async function drain(): Promise<object> {
  const postgres = await startEmbeddedPostgres({ dataDir: join(directory, 'postgres'), password: 'bench', logLines })
  const pool = createPool(postgres.url)
  const facts = await openClickHouse({ path: join(directory, 'clickhouse') })
  const log = await openFileLog({ directory: join(directory, 'log'), logLines })
  const hotState = openLmdbHotState({ directory: join(directory, 'hot-state') })
  try {
    await migratePostgres(pool)
    await migrateClickHouse(facts)
    const snapshot = await configure(pool)
    const writer = await log.openWriter('edge-0')
    await writeBacklog(
      writer,
      snapshot,
      count,
      { eventShare: 0.15, convertingShare: 0.05, subCount },
      join(directory, 'geo'),
    )
    await writer.close()
    const before = process.cpuUsage()
    const startedAt = performance.now()
    const snapshots = { current: () => snapshot }
    const pipeline = await startPipeline({ log, hotState, pool, facts, snapshots, clock: systemClock, logLines })
    await pipeline.drained()
    const seconds = (performance.now() - startedAt) / 1000
    const cpu = process.cpuUsage(before)
    const metrics = await pipeline.readMetrics()
    await pipeline.stop()
    return {
      records: count,
      seconds: round(seconds),
      records_per_second: Math.round(count / seconds),
      cpu_seconds_of_this_process: round((cpu.user + cpu.system) / 1e6),
      seconds_of_steps: secondsOfSteps(metrics),
      ...(await measureFacts(facts)),
      ...(await measureConversions(pool)),
    }
  } finally {
    await hotState.close()
    await log.close()
    await facts.close()
    await pool.end()
    await postgres.stop()
  }
}

const round = (value: number): number => Math.round(value * 100) / 100

async function configure(pool: Pool): Promise<Snapshot> {
  const application = await applyConfiguration(pool, CONFIGURATION, { by: 'bench' })
  if (application.kind !== 'applied') throw new Error(`the configuration was not applied: ${application.kind}`)
  return (await findVersion(pool, undefined))!.snapshot
}

/** Wall time of each step over all batches. */
const secondsOfSteps = (metrics: string): Record<string, number> =>
  Object.fromEntries(
    [...metrics.matchAll(/^waypost_pipeline_step_seconds_sum\{step="(\w+)"\} (\S+)$/gm)].map(([, step, seconds]) => [
      step!,
      round(Number(seconds)),
    ]),
  )

async function measureFacts(facts: FactsClient): Promise<object> {
  await facts.command({ query: 'OPTIMIZE TABLE clicks FINAL' })
  const answer = await facts.query({
    query: `SELECT sum(bytes_on_disk) AS bytes, sum(rows) AS rows FROM system.parts WHERE table = 'clicks' AND active`,
    format: 'JSONEachRow',
  })
  const [size] = await answer.json<{ bytes: string; rows: string }>()
  return { clicks: Number(size!.rows), bytes_per_click: round(Number(size!.bytes) / Number(size!.rows)) }
}

async function measureConversions(pool: Pool): Promise<object> {
  const { rows } = await pool.query<{ conversions: bigint; entries: bigint }>(
    'SELECT (SELECT count(*) FROM conversions) AS conversions, (SELECT count(*) FROM ledger_entries) AS entries',
  )
  return { conversions: Number(rows[0]!.conversions), ledger_entries: Number(rows[0]!.entries) }
}

try {
  process.stdout.write(`${JSON.stringify(await drain())}\n`)
} finally {
  rmSync(directory, { recursive: true, force: true, maxRetries: 5, retryDelay: 100 })
}
