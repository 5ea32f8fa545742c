import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Tx } from '#platform/postgres'
import { withTx } from '#test-kit'
import { enqueueDeliveries } from './enqueue-deliveries.ts'
import { sampleCause, sampleEndpoint, sampleSnapshot, SAMPLE_CLICK_ID } from '../test-causes.ts'

const deliveriesOf = async (tx: Tx) =>
  (
    await tx.query(
      'SELECT * FROM deliveries JOIN delivery_ready USING (delivery_id, created_at) ORDER BY deliveries.endpoint_id',
    )
  ).rows
const whyNotOf = async (tx: Tx) =>
  (await tx.query('SELECT endpoint_id, reason, detail FROM delivery_why_not ORDER BY 1')).rows

test('stores the filled message and queues it at once', async (t) => {
  const tx = await withTx(t)
  await enqueueDeliveries(tx, [sampleCause()], sampleSnapshot([sampleEndpoint()], 7))
  const [row, ...others] = await deliveriesOf(tx)
  assert.equal(others.length, 0)
  assert.equal(row.url, `https://tracker.example/pb?cid=${SAMPLE_CLICK_ID}&payout=12.5&status=sale`)
  assert.equal(row.method, 'GET')
  assert.equal(row.cause, 'sale')
  assert.equal(row.config_version, 7)
  assert.equal(row.conversion_revision, 1)
  assert.equal(row.attempts, 0)
})

test('a repeat of the same causes changes nothing', async (t) => {
  const tx = await withTx(t)
  const snapshot = sampleSnapshot([sampleEndpoint(), sampleEndpoint({ endpoint_id: 'paused', status: 'paused' })])
  const causes = [sampleCause(), sampleCause({ revision: 2, status: 'rejected' })]
  await enqueueDeliveries(tx, causes, snapshot)
  await enqueueDeliveries(tx, causes, snapshot)
  assert.equal((await deliveriesOf(tx)).length, 2)
  assert.equal((await whyNotOf(tx)).length, 2)
})

test('an endpoint that listens to two triggers of one revision hears of it once', async (t) => {
  const tx = await withTx(t)
  const endpoint = sampleEndpoint({ triggers: ['rejected', 'status_changed'] })
  const rejected = sampleCause({ revision: 2, status: 'rejected' })
  const causes = (['rejected', 'status_changed'] as const).map(
    (trigger) => ({ ...rejected, trigger }) as typeof rejected,
  )
  await enqueueDeliveries(tx, causes, sampleSnapshot([endpoint]))
  assert.deepEqual(
    (await deliveriesOf(tx)).map((row) => row.cause),
    ['rejected'],
  )
})

test('a paused endpoint leaves a reason instead of a delivery', async (t) => {
  const tx = await withTx(t)
  await enqueueDeliveries(tx, [sampleCause()], sampleSnapshot([sampleEndpoint({ status: 'paused' })]))
  assert.deepEqual(await deliveriesOf(tx), [])
  assert.deepEqual(await whyNotOf(tx), [{ endpoint_id: 'tracker', reason: 'endpoint_paused', detail: null }])
})

test('a required macro without a value leaves a reason that names it', async (t) => {
  const tx = await withTx(t)
  const endpoint = sampleEndpoint({ url: 'https://tracker.example/pb?cid={external_id!}' })
  await enqueueDeliveries(tx, [sampleCause({}, { external_click_id: '' })], sampleSnapshot([endpoint]))
  assert.deepEqual(await deliveriesOf(tx), [])
  assert.deepEqual(await whyNotOf(tx), [{ endpoint_id: 'tracker', reason: 'macro_empty', detail: 'external_id' }])
})

test('a broken template leaves a reason and does not hold back its neighbours', async (t) => {
  const tx = await withTx(t)
  const broken = sampleEndpoint({ endpoint_id: 'broken', url: 'https://tracker.example/?x={nonsense}' })
  await enqueueDeliveries(tx, [sampleCause()], sampleSnapshot([broken, sampleEndpoint()]))
  assert.deepEqual(
    (await deliveriesOf(tx)).map((row) => row.endpoint_id),
    ['tracker'],
  )
  assert.deepEqual(await whyNotOf(tx), [{ endpoint_id: 'broken', reason: 'template_invalid', detail: null }])
})

test('a URL or body over the limit leaves a reason', async (t) => {
  const tx = await withTx(t)
  const long = sampleEndpoint({ url: `https://tracker.example/?${'{user_agent}'.repeat(40)}` })
  await enqueueDeliveries(tx, [sampleCause({}, { user_agent: 'u'.repeat(255) })], sampleSnapshot([long]))
  assert.deepEqual(await whyNotOf(tx), [{ endpoint_id: 'tracker', reason: 'request_too_large', detail: 'url' }])
})

test('scopes that do not fit leave nothing at all', async (t) => {
  const tx = await withTx(t)
  const scopes = [{ offer_id: 'boots' }, { affiliate_id: 'bob' }, { advertiser_id: 'acme', campaign_id: 'spring' }]
  const endpoints = scopes.map((scope, index) => sampleEndpoint({ endpoint_id: `e${index}`, scope }))
  await enqueueDeliveries(tx, [sampleCause()], sampleSnapshot([...endpoints, sampleEndpoint({ triggers: ['lead'] })]))
  assert.deepEqual(await deliveriesOf(tx), [])
  assert.deepEqual(await whyNotOf(tx), [])
})

test('each part of a scope that fits is enough', async (t) => {
  const tx = await withTx(t)
  const scopes = [
    {},
    { offer_id: 'shoes' },
    { affiliate_id: 'ada' },
    { campaign_id: 'autumn' },
    { advertiser_id: 'acme' },
  ]
  const endpoints = scopes.map((scope, index) => sampleEndpoint({ endpoint_id: `e${index}`, scope }))
  await enqueueDeliveries(tx, [sampleCause()], sampleSnapshot(endpoints))
  assert.deepEqual(
    (await deliveriesOf(tx)).map((row) => row.endpoint_id),
    ['e0', 'e1', 'e2', 'e3', 'e4'],
  )
})
