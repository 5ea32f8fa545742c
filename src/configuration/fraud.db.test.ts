import assert from 'node:assert/strict'
import { test } from 'node:test'

import { stringify } from 'yaml'

import type { Pool } from '#platform/postgres'
import type { Snapshot } from '#routing'
import { withDatabase } from '#test-kit'

import { applyConfiguration, printApplication, restoreVersion } from './index.ts'

const offerOf = (more: object = {}): object => ({
  advertiser_id: 'acme',
  landing_url: 'https://acme.example/',
  prices: [{ type: 'sale', payout: 1 }],
  ...more,
})
const world = {
  advertisers: { acme: {} },
  offers: { lamp: offerOf(), spare: offerOf() },
  links: { hidden: { offer_id: 'lamp', trap: true } },
}

async function apply(pool: Pool, file: object): Promise<readonly string[]> {
  const application = await applyConfiguration(pool, stringify(file), { by: 'test' })
  if (application.kind === 'refused') return application.issues.map(({ path, message }) => `${path}: ${message}`)
  assert.equal(application.kind, 'applied', printApplication(application, 'file.yaml'))
  return application.kind === 'applied'
    ? application.changes.map(({ kind, object, id }) => `${kind} ${object} ${id}`)
    : []
}

async function newest(pool: Pool): Promise<Snapshot> {
  const { rows } = await pool.query<{ snapshot: Snapshot }>(
    'SELECT snapshot FROM config_versions ORDER BY version DESC LIMIT 1',
  )
  return rows[0]!.snapshot
}

const settings = {
  scores: { ip_rate: 60 },
  thresholds: { mark: 20, refuse: 90 },
  conversion_thresholds: { hold: 50 },
  divert_to: { offer_id: 'spare' },
  rates: { ip: { limit: 5, window_seconds: 30 } },
  duplicate_seconds: 3,
  referrers: { allow: ['*.example.com', '@partners'] },
  ctit: { seconds_min: 5 },
  conversions: { per_ip: 2 },
}
const lists = { partners: ['a.example'] }

test('settings of the installation and of an offer, and links that are traps, come into the snapshot as written', async (t) => {
  const { pool } = await withDatabase(t)
  const own_rules = [
    { name: 'far', score: 10, at: 'conversion', rule: { field: 'ctit_seconds', op: 'between', value: [60, 90] } },
  ]
  const ofOffer = { rates: { ip: { limit: 2 } }, divert_to: { url: 'https://away.example/' } }
  const offers = { ...world.offers, lamp: offerOf({ fraud: ofOffer }) }
  const changes = await apply(pool, { ...world, offers, lists, fraud: { ...settings, own_rules } })
  assert.ok(changes.includes('changed setting fraud'), changes.join(', '))
  const snapshot = await newest(pool)
  const rule = { field: 'ctit_seconds' }
  assert.partialDeepStrictEqual(snapshot.fraud, settings)
  assert.partialDeepStrictEqual(snapshot.fraud?.own_rules, [{ name: 'far', score: 10, at: 'conversion' }])
  assert.ok(JSON.stringify(snapshot.fraud?.own_rules).includes(rule.field))
  assert.deepEqual(snapshot.offers.find(({ offer_id }) => offer_id === 'lamp')?.fraud, ofOffer)
  assert.equal(snapshot.links[0]?.trap, true)
})

test('settings stay where a file does not name them, and go where it names none or prunes', async (t) => {
  const { pool } = await withDatabase(t)
  await apply(pool, { ...world, lists, fraud: settings })
  await apply(pool, { affiliates: { ann: {} } })
  assert.deepEqual((await newest(pool)).fraud, settings)
  assert.deepEqual(await apply(pool, { fraud: null }), ['changed setting fraud'])
  assert.equal((await newest(pool)).fraud, undefined)
  await apply(pool, { fraud: { ctit: { seconds_min: 1 } } })
  await apply(pool, { prune: true, ...world })
  assert.equal((await newest(pool)).fraud, undefined)
})

test('what the settings name cannot be taken away', async (t) => {
  const { pool } = await withDatabase(t)
  await apply(pool, { ...world, lists, fraud: settings })
  assert.deepEqual(await apply(pool, { offers: { spare: { state: 'absent' } } }), [
    'offers.spare.state: The offer "spare" cannot be removed: the setting "fraud" names it.',
  ])
  assert.deepEqual(await apply(pool, { lists: { partners: null } }), [
    'lists: fraud.referrers.allow.1: Expected the name of a list.',
  ])
})

test('a version is restored with its settings', async (t) => {
  const { pool } = await withDatabase(t)
  await apply(pool, { ...world, lists, fraud: settings })
  await apply(pool, { fraud: null })
  assert.equal((await restoreVersion(pool, 1, { by: 'test', dryRun: false })).kind, 'restored')
  assert.deepEqual((await newest(pool)).fraud, settings)
})
