import assert from 'node:assert/strict'
import { test } from 'node:test'

import { stringify } from 'yaml'

import { newUuidV7 } from '#platform/ids'
import type { Pool } from '#platform/postgres'
import { withDatabase } from '#test-kit'

import { readState } from './store.ts'
import {
  applyConfiguration,
  diffVersions,
  findVersion,
  listVersions,
  maskSnapshot,
  previewConfiguration,
  restoreVersion,
  type Restoration,
} from './index.ts'
import { stateOf } from './versions.ts'

const price = { type: 'sale', payout: '5.00', revenue: '8.00' }
const lamp = { advertiser_id: 'acme', landing_url: 'https://acme.example/', prices: [price] }
const endpoint = { offer_id: 'lamp', url: 'https://crm.example/?c={click_id}', secret: 'whsec_MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE=' } // prettier-ignore
const world = {
  fallback_url: 'https://fallback.example/',
  advertisers: { acme: { timezone: 'Europe/Berlin', currency: 'EUR' } },
  affiliates: { anna: { advertiser_ids: ['acme'] } },
  offers: { lamp: { ...lamp, starts_at: '2026-01-01', rule: { country: ['DE', 'AT'] } } },
  campaigns: { main: { advertiser_id: 'acme', offer_id: 'lamp', affiliate_id: 'anna' } },
  links: { go: { campaign_id: 'main', affiliate_id: 'anna' } },
  endpoints: { crm: endpoint },
}
const { starts_at: _starts, rule: _rule, ...plainLamp } = world.offers.lamp

async function apply(pool: Pool, file: object): Promise<number> {
  const applied = await applyConfiguration(pool, stringify(file), { by: 'test' })
  assert.ok(applied.kind === 'applied', JSON.stringify(applied))
  return applied.version
}

const restore = (pool: Pool, version: number, dryRun = false): Promise<Restoration> =>
  restoreVersion(pool, version, { by: 'anna of operations', dryRun })

const changesOf = (result: Restoration): readonly string[] => {
  assert.ok(result.kind === 'restored' || result.kind === 'planned', JSON.stringify(result))
  return result.changes.map(({ kind, object, id }) => `${kind} ${object} ${id}`)
}

/** A key is the least that remembers an affiliate; a conversion remembers offer, campaign, affiliate and advertiser. */
const bookConversion = (pool: Pool, offerId: string, campaignId: string): Promise<unknown> =>
  pool.query(
    `INSERT INTO conversions (conversion_id, advertiser_id, click_id, type, goal, txid, offer_id, campaign_id, status,
       payout_micros, revenue_micros, currency, created_at, updated_at, click)
     VALUES ($1, 'acme', $1, 'sale', 'sale', '-', $2, $3, 'approved', 1, 1, 'EUR', now(), now(), '{}')`,
    [newUuidV7(Date.now()), offerId, campaignId],
  )

test('a snapshot gives back the configuration that it was made of', async (t) => {
  const { pool } = await withDatabase(t)
  await apply(pool, world)
  const { snapshot } = (await findVersion(pool, undefined))!
  assert.deepEqual(stateOf(snapshot), await readState(pool))
})

test('puts an earlier version in force again as a new one that is equal to it', async (t) => {
  const { pool } = await withDatabase(t)
  const first = await apply(pool, world)
  const changed = { ...world, offers: { lamp: plainLamp, torch: lamp }, links: { go: { state: 'absent' } } }
  await apply(pool, changed)
  await apply(pool, { fallback_url: 'https://other.example/' })
  const planned = await restore(pool, first, true)
  const expected = ['changed setting fallback_url', 'changed offer lamp', 'removed offer torch', 'added link go']
  assert.deepEqual([planned.kind, changesOf(planned)], ['planned', expected])
  assert.equal((await findVersion(pool, undefined))!.version, 3)

  const restored = await restore(pool, first)
  assert.ok(restored.kind === 'restored')
  assert.deepEqual([restored.version, changesOf(restored), restored.kept], [4, expected, []])
  const newest = (await findVersion(pool, undefined))!
  assert.deepEqual([newest.version, newest.createdBy, newest.restoredVersion], [4, 'anna of operations', first])
  const { version: _, created_at: _at, ...parts } = newest.snapshot
  const { version: _1, created_at: _at1, ...wanted } = (await findVersion(pool, first))!.snapshot
  assert.deepEqual(parts, wanted)
  assert.deepEqual(await restore(pool, first), { kind: 'unchanged', version: 4, kept: [] })
})

