import assert from 'node:assert/strict'
import { test, type TestContext } from 'node:test'

import type { Tx } from '#platform/postgres'
import { withTx } from '#test-kit'

import { becomeTenant, type Tenant } from './index.ts'

/** Rows of two advertisers (a, b) and two affiliates (x with both, y with b) in every table that holds tenants' data. */
const ROWS = `
  INSERT INTO advertisers SELECT id, id, 'UTC', 'USD', 'active' FROM unnest('{a,b}'::text[]) id;
  INSERT INTO affiliates SELECT id, id, 'active' FROM unnest('{x,y}'::text[]) id;
  INSERT INTO affiliate_memberships VALUES ('x', 'a'), ('x', 'b'), ('y', 'b');
  INSERT INTO offers (offer_id, advertiser_id, name, status, model, currency, prices, hold_days, landings, event_map, custom_events,
      status_map, postback, unique_ttl_hours, click_lifetime_days)
    SELECT id, id, id, 'active', 'cpa', 'USD', '[]', 0, '[]', '{}', '[]', '{}', '{"secrets":["hush"]}', 24, 0 FROM advertisers, LATERAL (SELECT advertiser_id AS id) i;
  INSERT INTO campaigns (campaign_id, advertiser_id, name, status, affiliate_id, flows, unique_ttl_hours)
    VALUES ('ax', 'a', 'ax', 'active', 'x', '[]', 24), ('bx', 'b', 'bx', 'active', 'x', '[]', 24), ('by', 'b', 'by', 'active', 'y', '[]', 24);
  INSERT INTO links (code, campaign_id) VALUES ('la', 'ax'), ('lb', 'bx');
  INSERT INTO postback_endpoints (endpoint_id, advertiser_id, name, status, scope, triggers, method, url, timeout_ms, max_concurrency, max_attempts, expires_hours, allow_private_address)
    SELECT id, adv, id, 'active', scope::jsonb, '[]', 'GET', 'https://x/', 1, 1, 1, 120, false FROM (VALUES ('ea', 'a', '{"advertiser_id":"a"}'), ('eb', 'b', '{"advertiser_id":"b"}'),
      ('exa', 'a', '{"advertiser_id":"a","affiliate_id":"x"}'), ('ex', NULL, '{"affiliate_id":"x"}')) v (id, adv, scope);
  UPDATE settings SET fallback_url = 'https://fallback/';
  INSERT INTO config_versions VALUES (1, '{}', now(), 'test', '[]');
  INSERT INTO api_keys (api_key_id, name, key_sha256, role, scopes, created_at) VALUES (gen_random_uuid(), 'k', 'h', 'owner', '{read}', now());
  CREATE TEMP TABLE pairs AS SELECT * FROM (VALUES ('a', 'x', 'ax'), ('b', 'x', 'bx'), ('b', 'y', 'by')) v (adv, aff, name);
  GRANT SELECT ON pairs TO waypost_tenant;
  INSERT INTO conversions (conversion_id, advertiser_id, click_id, type, goal, affiliate_id, offer_id, status, payout_micros, revenue_micros, currency, created_at, updated_at, click)
    SELECT md5('conversion' || name)::uuid, adv, md5('click' || name)::uuid, 'sale', 'sale', aff, adv, 'approved', 1, 2, 'USD', now(), now(), '{}' FROM pairs;
  INSERT INTO conversion_revisions (conversion_id, advertiser_id, revision, status, payout_micros, revenue_micros, sale_amount_micros, is_hold_released, cause, revised_at)
    SELECT conversion_id, advertiser_id, 1, 'approved', 1, 2, 0, true, 'event', now() FROM conversions;
  INSERT INTO ledger_accounts (advertiser_id, owner, affiliate_id, kind, currency)
    SELECT adv, 'affiliate', aff, 'hold', 'USD' FROM pairs UNION SELECT adv, 'platform', '', 'payout_cost', 'USD' FROM pairs;
  INSERT INTO ledger_transactions (booking_key, advertiser_id, conversion_id, description, booked_at)
    SELECT conversion_id::text, advertiser_id, conversion_id, '', now() FROM conversions;
  INSERT INTO ledger_entries (transaction_id, account_id, advertiser_id, amount_micros, currency)
    SELECT t.transaction_id, a.account_id, t.advertiser_id, CASE a.owner WHEN 'platform' THEN 1 ELSE -1 END, 'USD'
    FROM ledger_transactions t JOIN conversions c USING (conversion_id)
    JOIN ledger_accounts a ON a.advertiser_id = c.advertiser_id AND a.affiliate_id IN ('', c.affiliate_id);
  INSERT INTO inbound_postbacks (postback_id, received_at, via, advertiser_id, offer_id, raw, record, outcome)
    SELECT gen_random_uuid(), now(), 'postback', adv, adv, '', '{}', 'converted' FROM pairs;
  INSERT INTO inbound_postbacks (postback_id, received_at, via, raw, record, outcome) VALUES (gen_random_uuid(), now(), 'postback', '', '{}', 'refused');
  CREATE TEMP TABLE messages AS SELECT row_number() OVER () AS id, * FROM pairs, unnest(ARRAY['e' || adv, 'ex', 'exa']) AS endpoint
    WHERE endpoint <> 'exa' OR adv = 'a';
  INSERT INTO deliveries (delivery_id, created_at, endpoint_id, event_id, replay_no, kind, cause, advertiser_id, affiliate_id, click_id, config_version, method, url)
    SELECT id, '2026-01-01', endpoint, gen_random_uuid(), 0, 'auto', 'sale', adv, aff, md5('click' || name)::uuid, 1, 'GET', 'https://x/' FROM messages;
  INSERT INTO delivery_keys SELECT endpoint_id, event_id, 0, delivery_id, created_at, delivery_key_day(click_id) FROM deliveries;
  INSERT INTO delivery_ready SELECT id, '2026-01-01', endpoint, now(), 0, 0 FROM messages;
  INSERT INTO delivery_deferred SELECT id, '2026-01-01', endpoint, now(), 0 FROM messages;
  INSERT INTO delivery_finals SELECT id, '2026-01-01', endpoint, 'delivered', NULL, 1, now() FROM messages;
  INSERT INTO delivery_attempts (delivery_id, created_at, endpoint_id, attempt_no, attempted_at, outcome, total_ms, response_bytes, worker_id, try_no, is_fenced)
    SELECT id, '2026-01-01', endpoint, 1, now(), 'delivered', 1, 0, gen_random_uuid(), 1, false FROM messages;
  INSERT INTO delivery_why_not SELECT now(), endpoint, gen_random_uuid(), 'sale', 'duplicate', NULL, adv, aff, md5('click' || name)::uuid, NULL, NULL, 1 FROM messages;`

