import assert from 'node:assert/strict'
import { test } from 'node:test'

import { createMemoryCaps, type CapCounters } from '#caps'
import { WaypostError } from '#platform/errors'
import { newClickId } from '#platform/ids'
import type { ClickRecord } from '#records'
import { campaign, flow, offer, snapshot } from '#routing/test-snapshots'
import { withEdge } from './test-edge.ts'

const cap = { cap_id: 'daily', metric: 'clicks', period: 'day', limit: 1, mode: 'hard' } as const
const config = snapshot({ offers: [offer('o1', { caps: [cap] }), offer('o2')] })

test('a cap takes as many clicks as it has room for', async (t) => {
  const { ask, records } = await withEdge(t, config)
  assert.equal((await ask('/click?o=o1')).status, 302)
  assert.equal((await ask('/click?o=o1')).status, 404)
  const [, second] = (await records()) as readonly ClickRecord[]
  assert.equal(second!.refusal, 'over_cap')
})

test('the answers of caps to clicks are counted, those to what only looks are not', async (t) => {
  let isFull = false
  const { ask } = await withEdge(t, config, {
    append: (append) => (payload) => (isFull ? Promise.reject(new WaypostError('log_full')) : append(payload)),
  })
  const counted = async (): Promise<readonly number[]> => {
    const { body } = await ask('/metrics')
    const read = (answer: string): number =>
      Number(new RegExp(`^waypost_edge_cap_answers_total{answer="${answer}"} (\\d+)$`, 'm').exec(body)?.[1])
    return ['reserved', 'full', 'unavailable', 'given_back'].map(read)
  }
  assert.deepEqual(await counted(), [0, 0, 0, 0])
  await ask('/click?o=o1', { method: 'HEAD' })
  await ask('/click?o=o2')
  assert.deepEqual(await counted(), [0, 0, 0, 0])
  isFull = true
  await ask('/click?o=o1')
  assert.deepEqual(await counted(), [1, 0, 0, 1])
  isFull = false
  await ask('/click?o=o1')
  await ask('/click?o=o1')
  assert.deepEqual(await counted(), [2, 1, 0, 1])
})

test('what is no click takes no room', async (t) => {
  const { ask } = await withEdge(t, config)
  await ask('/click?o=o1', { method: 'HEAD' })
  await ask('/click?o=o1', { headers: { 'sec-purpose': 'prefetch' } })
  assert.equal((await ask('/click?o=o1')).status, 302)
})

test('a click that could not be recorded gives its room back', async (t) => {
  let isFull = true
  const { ask } = await withEdge(t, config, {
    append: (append) => (payload) => (isFull ? Promise.reject(new WaypostError('log_full')) : append(payload)),
  })
  assert.equal((await ask('/click?o=o1')).status, 503)
  isFull = false
  assert.equal((await ask('/click?o=o1')).status, 302)
})

test('a click whose given id is that of another target takes room once', async (t) => {
  const caps = createMemoryCaps()
  const taken: string[] = []
  const watched: CapCounters = {
    ...caps,
    reserve: (clickId, at, keys) => (taken.push(clickId), caps.reserve(clickId, at, keys)),
  }
  const { ask, records, indexClicks } = await withEdge(t, config, { caps: watched })
  const given = newClickId(Date.now())
  await ask(`/click?o=o2&clickid=${given}`)
  await indexClicks([(await records())[0] as ClickRecord])
  assert.equal((await ask(`/click?o=o1&clickid=${given}`)).status, 302)
  assert.equal(taken.length, 1)
  assert.equal((await ask('/click?o=o1')).status, 404)
})

const held = snapshot({
  offers: [offer('o1', { caps: [{ ...cap, metric: 'conversions', hold_minutes: 60 }] })],
  campaigns: ['spring', 'summer'].map((campaign_id) =>
    campaign({ campaign_id, flows: [flow(`f-${campaign_id}`, { offers: [{ offer_id: 'o1', weight: 1 }] })] }),
  ),
})

test('a click that gets another id leaves the hold of the click that has the given one', async (t) => {
  const { ask, records, indexClicks } = await withEdge(t, held)
  const given = newClickId(Date.now())
  assert.equal((await ask(`/click?c=spring&clickid=${given}`)).status, 302)
  await indexClicks([(await records())[0] as ClickRecord])
  // Another campaign of the same offer: two clicks under way would be one too many.
  assert.equal((await ask(`/click?c=summer&clickid=${given}`)).status, 404)
})

test('a repeat that could not be recorded leaves the hold of the first', async (t) => {
  let isFull = false
  const { ask, records, indexClicks } = await withEdge(t, held, {
    append: (append) => (payload) => (isFull ? Promise.reject(new WaypostError('log_full')) : append(payload)),
  })
  const given = newClickId(Date.now())
  await ask(`/click?c=spring&clickid=${given}`)
  await indexClicks([(await records())[0] as ClickRecord])
  isFull = true
  assert.equal((await ask(`/click?c=spring&clickid=${given}`)).status, 503)
  isFull = false
  assert.equal((await ask('/click?c=spring')).status, 404)
})