test('puts lists and the scoring of fraud in force again', async (t) => {
  const { pool } = await withDatabase(t)
  const first = await apply(pool, {
    ...world,
    lists: { office: ['10.0.0.0/8'] },
    fraud: { scores: { datacentre: 40 } },
  })
  await apply(pool, { lists: { office: ['192.0.2.0/24'] }, fraud: { scores: { datacentre: 10 } } })
  const restored = await restore(pool, first)
  assert.equal(restored.kind, 'restored', JSON.stringify(restored))
  const { snapshot } = (await findVersion(pool, undefined))!
  assert.deepEqual(snapshot.lists, { office: ['10.0.0.0/8'] })
  assert.equal(snapshot.fraud?.scores?.datacentre, 40)
})

test('keeps what conversions remember, out of service, with everything that it names', async (t) => {
  const { pool } = await withDatabase(t)
  const first = await apply(pool, world)
  await apply(pool, {
    advertisers: { ...world.advertisers, globex: {} },
    affiliates: { bert: { advertiser_ids: ['acme'] } },
    offers: { torch: lamp, candle: lamp, unused: lamp },
    campaigns: {
      extra: {
        advertiser_id: 'acme',
        affiliate_id: 'bert',
        flows: [{ flow_id: 'x', offers: [{ offer_id: 'candle' }] }],
      },
    },
  })
  await bookConversion(pool, 'torch', 'extra')
  const restored = await restore(pool, first)
  assert.ok(restored.kind === 'restored', JSON.stringify(restored))
  assert.deepEqual(restored.kept.map(({ object, id, status, why }) => `${object} ${id} ${status}: ${why}`), [
    'offer torch archived: Conversions, postbacks, bookings or API keys name it.',
    'campaign extra paused: Conversions, postbacks, bookings or API keys name it.',
    'affiliate bert blocked: The campaign "extra" names it.',
    'offer candle archived: The campaign "extra" names it.',
  ]) // prettier-ignore
  assert.deepEqual(changesOf(restored), [
    'removed advertiser globex', 'changed affiliate bert', 'changed offer torch', 'changed offer candle',
    'removed offer unused', 'changed campaign extra',
  ]) // prettier-ignore
})

test('refuses to give an offer with a history to another advertiser', async (t) => {
  const { pool } = await withDatabase(t)
  const first = await apply(pool, { ...world, advertisers: { ...world.advertisers, globex: {} } })
  await apply(pool, { endpoints: { crm: { state: 'absent' } }, links: { go: { state: 'absent' } }, campaigns: { main: { state: 'absent' } }, offers: { lamp: { state: 'absent' } } }) // prettier-ignore
  await apply(pool, { offers: { lamp: { ...lamp, advertiser_id: 'globex' } } })
  const refused = await restore(pool, first)
  assert.deepEqual(refused, { kind: 'refused', reasons: ['The offer "lamp" belongs to "globex" now and to "acme" in that version.'] }) // prettier-ignore
})

test('refuses a flow id that a campaign which stays has taken over', async (t) => {
  const { pool } = await withDatabase(t)
  const flows = [{ flow_id: 'x', offers: [{ offer_id: 'lamp' }] }]
  const first = await apply(pool, {
    ...world,
    campaigns: { ...world.campaigns, old: { advertiser_id: 'acme', flows } },
  })
  await apply(pool, { campaigns: { old: { state: 'absent' }, heir: { advertiser_id: 'acme', flows } } })
  await bookConversion(pool, 'lamp', 'heir')
  const refused = await restore(pool, first)
  assert.deepEqual(refused, {
    kind: 'refused',
    reasons: ['The campaigns "old" and "heir" would both have a flow "x".'],
  })
})

