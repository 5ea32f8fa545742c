import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { test, type TestContext } from 'node:test'
import { givenSecretKeys, secretKeys, useSecretKeys } from '#secrets'
import type { Pool } from '#platform/postgres'
import { withDatabase } from '#test-kit'
import {
  applyConfiguration,
  diffVersions,
  ensureConfiguration,
  ensureSealed,
  findSealing,
  findVersion,
  listVersions,
  maskSnapshot,
  previewConfiguration,
  printApplication,
  resealConfiguration,
  restoreVersion,
} from './index.ts'

const secretOf = (word: string): string => `whsec_${Buffer.alloc(24, word).toString('base64')}`
const [FIRST, SECOND] = [secretOf('first'), secretOf('second')]
const SHARED = ['partner-key-Zq81', 'hmac-key-Pw93'] as const
/** Of a template, of a URL and of a header. */
const KEYS = ['keitaro-key-Mx77', 'url-token-Rt55', 'header-token-Ky31'] as const
const yaml = (secret = FIRST): string => `
advertisers: { acme: {} }
offers:
  lamp:
    advertiser_id: acme
    landing_url: https://acme.example/
    prices: [{ type: sale, payout: 5, revenue: 8 }]
    postback: { secrets: [${SHARED[0]}], hmac_secrets: [${SHARED[1]}] }
endpoints:
  crm: { url: "https://crm.example/?c={click_id}", secret: ${secret} }
  tracker: { template: keitaro, parameters: { host: k.example, key: ${KEYS[0]} } }
  erp:
    url: "https://erp.example/{secret.token}/in"
    headers: { Authorization: "Bearer {secret.bearer}" }
    secrets: { token: ${KEYS[1]}, bearer: ${KEYS[2]} }
`
const newKey = (): string => randomBytes(32).toString('base64')

/** Keys for this test alone. */
function withKeys(t: TestContext, keys: readonly string[]): void {
  const before = secretKeys()
  useSecretKeys(givenSecretKeys(keys))
  t.after(() => useSecretKeys(before))
}

const TABLES = `
  SELECT table_name FROM information_schema.tables WHERE table_schema = 'public' AND table_type = 'BASE TABLE'`

/** Every row of every table, as text. */
async function dump(pool: Pool): Promise<string> {
  const { rows } = await pool.query<{ table_name: string }>(TABLES)
  const texts: string[] = []
  for (const { table_name } of rows) {
    const table = await pool.query<{ text: string }>(`SELECT to_jsonb(t)::text AS text FROM ${table_name} AS t`)
    texts.push(...table.rows.map((row) => row.text))
  }
  return texts.join('\n')
}

function assertHidden(text: string, secrets: readonly string[]): void {
  for (const secret of secrets) {
    assert.ok(!text.includes(secret), secret)
    assert.ok(!text.includes(Buffer.from(secret).toString('base64').slice(0, -4)), `${secret} in base64`)
  }
}

test('no secret stands in any table, in any version, and everything that is done with versions still works', async (t) => {
  const { pool } = await withDatabase(t)
  await ensureConfiguration(pool)
  await ensureSealed(pool)
  const first = await applyConfiguration(pool, yaml(), { by: 'test' })
  const second = await applyConfiguration(pool, yaml(SECOND), { by: 'test' })
  const redirectKey = (await findVersion(pool, undefined))!.snapshot.redirect_key!
  assert.deepEqual([first.kind, second.kind], ['applied', 'applied'])
  assert.equal((await applyConfiguration(pool, yaml(SECOND), { by: 'test' })).kind, 'unchanged')
  assert.equal((await restoreVersion(pool, 2, { by: 'test', dryRun: false })).kind, 'restored')

  const { snapshot } = (await findVersion(pool, undefined))!
  const { crm, erp, tracker } = Object.fromEntries(snapshot.endpoints.map((one) => [one.endpoint_id, one]))
  assert.equal(crm!.secret, FIRST)
  assert.deepEqual([erp!.secrets, tracker!.secrets], [{ token: KEYS[1], bearer: KEYS[2] }, { key: KEYS[0] }])
  assert.deepEqual(snapshot.offers[0]!.postback, { secrets: [SHARED[0]], hmac_secrets: [SHARED[1]], allowed_addresses: [] }) // prettier-ignore
  assert.equal(snapshot.redirect_key, redirectKey)
  assertHidden(await dump(pool), [FIRST, SECOND, ...SHARED, ...KEYS, redirectKey])
})