/** A query that names the rows of each table, so that what is seen can be listed. */
const NAMES = {
  advertisers: 'SELECT advertiser_id AS name FROM advertisers',
  affiliates: 'SELECT affiliate_id AS name FROM affiliates',
  affiliate_memberships: 'SELECT advertiser_id || affiliate_id AS name FROM affiliate_memberships',
  offers: 'SELECT offer_id AS name FROM offers',
  campaigns: 'SELECT campaign_id AS name FROM campaigns',
  postback_endpoints: 'SELECT endpoint_id AS name FROM postback_endpoints',
  conversions: 'SELECT advertiser_id || affiliate_id AS name FROM conversions',
  conversion_revisions: `SELECT p.name FROM conversion_revisions r JOIN pairs p ON r.conversion_id = md5('conversion' || p.name)::uuid`,
  ledger_accounts: 'SELECT advertiser_id || affiliate_id AS name FROM ledger_accounts',
  ledger_transactions: `SELECT p.name FROM ledger_transactions t JOIN pairs p ON t.conversion_id = md5('conversion' || p.name)::uuid`,
  ledger_entries:
    'SELECT DISTINCT e.advertiser_id || a.affiliate_id AS name FROM ledger_entries e JOIN ledger_accounts a USING (account_id)',
  inbound_postbacks: 'SELECT DISTINCT advertiser_id AS name FROM inbound_postbacks',
  deliveries: 'SELECT advertiser_id || affiliate_id || endpoint_id AS name FROM deliveries',
  delivery_why_not: 'SELECT advertiser_id || affiliate_id || endpoint_id AS name FROM delivery_why_not',
  delivery_attempts:
    'SELECT p.name || t.endpoint_id AS name FROM delivery_attempts t JOIN (SELECT delivery_id, advertiser_id || affiliate_id AS name FROM deliveries) p USING (delivery_id)',
  delivery_finals: 'SELECT endpoint_id AS name FROM delivery_finals',
  delivery_ready: 'SELECT endpoint_id AS name FROM delivery_ready',
  delivery_deferred: 'SELECT endpoint_id AS name FROM delivery_deferred',
  delivery_ends: 'SELECT DISTINCT endpoint_id AS name FROM delivery_ends',
} as const

type TableName = keyof typeof NAMES

async function seenBy(tx: Tx, tenant: Tenant): Promise<Record<TableName, readonly string[]>> {
  await tx.query('SAVEPOINT tenant')
  await becomeTenant(tx, tenant)
  const seen = {} as Record<TableName, readonly string[]>
  for (const [table, query] of Object.entries(NAMES) as [TableName, string][]) {
    const { rows } = await tx.query<{ name: string }>(query)
    seen[table] = rows.map(({ name }) => name).sort()
  }
  await tx.query('ROLLBACK TO SAVEPOINT tenant')
  return seen
}

async function withRows(t: TestContext): Promise<Tx> {
  const tx = await withTx(t)
  await tx.query(ROWS)
  return tx
}

