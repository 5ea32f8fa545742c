import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { test } from 'node:test'

import fc from 'fast-check'
import pg from 'pg'
import { stringify } from 'yaml'

import type { Pool } from '#platform/postgres'
import type { Snapshot } from '#routing'
import { openSnapshot } from '#secrets'
import { withDatabase } from '#test-kit'

import { applyConfiguration, ensureConfiguration, printApplication, type Application, type Change } from './index.ts'

const minimal = readFileSync(new URL('../../examples/minimal.yaml', import.meta.url), 'utf8')

const apply = (pool: Pool, yaml: string | object, dryRun = false): Promise<Application> =>
  applyConfiguration(pool, typeof yaml === 'string' ? yaml : stringify(yaml), { by: 'test', dryRun })

async function applied(pool: Pool, yaml: string | object): Promise<readonly Change[]> {
  const application = await apply(pool, yaml)
  assert.ok(application.kind === 'applied', printApplication(application, 'file.yaml'))
  return application.changes
}

async function refusals(pool: Pool, yaml: string | object): Promise<readonly string[]> {
  const application = await apply(pool, yaml)
  assert.ok(application.kind === 'refused', printApplication(application, 'file.yaml'))
  return application.issues.map(({ line, code }) => `${line} ${code}`)
}

async function newest(pool: Pool): Promise<Snapshot> {
  const { rows } = await pool.query<{ snapshot: Snapshot }>(
    'SELECT snapshot FROM config_versions ORDER BY version DESC LIMIT 1',
  )
  return openSnapshot(rows[0]!.snapshot)
}

const sale = { type: 'sale', payout: '5.00', revenue: '8.00' }
const lamp = { advertiser_id: 'acme', landing_url: 'https://acme.example/', prices: [sale] }
const world = {
  fallback_url: 'https://fallback.example/',
  advertisers: { acme: { timezone: 'Europe/Berlin', currency: 'EUR' } },
  affiliates: { anna: { advertiser_ids: ['acme'] } },
  offers: { lamp },
  campaigns: { main: { advertiser_id: 'acme', offer_id: 'lamp' } },
  links: { go: { campaign_id: 'main', affiliate_id: 'anna' } },
  endpoints: { crm: { offer_id: 'lamp', url: 'https://crm.example/?c={click_id}' } },
}

test('applies the minimal example, and finds it unchanged the second time', async (t) => {
  const { pool } = await withDatabase(t)
  assert.equal(await ensureConfiguration(pool), 1)
  assert.equal(await ensureConfiguration(pool), 1)
  const changes = await applied(pool, minimal)
  assert.deepEqual(changes.map(({ kind, object, id }) => `${kind} ${object} ${id}`), [
    'added advertiser shop', 'added affiliate anna', 'added offer summer-sale', 'added campaign main',
  ]) // prettier-ignore
  assert.deepEqual(await apply(pool, minimal), { kind: 'unchanged', version: 2 })
  assert.equal((await newest(pool)).version, 2)
})

test('fills in every default, and turns decimals into exact micros', async (t) => {
  const { pool } = await withDatabase(t)
  await applied(pool, {
    ...world,
    offers: {
      lamp: {
        ...lamp,
        starts_at: '2026-03-29',
        prices: [{ type: 'sale', payout: '0.000001', revenue: 9_000_000_000 }],
        status_map: { FTD: 'sale', Ok: 'approved' },
      },
    },
  })
  const { offers, campaigns, endpoints, advertisers, fallback_url } = await newest(pool)
  assert.deepEqual(offers, [
    {
      offer_id: 'lamp', advertiser_id: 'acme', name: 'lamp', status: 'active', starts_at: Date.UTC(2026, 2, 28, 23), model: 'cpa',
      currency: 'EUR', hold_days: 0, custom_events: [], unique_ttl_hours: 24, click_lifetime_days: 90,
      prices: [{ type: 'sale', payout_micros: 1, revenue_micros: 9_000_000_000_000_000, status: 'approved' }],
      landings: [{ landing_id: 'lamp', url: 'https://acme.example/', weight: 100 }],
      event_map: { reg: 'lead', lead: 'lead', deposit: 'sale', sale: 'sale' },
      status_map: { ftd: { type: 'sale' }, ok: { status: 'approved' } },
      postback: { secrets: [], hmac_secrets: [], allowed_addresses: [] },
    },
  ]) // prettier-ignore
  assert.deepEqual(campaigns[0]?.flows, [
    { flow_id: 'main', kind: 'default', status: 'active', weight: 0, offers: [{ offer_id: 'lamp', weight: 100 }] },
  ])
  assert.deepEqual(endpoints[0]?.scope, { advertiser_id: 'acme', offer_id: 'lamp' })
  assert.deepEqual(endpoints[0]?.triggers, ['lead', 'sale', 'rejected'])
  assert.deepEqual(
    [advertisers[0]?.name, advertisers[0]?.domains, fallback_url],
    ['acme', [], 'https://fallback.example/'],
  )
})

