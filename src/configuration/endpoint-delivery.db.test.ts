import assert from 'node:assert/strict'
import { test } from 'node:test'

import { stringify } from 'yaml'

import type { Pool } from '#platform/postgres'
import type { PostbackEndpoint, Snapshot } from '#routing'
import { openSnapshot } from '#secrets'
import { withDatabase } from '#test-kit'

import { applyConfiguration, maskSnapshot, printApplication, rotateSecret, type Application } from './index.ts'

const HOUR = 3_600_000
const NOW = Date.UTC(2026, 0, 1)
const clock = { now: () => NOW }
const whsec = (byte: number): string => `whsec_${Buffer.alloc(32, byte).toString('base64')}`
const OLD = whsec(1)

const crm = { url: 'https://crm.example/?c={click_id}', secret: OLD }

const apply = (pool: Pool, endpoint: object): Promise<Application> =>
  applyConfiguration(pool, stringify({ endpoints: { crm: endpoint } }), { by: 'test' })

async function applied(pool: Pool, endpoint: object): Promise<void> {
  const application = await apply(pool, endpoint)
  assert.ok(application.kind !== 'refused', printApplication(application, 'file.yaml'))
}

async function issuesOf(pool: Pool, more: object): Promise<readonly string[]> {
  const application = await apply(pool, { ...crm, ...more })
  assert.equal(application.kind, 'refused')
  return application.kind === 'refused' ? application.issues.map(({ path, code }) => `${path} ${code}`) : []
}

const NEWEST = 'SELECT snapshot FROM config_versions ORDER BY version DESC LIMIT 1'
const newest = async (pool: Pool): Promise<Snapshot> =>
  openSnapshot((await pool.query<{ snapshot: Snapshot }>(NEWEST)).rows[0]!.snapshot)
const endpointOf = async (pool: Pool): Promise<PostbackEndpoint> => (await newest(pool)).endpoints[0]!

test('how an endpoint is sent to comes from the file, and the same file changes nothing the second time', async (t) => {
  const { pool } = await withDatabase(t)
  const file = {
    ...crm,
    quota: { count: 1_000, per: 'day', zone: 'Europe/Berlin' },
    retry: { schedule_seconds: [5, 60] },
    success: {
      statuses: [202, '200-201'],
      body: { contains: ['ok'], not_contains: ['error'], matches: '^ok' },
      json: { path: 'data.status', equals: true },
      otherwise: 'give_up',
    },
    final_statuses: [406],
  }
  await applied(pool, file)
  const endpoint = await endpointOf(pool)
  assert.deepEqual(endpoint.quota, file.quota)
  assert.deepEqual(endpoint.retry, file.retry)
  assert.equal(endpoint.max_attempts, 3)
  assert.deepEqual(endpoint.success, {
    ...file.success,
    statuses: ['202', '200-201'],
    json: { path: 'data.status', equals: 'true' },
  })
  assert.deepEqual(endpoint.final_statuses, ['406'])
  assert.equal((await apply(pool, file)).kind, 'unchanged')
  await applied(pool, { ...crm, quota: { count: 1, per: 'hour' } })
  assert.deepEqual((await endpointOf(pool)).quota, { count: 1, per: 'hour', zone: 'Etc/UTC' })
})

test('mistakes in it are named with their place', async (t) => {
  const { pool } = await withDatabase(t)
  const at = 'endpoints.crm'
  assert.deepEqual(await issuesOf(pool, { success: { statuses: ['ok'] } }), [`${at}.success.statuses[0] value_not_allowed`]) // prettier-ignore
  assert.deepEqual(await issuesOf(pool, { success: { statuses: ['200-500'] } }), [`${at}.success.statuses value_not_allowed`]) // prettier-ignore
  assert.deepEqual(await issuesOf(pool, { success: { body: { matches: '(' } } }), [`${at}.success.body.matches value_not_allowed`]) // prettier-ignore
  assert.deepEqual(await issuesOf(pool, { retry: { schedule_seconds: [] } }), [`${at}.retry.schedule_seconds value_out_of_range`]) // prettier-ignore
  assert.deepEqual(await issuesOf(pool, { quota: { count: 1, per: 'week' } }), [`${at}.quota.per value_not_allowed`])
  assert.deepEqual(await issuesOf(pool, { quota: { count: 1, per: 'day', zone: 'Mars' } }), [`${at}.quota.zone timezone_unknown`]) // prettier-ignore
  assert.deepEqual(await issuesOf(pool, { previous_secret: whsec(2) }), [`${at}.previous_secret combination_invalid`])
})

test('a rotation makes a new secret and a version, and keeps the old secret for its time', async (t) => {
  const { pool } = await withDatabase(t)
  await applied(pool, crm)
  const rotation = await rotateSecret(pool, 'crm', { by: 'eva', keepHours: 24, clock })
  assert.ok(rotation.kind === 'rotated')
  assert.match(rotation.secret, /^whsec_[A-Za-z0-9+/]{43}=$/)
  assert.equal(rotation.previousUntil?.getTime(), NOW + 24 * HOUR)
  const endpoint = await endpointOf(pool)
  assert.deepEqual(
    [endpoint.secret, endpoint.previous_secret, endpoint.previous_secret_until],
    [rotation.secret, OLD, NOW + 24 * HOUR],
  )
  const { rows } = await pool.query(
    'SELECT version, created_by, diff FROM config_versions ORDER BY version DESC LIMIT 1',
  )
  assert.deepEqual([rows[0].version, rows[0].created_by], [rotation.version, 'eva'])
  const shown = JSON.stringify([rows[0].diff, maskSnapshot(await newest(pool))])
  assert.ok(!shown.includes(OLD) && !shown.includes(rotation.secret))
})

test('a second rotation ends the oldest secret, and none is kept for no hours', async (t) => {
  const { pool } = await withDatabase(t)
  await applied(pool, crm)
  const first = await rotateSecret(pool, 'crm', { by: 'eva', keepHours: 24, clock })
  await rotateSecret(pool, 'crm', { by: 'eva', keepHours: 168, clock })
  assert.ok(first.kind === 'rotated')
  assert.equal((await endpointOf(pool)).previous_secret, first.secret)
  const last = await rotateSecret(pool, 'crm', { by: 'eva', keepHours: 0, clock })
  assert.ok(last.kind === 'rotated' && last.previousUntil === undefined)
  assert.equal((await endpointOf(pool)).previous_secret, undefined)
  assert.deepEqual(await rotateSecret(pool, 'nobody', { by: 'eva', keepHours: 1 }), { kind: 'endpoint_unknown' })
  await assert.rejects(rotateSecret(pool, 'crm', { by: 'eva', keepHours: 169 }), RangeError)
})

test('a file with the new secret does not end the rotation, and one with the replaced secret is refused', async (t) => {
  const { pool } = await withDatabase(t)
  await applied(pool, crm)
  const rotation = await rotateSecret(pool, 'crm', { by: 'eva', keepHours: 24, clock })
  assert.ok(rotation.kind === 'rotated')
  assert.deepEqual(await issuesOf(pool, { name: 'CRM' }), ['endpoints.crm.secret secret_invalid'])
  await applied(pool, { ...crm, secret: rotation.secret, name: 'CRM' })
  const endpoint = await endpointOf(pool)
  assert.deepEqual([endpoint.name, endpoint.previous_secret], ['CRM', OLD])
  await applied(pool, { ...crm, secret: whsec(9) })
  assert.equal((await endpointOf(pool)).previous_secret, undefined)
})
