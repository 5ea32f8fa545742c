import assert from 'node:assert/strict'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { test, type TestContext } from 'node:test'

import { openSqliteCapState } from '#caps'
import { changeStatus } from '#conversions'
import {
  clickWith,
  eventWith,
  offerWith,
  snapshotWith,
  withInstallation,
  type TestInstallation,
} from '#pipeline/test-installation'
import { fixedClock } from '#platform/clock'
import { compileCappedOffers } from '#routing'
import { withTempDir } from '#test-kit'

import { reconcile, type Reconciliation } from './reconcile.ts'

const NOON = Date.UTC(2026, 5, 1, 12)
const MINUTE = 60_000
const BOOT = 'boot-of-test'

const CAPS = [
  { cap_id: 'leads', metric: 'conversions', period: 'total', limit: 9, mode: 'hard' },
  { cap_id: 'budget', metric: 'payout', period: 'day', limit: 1_000_000_000, mode: 'soft', per: ['country'] },
  { cap_id: 'clicks', metric: 'clicks', period: 'day', limit: 100, mode: 'hard' },
] as const

type World = { readonly w: TestInstallation; readonly directory: string; readonly run: () => Promise<Reconciliation> }

/** Three conversions of capped clicks, one of them rejected later; all settled. */
async function withConversions(t: TestContext): Promise<World> {
  const w = await withInstallation(t)
  w.snapshot = snapshotWith({ offers: [offerWith({ caps: CAPS })] })
  await w.pool.query(
    `INSERT INTO config_versions (version, snapshot, created_at, created_by, diff) VALUES (1, $1, $2, 'test', '[]')`,
    [JSON.stringify(w.snapshot), new Date(NOON - 10 * MINUTE)],
  )
  const directory = join(withTempDir(t), 'caps')
  const clock = fixedClock(NOON)
  const state = openSqliteCapState({ directory, clock, bootId: BOOT })
  t.after(() => state.close())
  await state.rebuild([])
  const clicks = [1, 2, 3].map((minute) => clickWith({ at: NOON + minute * MINUTE, country: 'DE' }))
  for (const click of clicks) {
    const keys = compileCappedOffers(w.snapshot).get('casino')!.keysOfRecordedClick(click)
    assert.equal(state.reserve(click.click_id, click.at, keys).kind, 'reserved')
    await w.append(click, eventWith(click.click_id, 'reg', { at: click.at + MINUTE }))
  }
  await w.drain({ caps: state, clock })
  const { id } = await w.row<{ id: string }>(`SELECT min(conversion_id::text) AS id FROM conversions`)
  await changeStatus(w.pool, w.snapshot, { conversionId: id, status: 'rejected', by: 'test', at: NOON + 9 * MINUTE })
  await w.drain({ caps: state, clock })
  const { log, pool, facts } = w
  const run = () => reconcile({ log, pool, facts, clock, waitMsMax: 0, caps: { directory, bootId: BOOT } })
  return { w, directory, run }
}

const CAP_CHECKS = ['caps_as_revisions', 'caps_as_conversions', 'caps_complete']
const wrong = ({ checks }: Reconciliation): readonly string[] =>
  checks.filter(({ isBalanced }) => !isBalanced).map(({ check }) => check)

/** Writes into the counts past everybody. */
function damage({ directory }: World, sql: string): void {
  const database = new DatabaseSync(join(directory, `run-${BOOT}`, 'caps.db'))
  assert.notEqual(database.prepare(sql).run().changes, 0)
  database.close()
}

test('what caps have counted of conversions agrees with what was booked', async (t) => {
  const { run } = await withConversions(t)
  const result = await run()
  assert.deepEqual(wrong(result), [])
  assert.equal(result.verdict, 'balanced')
  assert.deepEqual(result.checks.filter(({ check }) => CAP_CHECKS.includes(check)).length, CAP_CHECKS.length)
})

/** Keys begin with c for a count and v for what a conversion has counted; `:vt` stands for conversions in all. */
const COUNT_OF_LEADS = `key > x'63' AND key < x'64' AND instr(key, x'3a7674') > 0`
const damages: readonly (readonly [name: string, sql: string, found: readonly string[]])[] = [
  [
    'a count that is too high',
    `UPDATE entries SET value = x'0000000000002040' WHERE ${COUNT_OF_LEADS}`,
    ['caps_as_conversions'],
  ],
  ['a count that is gone', `DELETE FROM entries WHERE ${COUNT_OF_LEADS}`, ['caps_as_conversions']], // prettier-ignore
  ['a conversion that was not counted', `DELETE FROM entries WHERE key = (SELECT max(key) FROM entries WHERE key > x'76' AND key < x'77')`, ['caps_as_conversions', 'caps_complete']], // prettier-ignore
]
for (const [name, sql, found] of damages)
  test(`finds ${name}`, async (t) => {
    const world = await withConversions(t)
    damage(world, sql)
    const result = await world.run()
    assert.equal(result.verdict, 'different')
    assert.deepEqual(wrong(result), found)
  })

test('finds a conversion that counts otherwise than its revision says', async (t) => {
  const { w, run } = await withConversions(t)
  await w.pool.query('ALTER TABLE conversion_revisions DISABLE TRIGGER USER')
  await w.pool.query(`UPDATE conversion_revisions SET payout_micros = payout_micros + 1 WHERE status = 'pending'`)
  const result = await run()
  const found = result.checks.find(({ check }) => check === 'caps_as_revisions')
  // The third is rejected, and counts nothing.
  assert.equal(found!.found, '2')
  assert.match(found!.examples[0]!, /^conversion [0-9a-f-]{36} revision 1$/)
})

test('conversions from before the last change of the configuration are not expected in caps', async (t) => {
  const { w, run } = await withConversions(t)
  const offers = [offerWith({ caps: [{ ...CAPS[0], cap_id: 'other' }] })]
  await w.pool.query(
    `INSERT INTO config_versions (version, snapshot, created_at, created_by, diff) VALUES (2, $1, $2, 'test', '[]')`,
    [JSON.stringify(snapshotWith({ offers })), new Date(NOON + 20 * MINUTE)],
  )
  assert.deepEqual(wrong(await run()), [])
})

test('counts that lack what a power cut took are not compared, and the verdict is that it is behind', async (t) => {
  const { w, directory } = await withConversions(t)
  const { log, pool, facts } = w
  const after = openSqliteCapState({ directory, clock: fixedClock(NOON), bootId: 'next-boot' })
  t.after(() => after.close())
  const result = await reconcile({ log, pool, facts, waitMsMax: 0, caps: { directory, bootId: 'next-boot' } })
  assert.deepEqual([result.verdict, wrong(result)], ['behind', []])
  assert.ok(!result.checks.some(({ check }) => CAP_CHECKS.includes(check)))
})