test('describes a change field by field, with amounts as decimals and secrets masked', async (t) => {
  const { pool } = await withDatabase(t)
  const secret = `whsec_${Buffer.alloc(32, 1).toString('base64')}`
  await applied(pool, world)
  const changes = await applied(pool, {
    ...world,
    fallback_url: null,
    offers: {
      lamp: { ...lamp, name: 'Lamp', prices: [{ ...sale, payout: 6.5 }], postback: { secrets: ['very-secret'] } },
    },
    links: { go: { state: 'absent' }, stop: { offer_id: 'lamp' } },
    endpoints: { crm: { offer_id: 'lamp', url: 'https://crm.example/?c={click_id}', secret } },
  })
  const text = printApplication({ kind: 'applied', version: 3, changes }, 'file.yaml')
  assert.equal(
    text,
    `~ setting fallback_url
    - "https://fallback.example/"
~ offer lamp
    ~ name: "lamp" → "Lamp"
    ~ prices[0].payout: 5.00 → 6.50
    ~ postback.secrets: (secret) → (secret)
+ link stop
- link go
~ endpoint crm
    + secret: (secret)
1 to add, 3 to change, 1 to remove.
Applied as version 3.`,
  )
  assert.ok(!JSON.stringify(changes).includes('very-secret') && !JSON.stringify(changes).includes(secret))
})

test('leaves alone what the file does not name, and resets what it names without saying more', async (t) => {
  const { pool } = await withDatabase(t)
  await applied(pool, { ...world, advertisers: { acme: { name: 'Acme', currency: 'EUR' } } })
  await applied(pool, { advertisers: { acme: { currency: 'EUR' } } })
  const { advertisers, offers, links, fallback_url } = await newest(pool)
  assert.deepEqual(
    [advertisers[0]?.name, offers.length, links.length, fallback_url],
    ['acme', 1, 1, 'https://fallback.example/'],
  )
})

test('prune takes what is missing out of service and deletes only links', async (t) => {
  const { pool } = await withDatabase(t)
  await applied(pool, { ...world, advertisers: { acme: {}, other: {} } })
  const pruned = { prune: true, advertisers: { other: {} } }
  await applied(pool, pruned)
  const snapshot = await newest(pool)
  const statuses = [
    snapshot.advertisers[0],
    snapshot.affiliates[0],
    snapshot.offers[0],
    snapshot.campaigns[0],
    snapshot.endpoints[0],
  ]
  assert.deepEqual(statuses.map((one) => one?.status), ['paused', 'blocked', 'archived', 'paused', 'paused']) // prettier-ignore
  assert.deepEqual([snapshot.links, snapshot.fallback_url, snapshot.advertisers[1]?.status], [[], undefined, 'active'])
  assert.equal((await apply(pool, pruned)).kind, 'unchanged')
})

