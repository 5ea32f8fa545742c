import assert from 'node:assert/strict'
import { test } from 'node:test'
import { inTransaction, type Pool } from '#platform/postgres'
import { withDatabase } from '#test-kit'
import {
  cancelReplay,
  countReplay,
  createReplay,
  listReplays,
  replayStatements,
  stepReplays,
} from '../replay/replay-by-filter.ts'
import { countMissed, missedFilter } from './missed.ts'

const OWNER = { role: 'owner' } as const
const HOUR_MS = 3_600_000
const SINCE = new Date(Date.now() - 24 * HOUR_MS)

/** Deliveries of an endpoint that ended so many hours ago, one for each row. */
async function endDeliveries(
  pool: Pool,
  rows: readonly { readonly endpoint?: string; readonly hoursAgo?: number; readonly state?: string | null }[],
): Promise<void> {
  for (const [index, { endpoint = 'crm', hoursAgo = 1, state = 'gave_up' }] of rows.entries()) {
    await pool.query(
      `WITH made AS (
         INSERT INTO deliveries (delivery_id, created_at, endpoint_id, event_id, replay_no, kind, cause, click_id, config_version,
           method, url)
         VALUES (nextval('delivery_ids'), date_trunc('milliseconds', now()) - interval '3 days' + $2 * interval '1 ms', $1,
           gen_random_uuid(), 0, 'auto', 'sale', uuidv7(), 1, 'GET', 'https://x/')
         RETURNING *
       ), keyed AS (
         INSERT INTO delivery_keys (endpoint_id, event_id, replay_no, delivery_id, created_at, clicked_on)
         SELECT endpoint_id, event_id, replay_no, delivery_id, created_at, delivery_key_day(click_id) FROM made
       )
       INSERT INTO delivery_finals (delivery_id, created_at, endpoint_id, state, reason, attempts, finished_at)
       SELECT delivery_id, created_at, endpoint_id, $4, 'attempts_exhausted', 12, now() - $3 * interval '1 hour' FROM made
       WHERE $4::text IS NOT NULL`,
      [endpoint, index, hoursAgo, state],
    )
  }
}

async function begin(pool: Pool, perMinute: number): Promise<string> {
  const filter = missedFilter('crm', SINCE)
  const replay = await createReplay(pool, { filter, perMinute, by: 'test', tenant: OWNER, nowMs: Date.now() })
  return replay!.replay_id
}

test('missed is what ended without success since then, of that endpoint, and was not sent once more', async (t) => {
  const { pool } = await withDatabase(t)
  await endDeliveries(pool, [
    {},
    { state: 'quarantined' },
    { state: 'cancelled' },
    { state: null },
    { hoursAgo: 25 },
    { endpoint: 'other' },
  ])
  const filter = missedFilter('crm', SINCE)
  assert.deepEqual(await countReplay(pool, filter, OWNER), { replayed: 2, skipped: {}, isCut: false })
  await begin(pool, 600)
  await stepReplays(pool)
  const counted = { replayed: 0, skipped: { replayed_already: 2 }, isCut: false }
  assert.deepEqual(await countReplay(pool, filter, OWNER), counted)
  assert.equal(await countMissed(pool, 'crm', SINCE), 0)
  const { rows } = await pool.query("SELECT count(*)::int AS n FROM deliveries WHERE kind = 'replay' AND replay_no = 1")
  assert.deepEqual(rows, [{ n: 2 }])
})

test('a recovery goes at its own rate and ends where it is cancelled', async (t) => {
  const { pool } = await withDatabase(t)
  await endDeliveries(pool, [{}, {}, {}])
  const replayId = await begin(pool, 60)
  await stepReplays(pool)
  const [running] = await listReplays(pool, { replay_id: replayId }, undefined, 1)
  assert.deepEqual([running!.state, running!.replayed], ['running', 1n])
  const { rows } = await pool.query("SELECT next_at > now() + interval '500 ms' AS waits FROM delivery_replays")
  assert.deepEqual(rows, [{ waits: true }])
  await cancelReplay(pool, replayId)
  await pool.query('UPDATE delivery_replays SET next_at = now()')
  await stepReplays(pool)
  assert.equal(await countMissed(pool, 'crm', SINCE), 2)
})

type Node = {
  readonly 'Relation Name'?: string
  readonly 'Subplans Removed'?: number
  readonly Plans?: readonly Node[]
}
const nodesOf = (node: Node): readonly Node[] => [node, ...(node.Plans ?? []).flatMap(nodesOf)]

const WEEKS = 12

test('the keys of an event are looked for in the one partition of its click', async (t) => {
  const { pool } = await withDatabase(t)
  for (let week = 1; week <= WEEKS; week++)
    await pool.query(`
      CREATE TABLE delivery_keys_w${week} PARTITION OF delivery_keys
      FOR VALUES FROM ('${new Date(week * 7 * 24 * HOUR_MS).toISOString()}') TO ('${new Date((week + 1) * 7 * 24 * HOUR_MS).toISOString()}')`)
  await inTransaction(pool, async (tx) => {
    const explain = async (sql: string): Promise<readonly Node[]> => {
      const { rows } = await tx.query<{ 'QUERY PLAN': readonly { readonly Plan: Node }[] }>(
        `EXPLAIN (FORMAT JSON) ${sql}`,
      )
      return nodesOf(rows[0]!['QUERY PLAN'][0]!.Plan)
    }
    // The statement asks for keys by nothing but this function, which is planned by itself.
    for (const [index, sql] of replayStatements.entries()) {
      await tx.query(`PREPARE s${index} AS ${sql}`)
      const nodes = await explain(`EXECUTE s${index} (${Array.from({ length: 16 }, () => 'NULL').join(', ')})`)
      assert.deepEqual(
        nodes.filter((node) => node['Relation Name']?.startsWith('delivery_keys')),
        [],
      )
      assert.match(sql, /newest_replay_no\(d\.endpoint_id, d\.event_id, d\.click_id\)/)
    }
    const { rows } = await tx.query<{ prosrc: string }>("SELECT prosrc FROM pg_proc WHERE proname = 'newest_replay_no'")
    const body = ['of_endpoint_id', 'of_event_id', 'of_click_id'].reduce(
      (text, name, index) => text.replaceAll(name, `$${index + 1}`),
      rows[0]!.prosrc,
    )
    await tx.query(`PREPARE keys (text, uuid, uuid) AS ${body}`)
    await tx.query('SET LOCAL plan_cache_mode = force_generic_plan')
    const nodes = await explain("EXECUTE keys ('crm', gen_random_uuid(), uuidv7())")
    assert.equal(nodes.filter((node) => node['Relation Name']?.startsWith('delivery_keys')).length, 1)
    assert.equal(nodes.find((node) => node['Subplans Removed'] !== undefined)?.['Subplans Removed'], WEEKS)
  })
})
