import assert from 'node:assert/strict'
import { test } from 'node:test'

import { createLogLines } from '#platform/log-lines'
import { campaign, flow, offer, snapshot } from '#routing/test-snapshots'
import { relayedSnapshots } from '#snapshots'
import { holdLiveConfig } from './live-config.ts'

const logLines = createLogLines('test', 'silent')

const config = snapshot({
  offers: [offer('o1'), offer('o2')],
  campaigns: [
    campaign({
      flows: [flow('f1', { offers: ['o1', 'o2'].map((offer_id) => ({ offer_id, weight: 1 })) })],
      optimize: { mode: 'on', goal: 'cr', weights: ['offers'], window_days: 30 },
    }),
  ],
})

test('new weights are used without compiling the configuration again, and gone when they are', () => {
  const snapshots = relayedSnapshots(config)
  const held = holdLiveConfig(snapshots, logLines)
  const offersOf = () =>
    held
      .current()!
      .routing.flows.get('f1')!
      .flow.offers.map(({ weight }) => weight)
  const first = held.current()!
  assert.deepEqual(offersOf(), [1, 1])
  for (const version of [1, 2]) {
    const weights = { 'offers:f1': { o1: 9_000 + version, o2: 1_000 - version } }
    snapshots.take(structuredClone({ ...config, learned: { version, weights } }))
    assert.deepEqual(offersOf(), [9_000 + version, 1_000 - version])
    assert.equal(held.current()!.routing.learnedVersion, version)
    assert.equal(held.current()!.routing.offers, first.routing.offers)
  }
  snapshots.take(structuredClone(config))
  assert.deepEqual(offersOf(), [1, 1])
  assert.equal(held.current()!.routing.learnedVersion, undefined)
  held.stop()
})

test('a configuration made anew with the same number is compiled', () => {
  const snapshots = relayedSnapshots(config)
  const held = holdLiveConfig(snapshots, logLines)
  const first = held.current()!
  snapshots.take({ ...config, created_at: '2026-02-02T00:00:00.000Z' })
  assert.notEqual(held.current()!.routing.offers, first.routing.offers)
  held.stop()
})