test('what people are shown of versions has no secret in it', async (t) => {
  const { pool } = await withDatabase(t)
  const applied = await applyConfiguration(pool, yaml(), { by: 'test' })
  const changed = await applyConfiguration(pool, yaml(SECOND), { by: 'test' })
  const planned = await applyConfiguration(pool, yaml(FIRST), { by: 'test', dryRun: true })
  const shown = [
    ...[applied, changed, planned].map((one) => printApplication(one, 'file.yaml')),
    ...[applied, changed, planned].map((one) => JSON.stringify(one)),
    JSON.stringify(await listVersions(pool, undefined, 10)),
    JSON.stringify(await diffVersions(pool, 1, 2)),
    JSON.stringify(await restoreVersion(pool, 1, { by: 'test', dryRun: true })),
    JSON.stringify(maskSnapshot((await findVersion(pool, 1))!.snapshot)),
    JSON.stringify((await findVersion(pool, 2))!.changes),
  ]
  assert.match(shown.join('\n'), /\(secret\)/)
  assertHidden(shown.join('\n'), [FIRST, SECOND, ...SHARED, ...KEYS])
})

test('a key that stood in a URL is in no difference to the version in which it is a secret, nor one that is replaced', async (t) => {
  const { pool } = await withDatabase(t)
  const before = yaml()
    .replace(/template: keitaro.*/, `url: "https://k.example/${KEYS[0]}/postback?subid={external_id!}" }`)
    .replace('{secret.token}', KEYS[1])
    .replace('{secret.bearer}', KEYS[2])
    .replace(/\n {4}secrets:.*token.*/, '')
  assert.equal((await applyConfiguration(pool, before, { by: 'test' })).kind, 'applied')
  const moved = await applyConfiguration(pool, yaml(), { by: 'test' })
  const replaced = await applyConfiguration(pool, yaml().replace(KEYS[1], 'url-token-Uu66'), { by: 'test' })
  const shown = [moved, replaced].flatMap((one) => [printApplication(one, 'file.yaml'), JSON.stringify(one)])
  shown.push(JSON.stringify(await diffVersions(pool, 1, 2)), JSON.stringify((await findVersion(pool, 2))!.changes))
  assert.match(shown.join(), /https:\/\/k\.example\/\(secret\)\/postback/)
  assertHidden(shown.join('\n'), [...KEYS, 'url-token-Uu66'])
  const { rows } = await pool.query<{ text: string }>('SELECT diff::text AS text FROM config_versions')
  assertHidden(rows.map(({ text }) => text).join('\n'), [...KEYS, 'url-token-Uu66'])
})

test('a refused file is told without its secrets', async (t) => {
  const { pool } = await withDatabase(t)
  const broken = [
    yaml().replace('prices:', 'prizes:'),
    yaml().replace('whsec_', 'whsek_'),
    yaml('{ a: hidden-in-a-map }').replace('partner-key', 'partner key'),
    `${yaml()}\n  crm: { secret: ${FIRST}`,
    yaml().replace(`secret: ${FIRST}`, `secret: ${FIRST}, secrett: ${FIRST}`),
    yaml().replace(`secret: ${FIRST}`, `secret: "${FIRST}`),
    yaml().replace(`[${SHARED[0]}]`, SHARED[0]),
    yaml().replace(`[${SHARED[0]}]`, `[[${SHARED[0]}]]`),
    yaml().replace('{secret.token}', '{secret.tokn}'),
    yaml().replace('secrets: { token', 'secrets: { Token'),
    yaml().replace(KEYS[1], `"${KEYS[1]} "`),
    yaml().replace(KEYS[1], `[${KEYS[1]}]`),
    yaml().replace(KEYS[0], `"${KEYS[0]} "`),
    yaml().replace(`key: ${KEYS[0]}`, `kee: ${KEYS[0]}`),
    yaml().replace('template: keitaro', 'template: keitro'),
    yaml().replace('template: keitaro', 'template: keitaro, secrets: { key: other-key-Qq11 }'),
  ]
  for (const text of broken) {
    const refused = await applyConfiguration(pool, text, { by: 'test' })
    assert.equal(refused.kind, 'refused', text)
    assertHidden(JSON.stringify(refused) + printApplication(refused, 'file.yaml'), [FIRST, FIRST.slice(6), ...SHARED, ...KEYS, 'hidden-in-a-map']) // prettier-ignore
    const preview = await previewConfiguration(pool, text)
    assertHidden(JSON.stringify(preview), [FIRST, FIRST.slice(6), ...SHARED, ...KEYS, 'hidden-in-a-map'])
  }
})