test('removes what is marked absent, unless something still names it or it has a history', async (t) => {
  const { pool } = await withDatabase(t)
  await applied(pool, world)
  assert.deepEqual(await refusals(pool, 'offers:\n  lamp: { state: absent }\n'), ['2 object_in_use'])
  assert.deepEqual(await refusals(pool, 'affiliates:\n  anna:\n    state: absent\n'), ['3 object_in_use'])
  const withoutUsers = {
    links: { go: { state: 'absent' } },
    endpoints: { crm: { state: 'absent' } },
    campaigns: { main: { state: 'absent' } },
    offers: { lamp: { state: 'absent' } },
  }
  await pool.query(`INSERT INTO inbound_postbacks (postback_id, received_at, via, offer_id, raw, record, outcome)
    VALUES (gen_random_uuid(), now(), 'postback', 'lamp', '', '{}', 'refused')`)
  const refused = await apply(pool, withoutUsers)
  assert.deepEqual(refused.kind === 'refused' && refused.issues.map(({ path, code }) => `${path} ${code}`), [
    'offers.lamp.state object_has_history',
  ])
  await pool.query('DELETE FROM inbound_postbacks')
  await applied(pool, withoutUsers)
  assert.deepEqual((await newest(pool)).offers, [])
  assert.equal((await apply(pool, withoutUsers)).kind, 'unchanged')
})

test('refuses to take a flow away that a link leads to', async (t) => {
  const { pool } = await withDatabase(t)
  const withFlow = (flowId: string) => ({
    campaigns: { main: { advertiser_id: 'acme', flows: [{ flow_id: flowId, offer_id: 'lamp' }] } },
  })
  await applied(pool, { ...world, ...withFlow('vip'), links: { go: { flow_id: 'vip' } } })
  assert.deepEqual(await refusals(pool, withFlow('other')), ['1 object_in_use'])
})

test('keeps offers and campaigns with their advertiser for ever', async (t) => {
  const { pool } = await withDatabase(t)
  await applied(pool, { ...world, advertisers: { acme: {}, other: {} } })
  const moved = await apply(pool, { offers: { lamp: { ...lamp, advertiser_id: 'other' } } })
  assert.deepEqual(moved.kind === 'refused' && moved.issues.map(({ path, code }) => `${path} ${code}`), [
    'offers.lamp.advertiser_id reference_foreign',
  ])
})

test('applies nothing when one thing is wrong, and nothing in a dry run', async (t) => {
  const { pool } = await withDatabase(t)
  await applied(pool, world)
  const before = await newest(pool)
  assert.equal(
    (await apply(pool, { advertisers: { acme: { name: 'New', currency: 'XXX1' }, fresh: {} } })).kind,
    'refused',
  )
  assert.deepEqual(await newest(pool), before)
  const planned = await apply(pool, { advertisers: { fresh: {} } }, true)
  assert.deepEqual([planned.kind, planned.kind === 'planned' && planned.version], ['planned', 2])
  assert.deepEqual(await newest(pool), before)
  const { rows } = await pool.query('SELECT FROM advertisers')
  assert.equal(rows.length, 1)
})

test('tells listeners the new version when it is committed', async (t) => {
  const { pool, url } = await withDatabase(t)
  const listener = new pg.Client({ connectionString: url })
  await listener.connect()
  await listener.query('LISTEN waypost_config')
  const heard = new Promise<string | undefined>((resolve) =>
    listener.once('notification', ({ payload }) => resolve(payload)),
  )
  await applied(pool, world)
  assert.equal(await heard, '1')
  await listener.end()
})

test('two applies at once come one after the other', async (t) => {
  const { pool } = await withDatabase(t)
  const results = await Promise.all(
    Array.from({ length: 4 }, (_, index) => apply(pool, { advertisers: { [`a${index}`]: {} } })),
  )
  const versions = results.map((one) => (one.kind === 'refused' ? 0 : one.version))
  assert.deepEqual(new Set(versions), new Set([1, 2, 3, 4]))
  assert.equal((await newest(pool)).advertisers.length, 4)
})