test('knows no version that was never made, and does nothing where a newer one was made meanwhile', async (t) => {
  const { pool } = await withDatabase(t)
  const first = await apply(pool, world)
  assert.deepEqual(await restore(pool, 99), { kind: 'version_unknown' })
  await apply(pool, { offers: { torch: lamp } })
  const result = await restoreVersion(pool, first, { by: 'test', dryRun: false, newest: first })
  assert.deepEqual(result, { kind: 'outdated', newest: 2 })
  assert.equal((await findVersion(pool, undefined))!.version, 2)
})

test('restores and applies one after the other, never both at once', async (t) => {
  const { pool } = await withDatabase(t)
  const first = await apply(pool, world)
  await apply(pool, { offers: { torch: lamp } })
  const results = await Promise.all([
    restore(pool, first),
    apply(pool, { offers: { candle: lamp } }),
    restore(pool, 2),
    apply(pool, { offers: { lantern: lamp } }),
  ])
  assert.equal(results.length, 4)
  const versions = await listVersions(pool, undefined, 100)
  assert.deepEqual(versions.map(({ version }) => version), versions.map((_, index) => versions.length - index)) // prettier-ignore
  // Each version is the one before with its own difference: nobody built on a state that was gone by then.
  for (const { version } of versions.slice(0, -1)) {
    const kept = (await findVersion(pool, version))!.changes
    assert.deepEqual(await diffVersions(pool, version - 1, version), kept)
  }
})

test('lists versions with who, when and how much, and shows none of their secrets', async (t) => {
  const { pool } = await withDatabase(t)
  await apply(pool, world)
  await apply(pool, { offers: { lamp: plainLamp }, links: { go: { state: 'absent' } } })
  const [second, first] = await listVersions(pool, undefined, 10)
  assert.deepEqual(
    [second!.added, second!.changed, second!.removed, second!.firstObjects, second!.createdBy],
    [0, 1, 1, ['offer lamp', 'link go'], 'test'],
  )
  assert.deepEqual([first!.added, first!.firstObjects.length], [6, 5])
  assert.deepEqual((await listVersions(pool, 2, 10)).map(({ version }) => version), [1]) // prettier-ignore
  const { snapshot } = (await findVersion(pool, 1))!
  assert.ok(snapshot.redirect_key !== undefined)
  const shown = JSON.stringify(maskSnapshot(snapshot))
  assert.ok(!shown.includes('whsec_') && !shown.includes(snapshot.redirect_key))
  assert.equal(await diffVersions(pool, 1, 99), undefined)
  const back = await diffVersions(pool, 2, 1)
  assert.deepEqual(back!.map(({ kind, id }) => `${kind} ${id}`), ['changed lamp', 'added go']) // prettier-ignore
})

test('previews what a file would make, and writes nothing', async (t) => {
  const { pool } = await withDatabase(t)
  await apply(pool, world)
  const file = stringify({ offers: { torch: lamp } })
  const preview = await previewConfiguration(pool, file)
  assert.ok(preview.kind === 'previewed')
  assert.equal((await findVersion(pool, undefined))!.version, 1)
  await apply(pool, { offers: { torch: lamp } })
  const { created_at: _, ...expected } = (await findVersion(pool, undefined))!.snapshot
  const { created_at: _at, ...previewed } = preview.snapshot
  assert.deepEqual({ ...previewed, offers: byId(previewed.offers) }, { ...expected, offers: byId(expected.offers) })
  const wrong = await previewConfiguration(pool, 'offers: { x: {} }')
  assert.ok(wrong.kind === 'refused' && wrong.issues[0]!.code === 'key_missing')
})

const byId = (offers: readonly { readonly offer_id: string }[]) =>
  [...offers].sort((left, right) => left.offer_id.localeCompare(right.offer_id))