test('what was stored before there was a key is sealed at the first start with one', async (t) => {
  const { pool } = await withDatabase(t)
  await applyConfiguration(pool, yaml(), { by: 'test' })
  const { snapshot } = (await findVersion(pool, 1))!
  await pool.query('UPDATE config_versions SET snapshot = $1, secret_key_id = NULL', [JSON.stringify(snapshot)])
  await pool.query(`UPDATE postback_endpoints SET secret = $1 WHERE endpoint_id = 'crm'`, [FIRST])
  await pool.query(`UPDATE postback_endpoints SET secrets = $1 WHERE endpoint_id = 'erp'`, [
    { token: KEYS[1], bearer: KEYS[2] },
  ])
  await pool.query('UPDATE offers SET postback = $1', [JSON.stringify(snapshot.offers[0]!.postback)])
  await pool.query('UPDATE settings SET redirect_key = $1', [snapshot.redirect_key])
  await ensureSealed(pool)
  assertHidden(await dump(pool), [FIRST, ...SHARED, ...KEYS, snapshot.redirect_key!])
  assert.deepEqual((await findVersion(pool, 1))!.snapshot, snapshot)
  assert.equal((await applyConfiguration(pool, yaml(), { by: 'test' })).kind, 'unchanged')
})

test('a start that finds everything sealed writes nothing', async (t) => {
  const { pool } = await withDatabase(t)
  await applyConfiguration(pool, yaml(), { by: 'test' })
  await ensureSealed(pool)
  const places = async (): Promise<unknown> =>
    (await pool.query('SELECT ctid FROM config_versions UNION ALL SELECT ctid FROM offers UNION ALL SELECT ctid FROM settings')).rows // prettier-ignore
  const before = await places()
  await ensureSealed(pool)
  assert.deepEqual(await places(), before)
})

test('a rotation seals every version and table with the new key, after which the old one opens nothing', async (t) => {
  const { pool } = await withDatabase(t)
  const [earlier, later] = [newKey(), newKey()]
  withKeys(t, [earlier])
  await applyConfiguration(pool, yaml(), { by: 'test' })
  await applyConfiguration(pool, yaml(SECOND), { by: 'test' })
  await ensureSealed(pool)
  const { snapshot } = (await findVersion(pool, 1))!
  useSecretKeys(givenSecretKeys([later, earlier]))
  const { keyId, versions } = await resealConfiguration(pool)
  assert.equal(versions, 2)
  assert.deepEqual(await findSealing(pool), [{ keyId, versions: 2 }])
  assert.equal((await resealConfiguration(pool)).versions, 0)

  useSecretKeys(givenSecretKeys([later]))
  assert.deepEqual((await findVersion(pool, 1))!.snapshot, snapshot)
  assert.equal((await applyConfiguration(pool, yaml(SECOND), { by: 'test' })).kind, 'unchanged')
  const text = await dump(pool)
  assert.ok(!text.includes(givenSecretKeys([earlier]).currentId()))
  assertHidden(text, [FIRST, SECOND, ...SHARED, ...KEYS])
})

test('without its key the start says so, and neither an apply nor a rotation changes anything', async (t) => {
  const { pool } = await withDatabase(t)
  withKeys(t, [newKey()])
  await applyConfiguration(pool, yaml(), { by: 'test' })
  await ensureSealed(pool)
  const before = await dump(pool)
  useSecretKeys(givenSecretKeys([newKey()]))
  const isMissing = { code: 'secret_key_missing', message: /Put the key back from a backup/ }
  await assert.rejects(ensureSealed(pool), isMissing)
  await assert.rejects(applyConfiguration(pool, yaml(SECOND), { by: 'test' }), isMissing)
  await assert.rejects(resealConfiguration(pool), isMissing)
  await assert.rejects(findVersion(pool, 1), isMissing)
  assert.equal(await dump(pool), before)
})