test('applies 10 000 flows and 1 000 offers within seconds, and changes one of them as fast', async (t) => {
  const { pool } = await withDatabase(t)
  const large = (payout: number): string => {
    const lines = ['advertisers:', '  acme: {}', 'offers:']
    for (let offer = 0; offer < 1_000; offer++)
      lines.push(
        `  offer-${offer}:`,
        '    advertiser_id: acme',
        '    landing_url: https://acme.example/',
        `    prices: [{ type: sale, payout: ${offer === 7 ? payout : 1} }]`,
      )
    lines.push('campaigns:')
    for (let campaign = 0; campaign < 100; campaign++) {
      lines.push(`  campaign-${campaign}:`, '    advertiser_id: acme', '    flows:')
      for (let flow = 0; flow < 100; flow++)
        lines.push(
          `      - flow_id: flow-${campaign}-${flow}`,
          '        rule: { country: [DE, AT], device_type: mobile }',
          `        offer_id: offer-${(campaign * 100 + flow) % 1_000}`,
        )
    }
    return lines.join('\n')
  }
  const startedAt = performance.now()
  assert.equal((await applied(pool, large(1))).length, 1_101)
  const changes = await applied(pool, large(2))
  assert.deepEqual(changes.map(({ id }) => id), ['offer-7']) // prettier-ignore
  assert.equal((await apply(pool, large(2))).kind, 'unchanged')
  t.diagnostic(`three applies of ${large(1).length} bytes: ${Math.round(performance.now() - startedAt)} ms`)
  assert.ok(performance.now() - startedAt < 60_000)
})

/** Configurations that are valid by construction. */
const idArb = fc.constantFrom('a', 'b', 'c', 'd')
const weightArb = fc.integer({ min: 1, max: 9 })
const ruleArb = fc.constantFrom<object | undefined>(
  undefined,
  { country: ['DE', 'AT'] },
  { not: { os: 'iOS' } },
  { any: [{ bot: true }, { field: 'sub1', op: 'contains', value: 'x' }] },
)
const optional = <Value>(arb: fc.Arbitrary<Value>): fc.Arbitrary<Value | undefined> =>
  fc.option(arb, { nil: undefined })
const offerArb = fc.record({
  advertiser_id: fc.constant('acme'),
  name: optional(fc.string({ minLength: 1, maxLength: 20 }).filter((name) => !/^(null|~)?$/.test(name.trim()))),
  landings: fc
    .array(weightArb, { minLength: 1, maxLength: 3 })
    .map((weights) =>
      weights.map((weight, index) => ({ landing_id: `l${index}`, url: `https://a.example/${index}`, weight })),
    ),
  prices: fc.array(
    fc.record({
      type: fc.constantFrom('lead', 'sale'),
      payout: fc.integer({ min: 0, max: 999_999 }).map((micros) => (micros / 1e6).toFixed(6)),
    }),
    { minLength: 1, maxLength: 3 },
  ),
  hold_days: optional(fc.integer({ min: 0, max: 365 })),
  ends_at: optional(fc.constantFrom('2026-10-25', '2027-01-01T10:00:00+02:00')),
  status_map: optional(
    fc.dictionary(fc.constantFrom('ok', 'Bad', '1'), fc.constantFrom('lead', 'approved', 'sale/rejected', 'ignore')),
  ),
})
const fileArb = fc
  .record({ offers: fc.dictionary(idArb, offerArb, { minKeys: 1, maxKeys: 4 }), prune: fc.boolean(), fallback: optional(fc.constantFrom(null, 'https://f.example/')), weights: fc.array(weightArb, { minLength: 1, maxLength: 3 }), rule: ruleArb, name: fc.constantFrom('x', 'y') })
  .map(({ offers, prune, fallback, weights, rule, name }) => ({
    prune,
    ...(fallback === undefined ? {} : { fallback_url: fallback }),
    advertisers: { acme: { name } },
    offers,
    campaigns: { main: { advertiser_id: 'acme', flows: weights.map((weight, index) => ({ flow_id: `f${index}`, weight, ...(rule && { rule }), offers: Object.keys(offers).map((offer_id) => ({ offer_id, weight })) })) } },
  })) // prettier-ignore

