import assert from 'node:assert/strict'
import { test } from 'node:test'

import { stringify } from 'yaml'

import type { Pool } from '#platform/postgres'
import { chooseTarget, compileSnapshot, type Snapshot } from '#routing'
import { facts } from '#routing/test-snapshots'
import { withDatabase } from '#test-kit'

import { applyConfiguration, printApplication } from './index.ts'

const offers = {
  lamp: { advertiser_id: 'acme', landing_url: 'https://acme.example/', prices: [{ type: 'sale', payout: 1 }] },
}
const world = { advertisers: { acme: {} }, offers } // prettier-ignore
const mainWith = (rule: unknown): object => ({
  campaigns: { main: { advertiser_id: 'acme', flows: [{ flow_id: 'f', offer_id: 'lamp', rule }] } },
})

async function apply(pool: Pool, file: object): Promise<readonly string[]> {
  const application = await applyConfiguration(pool, stringify(file), { by: 'test' })
  if (application.kind === 'refused') return application.issues.map(({ path, message }) => `${path}: ${message}`)
  assert.equal(application.kind, 'applied', printApplication(application, 'file.yaml'))
  return application.kind !== 'applied'
    ? []
    : application.changes.map(({ kind, object, id, fields }) => [kind, object, id, ...fields.map(({ after }) => after)].join(' '))
} // prettier-ignore

async function newest(pool: Pool): Promise<Snapshot> {
  const { rows } = await pool.query<{ snapshot: Snapshot }>(
    'SELECT snapshot FROM config_versions ORDER BY version DESC LIMIT 1',
  )
  return rows[0]!.snapshot
}

test('rules of flows name the lists of the file, and decide by them', async (t) => {
  const { pool } = await withDatabase(t)
  const lists = { office: ['10.0.0.0/8', '2001:db8::/32'], partners: ['ann', 'bob'] }
  const changes = await apply(pool, { ...world, ...mainWith('ip in @office and sub1 in (@partners, carl)'), lists })
  assert.deepEqual(changes.slice(0, 2), ['added list office', 'added list partners'])
  const snapshot = await newest(pool)
  assert.deepEqual(snapshot.lists, lists)
  const decide = (ip: string, sub1: string): string | undefined =>
    chooseTarget(facts({ campaignId: 'main' }, { visitor: { ip }, parameters: { sub1 } }), compileSnapshot(snapshot))
      .refusal
  assert.equal(decide('10.1.2.3', 'Carl'), undefined)
  assert.equal(decide('2001:db8::7', 'bob'), undefined)
  assert.equal(decide('192.0.2.1', 'bob'), 'no_flow_matched')
  assert.equal(decide('10.1.2.3', 'dora'), 'no_flow_matched')
})

test('a list of the file replaces the one of its name, the others stay; changes are counted', async (t) => {
  const { pool } = await withDatabase(t)
  await apply(pool, { ...world, lists: { a: ['x', 'y'], b: ['z'] } })
  assert.deepEqual(await apply(pool, { lists: { a: ['y', 'v', 'w'] } }), ['changed list a 3 entries: 2 new, 1 gone'])
  assert.deepEqual((await newest(pool)).lists, { a: ['y', 'v', 'w'], b: ['z'] })
  assert.deepEqual(await apply(pool, { lists: { b: null } }), ['removed list b'])
  assert.deepEqual(await apply(pool, { prune: true, ...world }), ['removed list a'])
  assert.deepEqual((await newest(pool)).lists, {})
})

test('a list that a rule elsewhere names cannot be taken away or changed to what the rule cannot compare', async (t) => {
  const { pool } = await withDatabase(t)
  await apply(pool, { ...world, ...mainWith({ ip: ['@office'] }), lists: { office: ['10.0.0.0/8'], more: ['x'] } })
  assert.deepEqual(await apply(pool, { lists: { office: null } }), [
    'lists: campaigns.main.flows[f].rule.value[0]: There is no list "office". Write "@@office" for the text "@office".',
  ])
  assert.deepEqual(await apply(pool, { lists: { office: ['here'] } }), [
    'lists: campaigns.main.flows[f].rule.value[0]: The list "office" holds "here": expected addresses and blocks of addresses.',
  ])
})

test('rules of offers and of their caps are looked after too', async (t) => {
  const { pool } = await withDatabase(t)
  const cap = { cap_id: 'daily', metric: 'clicks', period: 'day', limit: 10, rule: 'sub1 in @vips' }
  const lamp = { ...offers.lamp, rule: 'sub2 in @vips', block: 'sub3 in @vips', caps: [cap] }
  await apply(pool, { ...world, offers: { lamp }, lists: { vips: ['ann'] } })
  const issues = await apply(pool, { lists: { vips: null } })
  assert.deepEqual(
    issues.map((issue) => issue.split(': ')[1]),
    ['offers.lamp.rule.value[0]', 'offers.lamp.block.value[0]', 'offers.lamp.caps[daily].rule.value[0]'],
  )
})

test('texts that begin with @ stay what they are until there is a list', async (t) => {
  const { pool } = await withDatabase(t)
  await apply(pool, { ...world, ...mainWith({ sub1: '@joe' }) })
  assert.deepEqual(await apply(pool, { lists: { office: ['10.0.0.0/8'] } }), [
    'lists: campaigns.main.flows[f].rule.value: There is no list "joe". Write "@@joe" for the text "@joe".',
  ])
})

test('names and sizes of lists are bounded', async (t) => {
  const { pool } = await withDatabase(t)
  const issues = await apply(pool, { lists: { 'a b': ['x'], empty: [], long: ['x'.repeat(256)] } })
  assert.deepEqual(issues.map((issue) => issue.split(':')[0]), ['lists.a b', 'lists.empty', 'lists.long[0]']) // prettier-ignore
  const entries = Array.from({ length: 100_001 }, (_, index) => `e${index}`)
  assert.match((await apply(pool, { lists: { large: entries } }))[0]!, /^lists\.large: The list has 100001 entries/)
  assert.deepEqual(await apply(pool, { lists: { large: entries.slice(1) } }), ['added list large'])
})