test('an advertiser sees its own rows in every table and nobody else’s', async (t) => {
  const seen = await seenBy(await withRows(t), { role: 'advertiser', advertiserId: 'a' })
  const own = ['axea', 'axex', 'axexa']
  assert.deepEqual(seen, {
    advertisers: ['a'], affiliates: ['x'], affiliate_memberships: ['ax'], offers: ['a'], campaigns: ['ax'],
    postback_endpoints: ['ea', 'exa'], conversions: ['ax'], conversion_revisions: ['ax'], ledger_accounts: ['a', 'ax'],
    ledger_transactions: ['ax'], ledger_entries: ['a', 'ax'], inbound_postbacks: ['a'], deliveries: own, delivery_why_not: own,
    delivery_attempts: own, delivery_finals: ['ea', 'ex', 'exa'], delivery_ready: ['ea', 'ex', 'exa'],
    delivery_deferred: ['ea', 'ex', 'exa'], delivery_ends: ['ea', 'ex', 'exa'],
  }) // prettier-ignore
})

test('an affiliate sees its own rows with every advertiser, and neither the platform’s accounts nor the advertisers’ postbacks', async (t) => {
  const seen = await seenBy(await withRows(t), { role: 'affiliate', affiliateId: 'x' })
  const own = ['axex', 'axexa', 'bxex']
  assert.deepEqual(seen, {
    advertisers: ['a', 'b'], affiliates: ['x'], affiliate_memberships: ['ax', 'bx'], offers: [], campaigns: ['ax', 'bx'],
    postback_endpoints: ['ex', 'exa'], conversions: ['ax', 'bx'], conversion_revisions: ['ax', 'bx'], ledger_accounts: ['ax', 'bx'],
    ledger_transactions: ['ax', 'bx'], ledger_entries: ['ax', 'bx'], inbound_postbacks: [], deliveries: own, delivery_why_not: own,
    delivery_attempts: own, delivery_finals: ['ex', 'ex', 'exa'], delivery_ready: ['ex', 'ex', 'exa'],
    delivery_deferred: ['ex', 'ex', 'exa'], delivery_ends: ['ex', 'exa'],
  }) // prettier-ignore
})

test('a key of an affiliate for one advertiser shows nothing of the others', async (t) => {
  const seen = await seenBy(await withRows(t), { role: 'affiliate', affiliateId: 'x', advertiserId: 'a' })
  assert.deepEqual(seen.conversions, ['ax'])
  assert.deepEqual(seen.ledger_accounts, ['ax'])
  assert.deepEqual(seen.deliveries, ['axexa'])
  assert.deepEqual(seen.advertisers, ['a'])
})

test('whoever became a tenant without naming one sees nothing', async (t) => {
  const tx = await withRows(t)
  await tx.query('SET LOCAL ROLE waypost_tenant')
  for (const query of Object.values(NAMES)) assert.deepEqual((await tx.query(query)).rows, [], query)
})

for (const query of [
  'SELECT * FROM api_keys',
  'SELECT * FROM config_versions',
  'SELECT * FROM settings',
  'SELECT * FROM links',
  'SELECT * FROM delivery_keys',
  'SELECT secret FROM postback_endpoints',
  'SELECT url FROM postback_endpoints',
  'SELECT postback FROM offers',
  `UPDATE conversions SET payout_micros = 9`,
  'DELETE FROM inbound_postbacks',
  `INSERT INTO affiliate_memberships VALUES ('y', 'a')`,
])
  // prettier-ignore
  test(`a tenant may not: ${query}`, async (t) => {
    const tx = await withRows(t)
    await becomeTenant(tx, { role: 'advertiser', advertiserId: 'a' })
    await assert.rejects(tx.query(query), { code: '42501' })
    await tx.query('ROLLBACK')
    await tx.query('BEGIN')
  })

test('every table is either closed by row-level security or holds nothing of a tenant', async (t) => {
  const tx = await withTx(t)
  const { rows } = await tx.query<{ relname: string }>(
    `SELECT relname FROM pg_class c WHERE relkind IN ('r', 'p') AND NOT relispartition AND relnamespace = 'public'::regnamespace
     AND NOT relrowsecurity ORDER BY relname`,
  )
  const withoutTenants = ['consumer_positions', 'pipeline_counters', 'schema_migrations']
  assert.deepEqual(rows.map(({ relname }) => relname).filter((name) => !withoutTenants.includes(name)), []) // prettier-ignore
})

test('no table without row-level security is open to tenants, partitions included', async (t) => {
  const tx = await withTx(t)
  const { rows } = await tx.query<{ relname: string }>(
    `SELECT relname FROM pg_class WHERE relkind IN ('r', 'p') AND relnamespace = 'public'::regnamespace AND NOT relrowsecurity
     AND has_any_column_privilege('waypost_tenant', oid, 'SELECT')`,
  )
  assert.deepEqual(rows, [])
})