test('applying a file twice changes nothing, from any state; no difference means the same snapshot', async (t) => {
  const { pool } = await withDatabase(t)
  await fc.assert(
    fc.asyncProperty(fileArb, async (file) => {
      const before = await newest(pool).catch(() => undefined)
      const first = await apply(pool, file)
      assert.notEqual(first.kind, 'refused', JSON.stringify(first))
      const between = await newest(pool)
      if (first.kind === 'unchanged') assert.deepEqual(between, before)
      else if (first.kind === 'applied')
        assert.ok(first.changes.length > 0 && between.version === (before?.version ?? 0) + 1)
      assert.equal((await apply(pool, file)).kind, 'unchanged')
      assert.deepEqual(await newest(pool), between)
    }),
    { numRuns: 60, seed: 3 },
  )
})

test('an endpoint keeps its template, headers, batch and scope, and its headers are shown to nobody', async (t) => {
  const { pool } = await withDatabase(t)
  const endpoints = {
    tracker: {
      affiliate_id: 'anna',
      source_id: 'fb',
      yields: true,
      template: 'keitaro',
      parameters: { host: 'k.example', key: 'a1b2c3' },
    },
    warehouse: {
      triggers: ['click', 'payout_changed'],
      method: 'POST',
      url: 'https://warehouse.example/',
      headers: { Authorization: 'Bearer very-secret' },
      batch: { max_events: 100, format: 'wrapped' },
      at_most_once: true,
      ordered: true,
    },
  }
  await applied(pool, { ...world, endpoints })
  assert.equal((await apply(pool, { ...world, endpoints })).kind, 'unchanged')
  const [tracker, warehouse] = (await newest(pool)).endpoints
  assert.deepEqual(tracker?.scope, { affiliate_id: 'anna', source_id: 'fb' })
  assert.deepEqual([tracker?.yields, tracker?.template, tracker?.method], [true, 'keitaro', 'GET'])
  assert.deepEqual(tracker?.triggers, ['lead', 'sale', 'rejected', 'status_changed'])
  assert.match(tracker?.url ?? '', /^https:\/\/k\.example\/\{secret\.key\}\/postback\?subid=\{external_id!\}/)
  assert.deepEqual(tracker?.secrets, { key: 'a1b2c3' })
  assert.deepEqual(tracker?.success, { body: { contains: ['waypost_ok'] }, otherwise: 'retry_briefly' })
  const ops = {
    advertiser_id: 'acme',
    triggers: ['notice'],
    url: 'https://ops.example/',
    secret: `whsec_${Buffer.alloc(24, 7).toString('base64')}`,
  }
  await applied(pool, { ...world, endpoints: { ...endpoints, ops } })
  const found = (await newest(pool)).endpoints.find(({ endpoint_id }) => endpoint_id === 'ops')
  assert.deepEqual([found?.method, found?.triggers, found?.scope], ['POST', ['notice'], { advertiser_id: 'acme' }])
  const own = { ...endpoints.tracker, success: { statuses: ['200'] } }
  await applied(pool, { ...world, endpoints: { ...endpoints, tracker: own } })
  const kept = (await newest(pool)).endpoints.find(({ endpoint_id }) => endpoint_id === 'tracker')
  assert.deepEqual(kept?.success, { statuses: ['200'] })
  assert.deepEqual(warehouse?.headers, { Authorization: 'Bearer very-secret' })
  assert.deepEqual([tracker?.at_most_once, warehouse?.at_most_once, warehouse?.ordered], [undefined, true, true])
  assert.deepEqual(warehouse?.batch, {
    max_events: 100,
    max_wait_ms: 1_000,
    max_bytes: 1_048_576,
    format: 'wrapped',
    wrapper_key: 'events',
  })
  const { batch: _batch, ...rest } = endpoints.warehouse
  const changes = await applied(pool, {
    ...world,
    endpoints: { warehouse: { ...rest, headers: { Authorization: 'Bearer other-secret', 'X-New': 'new-secret' } } },
  })
  assert.doesNotMatch(JSON.stringify(changes), /(very|other|new)-secret/)
  assert.deepEqual(
    changes.flatMap(({ fields }) => fields.map(({ path }) => path)),
    ['headers.Authorization', 'headers.X-New', 'batch'],
  )
})
