import assert from 'node:assert/strict'
import { test } from 'node:test'
import { createPool, type Pool } from '#platform/postgres'
import { withDatabase } from '#test-kit'
import { heldStatements } from './held.ts'
import { workerSettings, workerStatements } from './queue.ts'
import { turnStatements } from '../worker/turns.ts'

type Plan = { readonly 'Node Type': string; readonly 'Relation Name'?: string; readonly Plans?: readonly Plan[] }

const nodesOf = (plan: Plan): readonly Plan[] => [plan, ...(plan.Plans ?? []).flatMap(nodesOf)]

/** How the tables are looked into by each statement, as it is planned once for all values. */
async function accessesOf(pool: Pool, statements: readonly string[]): Promise<readonly string[]> {
  const found = new Set<string>()
  for (const statement of statements) {
    const { rows } = await pool.query<{ 'QUERY PLAN': readonly { readonly Plan: Plan }[] }>(
      `EXPLAIN (GENERIC_PLAN, FORMAT JSON) ${statement}`,
    )
    for (const node of nodesOf(rows[0]!['QUERY PLAN'][0]!.Plan)) {
      const table = node['Relation Name']?.replace(/_(default|\d{4}.*)$/, '')
      if (table !== undefined && node['Node Type'] !== 'ModifyTable') found.add(`${table}: ${node['Node Type']}`)
      if (node['Node Type'] === 'Sort') found.add('a sort')
    }
  }
  return [...found].sort()
}

const LOOK_UPS = [
  'deliveries: Index Scan',
  'delivery_marks: Index Scan',
  'delivery_ready: Index Scan',
  'delivery_ready: Tid Scan',
  'delivery_workers: Index Scan',
]

/** What the planner believes of the tables, which a worker's plan may outlive. */
const beliefs = {
  'nothing yet': 'SELECT 1',
  'that all are empty': 'ANALYZE',
  'that a few rows wait and few were made': `
    INSERT INTO deliveries (delivery_id, created_at, endpoint_id, event_id, replay_no, kind, cause, click_id, config_version, method, url)
    SELECT n, now(), 'e' || n % 5, gen_random_uuid(), 0, 'auto', 'sale', gen_random_uuid(), 1, 'GET', 'https://x/' FROM generate_series(1, 50) AS n;
    INSERT INTO delivery_ready (delivery_id, created_at, endpoint_id, run_at, attempts)
    SELECT delivery_id, created_at, endpoint_id, now(), 0 FROM deliveries;
    ANALYZE`,
  'that many were made and none waits': `
    INSERT INTO deliveries (delivery_id, created_at, endpoint_id, event_id, replay_no, kind, cause, click_id, config_version, method, url)
    SELECT n, now(), 'e' || n % 5, gen_random_uuid(), 0, 'auto', 'sale', gen_random_uuid(), 1, 'GET', 'https://x/' FROM generate_series(1, 20000) AS n;
    ANALYZE`,
} as const

for (const [belief, sql] of Object.entries(beliefs))
  test(`the statements of a worker look up what they need, where the planner believes ${belief}`, async (t) => {
    const { pool, url } = await withDatabase(t)
    await pool.query(sql)
    const own = createPool(url, { settings: workerSettings, max: 1 })
    try {
      assert.deepEqual(await accessesOf(own, workerStatements), LOOK_UPS)
      const ofTurns = await accessesOf(own, turnStatements)
      const others = ofTurns.filter((access) => !LOOK_UPS.includes(access))
      // What is ranked is put in order first.
      assert.deepEqual(others.filter((access) => !/^delivery_order: Index (Only )?Scan$/.test(access)), ['a sort']) // prettier-ignore
      const ofHolding = await accessesOf(own, heldStatements)
      const besides = ofHolding.filter((access) => !LOOK_UPS.includes(access))
      // A handful of pauses.
      assert.deepEqual(
        besides.filter((access) => !access.startsWith('delivery_pauses: ')),
        [],
      )
    } finally {
      await own.end()
    }
  })
